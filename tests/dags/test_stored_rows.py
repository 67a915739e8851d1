"""Rows that earlier code has stored in Airflow's database, in a blob and in the emulator's file are read by this code.

They were captured by ``tests/stored_rows/capture.py`` and are never captured again: whatever moves or changes, the
tasks that are under way when somebody upgrades go on. A test that fails here shows a row that would be lost there.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, NamedTuple

import pytest
from stored_rows import deferral, story
from stored_rows.plain import plain, says
from stored_rows.story import DAY_1, DAY_2, DAY_3, IS_AIRFLOW_2, SEED, Story, load
from support.airflow.dags import delete
from support.airflow.dags import variables as variables_in_database
from support.airflow.xcom import read
from support.samples.inflated import inflated
from support.samples.whole_workspace import answers
from support.services.folder import ContainerServer
from support.services.workspace_api import serving

from aml_provider import xcom
from aml_provider.compat import AIRFLOW_V_3_3_PLUS, TaskDeferred
from aml_provider.emulator.server import EmulatorServer
from aml_provider.emulator.workspace.models import Datastore
from aml_provider.hooks.azure_ml import AzureMLHook
from aml_provider.state import variables

RECORDS = load("records")
ALL, OWN = story.captured(), story.readable()

links = pytest.mark.skipif(
    not IS_AIRFLOW_2 and OWN[-1].name == "airflow-2.11",
    reason="Airflow 3 drops the links of a DAG that Airflow 2 has stored",
)


def rows_of(name, folders=OWN):
    """The rows of a name from all folders that have some."""
    return [
        pytest.param(row, id=f"{folder.name} {key}")
        for folder in folders
        if (folder / f"{name}.json").exists()
        for key, row in load(name, folder).items()
    ]


class World(NamedTuple):
    emulator: Any
    landing: Any

    @property
    def submissions(self):
        return self.emulator.requests("POST", "Submit")

    def runs(self):
        return sorted(self.emulator.state.runs.values(), key=lambda run: run.created)


@pytest.fixture
def database(monkeypatch):
    """Airflow's Variables are those that were captured; afterwards they are what they were."""
    monkeypatch.setenv("AIRFLOW__AZUREML__LOOKUP_GRACE", "0.3")
    monkeypatch.setenv("AIRFLOW__AZUREML__RETRY_BUDGET", "0.1")
    before = variables_in_database("azureml_")
    story.put_variables(RECORDS["variables"])
    yield
    story.put_variables(before)


@pytest.fixture
def in_memory(monkeypatch):
    """The same without a task, which Airflow 3 wants for its own Variables."""
    kept = dict(RECORDS["variables"])
    monkeypatch.setattr(variables, "read", kept.get)
    monkeypatch.setattr(variables, "write", lambda key, text, description: kept.__setitem__(key, text))
    monkeypatch.setattr(variables, "delete", lambda key: kept.pop(key, None))
    return kept


@pytest.fixture
def world(monkeypatch, tmp_path):
    """The workspace from its file, and the folder that was watched, with the same ETags."""
    file = tmp_path / "workspace.json"
    file.write_text(json.dumps(RECORDS["workspace"]))
    with ContainerServer() as server, EmulatorServer(state_file=file) as emulator:
        emulator.clock.hold()
        # Whoever wants another run is told at once, and does not wait for it.
        emulator.faults.add("status", status=400, method="POST", path="*Submit*", times=50)
        landing = server.container("landing")
        for name in ("in/a.csv", "in/b.csv", "in/c.csv"):
            landing.write(name)
        connection = json.dumps(story.connection(emulator.url, server.url))
        monkeypatch.setenv("AIRFLOW_CONN_AZUREML_DEFAULT", connection)
        yield World(emulator, landing)


def before_the_next_try(dag_id, monkeypatch):
    """The task as the try left it that wrote the row; ``again()`` is the one that follows."""
    with monkeypatch.context() as patch:
        patch.delenv("AIRFLOW_CONN_AZUREML_DEFAULT")
        played = Story(dag_id).on(DAY_1)
    assert played.state == "failed"
    story.put_variables(RECORDS["variables"])
    played.keep(RECORDS["task_states"].get(dag_id, {}))
    return played


# Submission records, and the deployment id that their keys are made with.


@pytest.mark.parametrize("dag_id", ["rows_left", "rows_ended"])
def test_the_next_try_takes_its_run_up_again(dag_id, world, database, monkeypatch):
    from aml_provider.state.task_records import stored_record

    record = story.submissions()[dag_id]
    world.emulator.clock.advance(40_000)
    played = before_the_next_try(dag_id, monkeypatch)
    if RECORDS["task_states"]:
        # So does the API server, which is told what people do to a task.
        shown = stored_record(dag_id, played.dag_run.run_id, "run", -1)
        assert says(shown._asdict(), record)
    played.again()
    assert (played.state, played.result) == ("success", record["run_id"])
    assert world.submissions == []


def test_the_next_try_finds_the_run_whose_reply_was_lost(world, database, monkeypatch):
    record = story.submissions()["rows_doubted"]
    assert record["run_id"] is None
    (meant,) = (run.id for run in world.runs() if run.tags.get("airflow.key") == record["key"])
    world.emulator.clock.advance(40_000)
    played = before_the_next_try("rows_doubted", monkeypatch).again()
    assert (played.state, played.result) == ("success", meant)
    assert world.submissions == []


@pytest.mark.parametrize("folder", ALL, ids=lambda folder: folder.name)
def test_each_field_of_a_submission_record_is_read(folder):
    from aml_provider.state.task_records import TaskStateSubmissionStore

    records = story.submissions(folder)
    assert records.keys() == {"rows_left", "rows_doubted", "rows_ended"}
    for record in records.values():
        assert says(TaskStateSubmissionStore({"azureml_submission": json.dumps(record)}).load()._asdict(), record)


@pytest.mark.parametrize("row", rows_of("evidence", ALL))
def test_how_runs_are_found_in_a_workspace_is_known(row):
    from aml_provider.durable.evidence import Evidence
    from aml_provider.durable.lookup import Search

    evidence = Evidence(story.fixed_settings(), row.get, variables.write)
    assert evidence.due == ()
    for way in ("tag", "property", "pipeline"):
        assert evidence.proves_absence(Search((), "", frozenset({way})))


# Intents and cursors.


def test_the_next_try_finds_the_schedule_whose_reply_was_lost(world, database, monkeypatch):
    (meant,) = (one.id for one in world.emulator.state.schedules.all() if one.name == "nightly")
    played = before_the_next_try("rows_scheduled", monkeypatch).again()
    assert (played.state, played.result) == ("success", meant)
    assert world.emulator.requests("POST", "Schedules/Create") == []
    if not AIRFLOW_V_3_3_PLUS:
        assert not list(variables_in_database("azureml_schedule_intent"))
    else:
        assert "azureml_schedule_intent" not in played.states_kept()


def test_a_schedules_runs_are_followed_from_where_they_were(world, database):
    first, second = (run.id for run in world.runs() if run.experiment == "by-schedule")
    for day, run_id in ((DAY_1, first), (DAY_2, second)):
        played = Story("rows_followed").on(day)
        assert (played.state, played.result) == ("success", run_id)
    # The record was gone on from, not begun anew: read, taken again, arrived and taken for the next day.
    ((key, text),) = ((key, text) for key, text in RECORDS["variables"].items() if "rows_followed" in key)
    after = variables_in_database("azureml_cursor_rows_followed")
    assert list(after) == [key]
    assert json.loads(after[key])["serial"] == json.loads(text)["serial"] + 3


def test_only_the_blob_that_has_changed_since_is_reported(world, database):
    (text,) = (text for key, text in RECORDS["variables"].items() if "rows_changed_run" in key)
    # The task that took the last batch gets it again.
    assert Story("rows_changed").on(DAY_2).result == json.loads(text)["batch"]
    world.landing.write("in/a.csv")
    changes = Story("rows_changed").on(DAY_3).result
    assert [(change["name"], change["change"]) for change in changes] == [("a.csv", "modified")]


def test_a_batch_of_which_nobody_knows_whether_it_arrived_is_reported_again(world, database):
    # The DAG run that took it is not in this database; another test may have made it.
    delete(Story("rows_changed").on(DAY_2).dag_run)
    story.put_variables(RECORDS["variables"])
    world.landing.write("in/d.csv")
    changes = Story("rows_changed").on(DAY_3).result
    assert [(change["name"], change["change"]) for change in changes] == [("c.csv", "added"), ("d.csv", "added")]


def test_a_cursor_in_a_blob_is_found_there(database, azurite, monkeypatch):
    ((name, text),) = RECORDS["blobs"].items()
    with azurite.container() as container, EmulatorServer(SEED) as emulator:
        store = Datastore("landing", azurite.account_name, container.container_name, account_key=azurite.account_key)
        emulator.state.datastores["landing"] = store
        connection = json.dumps(story.connection(emulator.url, azurite.blob_endpoint))
        monkeypatch.setenv("AIRFLOW_CONN_AZUREML_DEFAULT", connection)
        container.upload_blob(name, text.encode())
        played = Story("rows_changed_in_blob").on(DAY_1)
        after = json.loads(container.download_blob(name).readall())
    before = json.loads(text)
    assert (played.state, played.result) == ("success", before["batch"])
    assert says(after, {**before, "serial": before["serial"] + 1})


@pytest.mark.parametrize("folder", ALL, ids=lambda folder: folder.name)
def test_each_field_of_a_cursor_is_read(folder):
    from aml_provider.blobs.cursor import Cursor, Difference, undone
    from aml_provider.durable.handover import Commit
    from aml_provider.durable.run_cursor import RunCursor

    rows = load("records", folder)
    texts = [text for key, text in rows["variables"].items() if key.startswith("azureml_cursor_")]
    texts += rows["blobs"].values()
    assert len(texts) == 3
    for text in texts:
        commit = Commit.decode(text)
        assert says(json.loads(commit.encode()), json.loads(text))
        if "run_id" in commit.batch[0]:
            assert says(json.loads(RunCursor.decode(commit.cursor_text).encode()), json.loads(commit.cursor_text))
            assert RunCursor.decode(commit.undo_text).latest is None
        else:
            assert Cursor.decode(commit.cursor_text).encode() == commit.cursor_text
            assert Difference.decode(commit.undo_text).encode() == commit.undo_text
            without_batch, _ = undone(commit.cursor_text, commit.undo_text)
            assert len(Cursor.decode(commit.cursor_text)) - len(commit.batch) == len(Cursor.decode(without_batch))


# Triggers, and the tasks that they resume.


@pytest.mark.parametrize("row", [*rows_of("triggers"), *rows_of("job_triggers"), *rows_of("run_event_triggers")])
def test_a_trigger_is_made_of_its_row(row, caplog):
    from airflow.models.crypto import get_fernet
    from airflow.models.trigger import Trigger
    from airflow.utils.session import create_session

    with create_session() as session:
        made = Trigger(classpath=row["classpath"], kwargs={})
        made.encrypted_kwargs = get_fernet().encrypt(row["kwargs"].encode()).decode()
        session.add(made)
        session.flush()
        number = made.id
    trigger, _ = inflated(number, Trigger.bulk_fetch({number})[number])
    path, arguments = trigger.serialize()
    assert path == row["classpath"]
    assert says(json.loads(json.dumps(arguments)), row["meant"])
    assert "does not know" not in caplog.text


@pytest.mark.parametrize("name", story.RESUMED)
def test_a_task_resumes_from_its_row(name, world, in_memory):
    row = load("resumed")[name]
    dag_id, day = {
        "the schedule sensor": ("rows_followed", DAY_1),
        "the blob sensor": ("rows_changed", DAY_2),
    }.get(name, ("rows_ended", DAY_1))
    context = story.a_context(dag_id, f"manual__{day.isoformat()}")
    kwargs = deferral.read(row["next_kwargs"])
    assert kwargs == row["meant"]
    result = story.RESUMED[name]().resume_execution(row["next_method"], kwargs, context)
    (blobs,) = (json.loads(text) for key, text in in_memory.items() if "rows_changed_run" in key)
    first = next(run.id for run in world.runs() if run.experiment == "by-schedule")
    ended = story.submissions()["rows_ended"]["run_id"]
    assert result == {
        "the run operator": ended,
        "the run sensor": ended,
        "the schedule operator": story.SCHEDULE_ID,
        "the schedule sensor": first,
        "the blob sensor": blobs["batch"],
    }.get(name)
    assert world.submissions == []


# XComs, DAGs, connections.


@pytest.mark.parametrize("row", rows_of("xcoms"))
def test_an_xcom_says_what_it_said(row):
    xcom.allow_classes()
    assert says(plain(read(row["value"])), row["means"])


def test_the_run_that_a_task_has_deferred_for_is_known_by_its_xcom(world, in_memory):
    """An event about another run is not its own."""
    pushed = load("pushed")
    ended, left = (story.submissions()[dag_id]["run_id"] for dag_id in ("rows_ended", "rows_left"))
    context = story.a_context("rows_ended", "manual__1")
    context["ti"].xcoms = {key: left if key == pushed["run_key"] else value for key, value in pushed["xcoms"].items()}
    event = {**load("resumed")["the run operator"]["meant"]["event"], "run_id": ended}
    with pytest.raises(TaskDeferred) as deferred:
        story.RESUMED["the run operator"]().resume_execution("execute_complete", {"event": event}, context)
    assert deferred.value.trigger.run_id == left


@pytest.mark.parametrize("name", [pytest.param("links", marks=links), "classes"])
def test_a_dag_that_was_serialised_is_the_same(name):
    stored, now = load("dag"), story.serialised(story.every_task())

    def tasks(whole):
        return {one["task_id"]: one for one in (item.get("__var", item) for item in whole["dag"]["tasks"])}

    def described(task):
        names = ("_operator_extra_links",) if name == "links" else ("_task_module", "task_type")
        return {key: task[key] for key in names if key in task}

    assert tasks(now).keys() == tasks(stored).keys()
    for task_id, task in tasks(stored).items():
        assert says(described(tasks(now)[task_id]), described(task)), task_id
        # Arguments are added, and none goes.
        assert set(task["template_fields"]) <= set(tasks(now)[task_id]["template_fields"])


@links
def test_a_dag_that_was_serialised_has_its_link(monkeypatch):
    from airflow.providers_manager import ProvidersManager
    from support.airflow.moved import DagSerialization

    ProvidersManager().initialize_providers_extra_links()
    # The scheduler, which another test has played, can do without.
    monkeypatch.setattr(DagSerialization, "_load_operator_extra_links", True, raising=False)
    dag = DagSerialization.from_dict(load("dag"))
    links = dag.get_task("run_pipeline").operator_extra_link_dict
    assert list(links) == ["Azure ML pipeline run"]
    assert links["Azure ML pipeline run"].xcom_key == "_link_AzureMLPipelineRunLink"
    assert "_link_AzureMLPipelineRunLink" in load("pushed")["xcoms"]


def test_a_connection_means_what_it_meant(monkeypatch):
    from aml_provider.get_provider_info import get_provider_info

    rows = load("connection")
    monkeypatch.setenv("AIRFLOW_CONN_ROW", json.dumps(rows["row"]))
    settings = AzureMLHook("row").settings()
    assert says(plain(settings), rows["means"])
    assert settings.secret.reveal() == rows["row"]["password"]
    assert settings.certificate_password.reveal() == rows["row"]["extra"]["certificate_password"]
    (kind,) = get_provider_info()["connection-types"]
    assert kind["connection-type"] == rows["row"]["conn_type"]
    assert set(kind["conn-fields"]) >= set(rows["form"])


# Watchers.


@pytest.mark.skipif(not AIRFLOW_V_3_3_PLUS, reason="Airflow has a state store for assets since 3.3")
async def test_a_watcher_goes_on_from_its_asset(world, monkeypatch):
    from support.airflow.triggerer import Database, Triggerer

    rows = load("watchers")["asset_states"]
    database = Database(monkeypatch)
    database.kept = {(asset, key): text for asset, key, text in rows}
    (outbox,) = (json.loads(text)["outbox"] for _, key, text in rows if not key.endswith(" owner"))
    arrivals_as_then(world.landing)
    async with Triggerer(database) as triggerer:
        triggerer.start(story.a_watcher(), "arrivals")
        await triggerer.until(lambda: database.changed("arrivals"))
        world.landing.write("in/last.csv")
        await triggerer.until(lambda: len(database.changed("arrivals")) > 1)
    assert database.events["arrivals"][:1] == outbox
    assert database.changed("arrivals") == ["new.csv", "last.csv"]


@pytest.mark.skipif(IS_AIRFLOW_2, reason="no asset watchers")
async def test_a_watcher_goes_on_from_its_variable(world, in_memory):
    """Before Airflow 3.3."""
    rows = load("watchers", ALL[-1])["variables"]
    in_memory.update(rows)
    (outbox,) = (json.loads(text)["outbox"] for text in rows.values())
    arrivals_as_then(world.landing, "in/newer.csv")
    events = story.a_watcher(asset="arrivals").run()
    async with asyncio.timeout(120):
        again = (await anext(events)).payload
        world.landing.write("in/last.csv")
        new = (await anext(events)).payload
    await events.aclose()
    assert [again] == outbox
    assert [change["name"] for change in new["changes"]] == ["last.csv"]


def arrivals_as_then(landing, *more):
    """The folder as it was when the watchers saw it, ETag by ETag."""
    landing.blobs.clear()
    landing._writes = 0
    for name in ("in/a.csv", "in/b.csv", "in/new.csv", *more):
        landing.write(name)


# The emulator's file.


@pytest.mark.parametrize("row", [pytest.param(one, id=one.name) for one in ALL if (one / "workspace.json").exists()])
def test_a_workspace_in_a_file_answers_as_it_did(row, tmp_path):
    rows = load("workspace", row)
    file = tmp_path / "workspace.json"
    file.write_text(json.dumps(rows["state"]))
    with serving(state_file=file) as api:
        found = answers(api, rows["answers"])
        held = [(one.id, one.status) for one in api.emulator.state.schedules.all()]
    # What no answer shows is in the file again.
    assert says(json.loads(file.read_text()), {key: value for key, value in rows["state"].items() if key != "clock"})
    assert found.keys() == rows["answers"].keys()
    for question, answer in rows["answers"].items():
        assert found[question] == answer, question
    assert held == [(one["id"], one["status"]) for one in rows["state"]["schedules"]]
