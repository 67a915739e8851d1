"""The example DAGs, run whole inside this process against the emulator and Azurite."""

from __future__ import annotations

import contextlib
import inspect
import json
import os
import re
import sqlite3
import threading
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.airflow.example_runs import hurry, started_by

from aml_provider.compat import AIRFLOW_V_3_0_PLUS, AIRFLOW_V_3_3_PLUS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow.dag_processing.dagbag import DagBag
    from azure.storage.blob import ContainerClient
    from azurite import Azurite

    from aml_provider.emulator.server import EmulatorServer

EXAMPLES = {
    "azureml_run_pipeline",
    "azureml_arguments_from_function",
    "azureml_from_v1_to_v2",
    "azureml_blob_change_one_run_per_file",
    "azureml_blob_change_one_run_per_batch",
    "azureml_pipeline_as_stage",
    "azureml_demo",
    "azureml_demo_component",
    "azureml_demo_schedule",
    "azureml_native_schedule_time_based",
    "azureml_native_schedule_time_based_stop",
    "azureml_native_schedule_change_based",
    "azureml_native_schedule_change_based_stop",
    "azureml_after_native_schedule",
    "azureml_job_schedule",
    "azureml_after_job_schedule",
    "azureml_job_schedule_delete",
}
if AIRFLOW_V_3_0_PLUS:
    EXAMPLES |= {"azureml_blob_change_asset_watcher", "azureml_run_event_asset_watcher"}
if AIRFLOW_V_3_3_PLUS:
    EXAMPLES.add("azureml_retry_policy")
CSV = b"order,amount\n1,19.90\n2,5.10\n"

pytestmark = [
    pytest.mark.usefixtures("azureml_default"),
    # Airflow 2.11 itself copies the whole context to render a map_index_template.
    pytest.mark.filterwarnings("ignore:Accessing '.*' from the template is deprecated"),
]


@pytest.fixture
def container(azurite: Azurite) -> Iterator[ContainerClient]:
    """The container of the demo's datastore, with nothing in it."""
    client = azurite.container("azureml-blobstore-demo")
    # Other suites use the demo's workspace too.
    _empty(client)
    yield client
    _empty(client)


def _empty(client: ContainerClient) -> None:
    for name in list(client.list_blob_names()):
        client.delete_blob(name)


@pytest.fixture
def run_example(dag_bag: DagBag, emulator: EmulatorServer) -> Iterator[Callable[..., Any]]:
    """Run an example, in shorter intervals than its own; ``when_watched`` is called when its sensor has looked once."""
    emulator.clock.set(speed=20)
    ended = threading.Event()
    helpers = []

    def run(dag_id: str, when_watched: Callable[[], None] | None = None) -> Any:
        if when_watched is not None:
            helpers.append(threading.Thread(target=_when_watched, args=(dag_id, when_watched, ended)))
            helpers[-1].start()
        dag_run = hurry(dag_bag.dags[dag_id]).test()
        states = {f"{ti.task_id}[{ti.map_index}]": str(ti.state) for ti in dag_run.get_task_instances()}
        assert str(dag_run.state) == "success", states
        return dag_run

    yield run
    ended.set()
    for helper in helpers:
        helper.join()


def _when_watched(dag_id: str, action: Callable[[], None], ended: threading.Event) -> None:
    # In this process only the task itself may use Airflow's own way to Variables.
    database = Path(os.environ["AIRFLOW_HOME"], "airflow.db")
    with contextlib.closing(sqlite3.connect(database, timeout=30)) as connection:
        # With the task's name, because the name of another DAG may begin with this one's.
        query = "SELECT 1 FROM variable WHERE key GLOB ?"
        while not ended.wait(0.05):
            if connection.execute(query, (f"azureml_cursor_{dag_id}_wait_for_files_*",)).fetchone():
                action()
                return


def _submitted(emulator: EmulatorServer) -> list[tuple[str, str]]:
    """The data path and the parameter of each run."""
    return sorted(
        (f"{path.datastore}/{path.path}", run.parameters.get("input_string", ""))
        for run in emulator.state.runs.values()
        for path in [run.data_paths["input_datapath"]]
    )


def _results(container: ContainerClient) -> list[dict[str, Any]]:
    names = container.list_blob_names(name_starts_with="results/")
    return [json.loads(container.download_blob(name).readall()) for name in names]


def _returned(dag_run: Any, task_id: str) -> Any:
    return dag_run.get_task_instance(task_id).xcom_pull(task_ids=task_id)


def test_every_example_loads_without_errors_and_warnings(dag_bag: DagBag):
    assert dag_bag.import_errors == {}
    assert dag_bag.captured_warnings == {}
    assert set(dag_bag.dags) == EXAMPLES


@pytest.mark.parametrize("dag_id", sorted(EXAMPLES))
def test_every_example_says_what_it_shows(dag_bag: DagBag, dag_id: str):
    dag = dag_bag.dags[dag_id]
    assert len(dag.doc_md or "") > 50
    assert "azureml" in dag.tags
    assert not dag.catchup


def test_run_pipeline(run_example, emulator, container):
    for name in ("orders", "other"):
        container.upload_blob(f"incoming/{name}.csv", CSV)
    run_example("azureml_run_pipeline")
    assert _submitted(emulator) == [("workspaceblobstore/incoming", "orders.csv")]
    assert [result["inputs"] for result in _results(container)] == [["incoming/orders.csv"]]


def _arguments(task: Any) -> dict[str, str]:
    """The operator's own arguments, in the form in which two tasks can be compared."""
    return {name: repr(getattr(task, name)) for name in inspect.signature(type(task)).parameters if hasattr(task, name)}


def test_the_two_forms_of_the_example_differ_in_one_line_and_the_page_shows_it(dag_bag, monkeypatch):
    path = dag_bag.dags["azureml_from_v1_to_v2"].fileloc
    forms = {}
    for target in ("v1", "v2"):
        monkeypatch.setenv("SCORE_WITH", target)
        (dag,) = dag_bag.process_file(path, only_if_updated=False)
        (task,) = dag.tasks
        forms[target] = _arguments(task)
    old, new = (dict(forms[target].items() - forms[other].items()) for target, other in (("v1", "v2"), ("v2", "v1")))
    # Each form has one argument that the other one leaves at None.
    assert old == {"pipeline_name": "'score-files'", "component_name": "None"}
    assert new == {"pipeline_name": "None", "component_name": "'score_files'"}
    page = Path(path).parents[1] / "docs/how-to/from-v1-to-v2.md"
    (diff,) = re.findall(r"^```diff\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    changed = [line for line in diff.splitlines() if not line.startswith(" ")]
    assert changed == ['-    pipeline_name="score-files",', '+    component_name="score_files",']


@pytest.mark.parametrize("target", ["v2", "v1"])
def test_one_line_moves_a_dag_to_a_component(run_example, dag_bag, emulator, container, monkeypatch, target):
    monkeypatch.setenv("SCORE_WITH", target)
    dag_bag.process_file(dag_bag.dags["azureml_from_v1_to_v2"].fileloc, only_if_updated=False)
    container.upload_blob("incoming/orders.csv", CSV)
    run_example("azureml_from_v1_to_v2")
    (run,) = emulator.state.runs.values()
    assert (run.job is not None) == (target == "v2")
    assert [result["inputs"] for result in _results(container)] == [["incoming/orders.csv"]]


def test_a_function_computes_the_arguments_of_each_run(run_example, emulator, container):
    for name in ("north-1", "north-2", "south-1", "other"):
        container.upload_blob(f"incoming/{name}.csv", CSV)
    run_example("azureml_arguments_from_function")
    assert _submitted(emulator) == [
        ("workspaceblobstore/incoming", "north-1.csv,north-2.csv"),
        ("workspaceblobstore/incoming", "south-1.csv"),
    ]
    assert {run.history_tags["customer"] for run in emulator.state.runs.values()} == {"north", "south"}
    assert sorted(result["rows"] for result in _results(container)) == [2, 4]


def test_one_run_per_file(run_example, emulator, container):
    container.upload_blob("incoming/before.csv", CSV)

    def deliver() -> None:
        for name in ("incoming/archive/a.csv", "incoming-old/a.csv", "incoming/a.txt"):
            container.upload_blob(name, CSV)
        # Whoever may upload a file chooses its name.
        for name in ("incoming/a.csv", "incoming/{{ 1+1 }}.csv"):
            container.upload_blob(name, CSV)

    run_example("azureml_blob_change_one_run_per_file", when_watched=deliver)
    assert _submitted(emulator) == [
        ("workspaceblobstore/incoming/a.csv", ""),
        ("workspaceblobstore/incoming/{{ 1+1 }}.csv", ""),
    ]
    assert sorted(result["rows"] for result in _results(container)) == [2, 2]


def test_one_run_per_batch(run_example, emulator, container):
    container.upload_blob("incoming/before.csv", CSV)

    def deliver() -> None:
        for name in ("incoming/archive/a.csv", "incoming/a.csv", "incoming/{{ 1+1 }}.csv"):
            container.upload_blob(name, CSV)

    run_example("azureml_blob_change_one_run_per_batch", when_watched=deliver)
    ((path, names),) = _submitted(emulator)
    assert path == "workspaceblobstore/incoming"
    assert sorted(names.split(",")) == ["a.csv", "{{ 1+1 }}.csv"]
    (result,) = _results(container)
    assert sorted(result["inputs"]) == ["incoming/a.csv", "incoming/{{ 1+1 }}.csv"]


@pytest.mark.skipif(not AIRFLOW_V_3_3_PLUS, reason="Airflow has a state store for assets since 3.3")
def test_asset_watcher(run_example, emulator, container):
    from aml_provider.blobs.events import split

    def event(name: str) -> Any:
        container.upload_blob(f"incoming/{name}", CSV, overwrite=True)
        etag = container.get_blob_client(f"incoming/{name}").get_blob_properties().etag
        place = {"datastore": "workspaceblobstore", "container_url": container.url, "path": f"incoming/{name}"}
        more = {"last_modified": "2026-01-01T00:00:00+00:00", "size": len(CSV), "change": "added"}
        (made,) = split([{**place, "name": name, "etag": etag, **more}])
        return made

    dag_id, asset = "azureml_blob_change_asset_watcher", "azureml_incoming_files"
    # Without events, as when a person starts it, it has nothing to do; and now Airflow knows its asset.
    assert run_example(dag_id).get_task_instance("take_changes").xcom_pull(task_ids="take_changes") == []
    a, b, c, d = event("a.csv"), event("{{ 1+1 }}.csv"), event("c.csv"), event("d.csv")
    with started_by(dag_id, asset, [a, a], since=(b,)):
        run_example(dag_id)
    assert _submitted(emulator) == [
        ("workspaceblobstore/incoming/a.csv", ""),
        ("workspaceblobstore/incoming/{{ 1+1 }}.csv", ""),
    ]
    # A triggerer died, and made an event again.
    with started_by(dag_id, asset, [b, c], since=(d,)):
        run_example(dag_id)
    assert [path for path, _ in _submitted(emulator)].count("workspaceblobstore/incoming/{{ 1+1 }}.csv") == 1
    assert {path[-5:] for path, _ in _submitted(emulator)} == {"a.csv", "}.csv", "c.csv", "d.csv"}
    assert len(_results(container)) == 4


@pytest.mark.skipif(not AIRFLOW_V_3_3_PLUS, reason="Airflow has a state store for assets since 3.3")
def test_run_event_asset_watcher(run_example):
    from aml_provider.durable.run_events import RunEvent

    def event(name: str, status: str = "Finished") -> RunEvent:
        return RunEvent(
            id=name,
            run_id=f"run-{name}",
            status=status,
            pipeline_id="p",
            pipeline_name="score-files",
            experiment_name="airflow-examples",
            ended="2026-01-01T00:00:00+00:00",
            link=f"https://ml.azure.com/runs/run-{name}",
        )

    def taken(dag_run: Any) -> list[str]:
        return [run["id"] for run in _returned(dag_run, "take_runs")]

    dag_id, asset = "azureml_run_event_asset_watcher", "azureml_scoring_runs"
    # Without events, as when a person starts it, it has nothing to do; and now Airflow knows its asset.
    assert taken(run_example(dag_id)) == []
    a, b, c, d = event("a"), event("b", "Failed"), event("c"), event("d")
    with started_by(dag_id, asset, [a, a], since=(b,)):
        assert taken(run_example(dag_id)) == ["a", "b"]
    # A triggerer died, and made an event again.
    with started_by(dag_id, asset, [b, c], since=(d,)):
        dag_run = run_example(dag_id)
    assert taken(dag_run) == ["c", "d"]
    (first, second) = (ti for ti in dag_run.get_task_instances() if ti.task_id == "next_stage")
    texts = {ti.xcom_pull(task_ids="next_stage", map_indexes=ti.map_index) for ti in (first, second)}
    assert texts == {f"score-files Finished: https://ml.azure.com/runs/run-{name}" for name in "cd"}


@pytest.mark.skipif(not AIRFLOW_V_3_3_PLUS, reason="Airflow has a state store for assets since 3.3")
@pytest.mark.parametrize(
    ("dag_id", "asset", "task_id", "content"),
    [
        ("azureml_run_event_asset_watcher", "azureml_scoring_runs", "take_runs", {"run_id": "r"}),
        ("azureml_blob_change_asset_watcher", "azureml_incoming_files", "take_changes", {"changes": [{"name": "b"}]}),
    ],
)
def test_a_thousand_events_after_an_outage_are_taken_once(dag_bag, dag_id, asset, task_id, content):
    """The first DAG run has read them all when the second, which they start too, begins."""
    from support.airflow.played_dag import PlayedDag

    dag = hurry(dag_bag.dags[dag_id].partial_subset(task_id))  # without a task for each event

    def taken(played: PlayedDag) -> int:
        return len(_returned(played.dag_run, task_id))

    assert taken(PlayedDag(dag).play()) == 0  # now Airflow knows the asset
    payloads = [{"id": sha256(f"{dag_id} {n}".encode()).hexdigest(), **content} for n in range(1201)]
    old, new = payloads[:1200], payloads[1200:]
    with started_by(dag_id, asset, old[:200], since=old[200:]):
        first = PlayedDag(dag).play()
    assert taken(first) == 1200
    with started_by(dag_id, asset, old[200:] + new):
        assert taken(PlayedDag(dag).play()) == 1
    # A person clears the first: it takes its events again, and not those of the second.
    assert taken(first.clear_dag_run()) == 1200
    with started_by(dag_id, asset, old[-200:] + new):
        assert taken(PlayedDag(dag).play()) == 0


@pytest.mark.skipif(not AIRFLOW_V_3_3_PLUS, reason="Airflow has retry policies since 3.3")
def test_retry_policy(run_example, container):
    container.upload_blob("incoming/orders.csv", CSV)
    dag_run = run_example("azureml_retry_policy")
    assert _returned(dag_run, "read_status") == "Finished"


def test_pipeline_as_stage(run_example, emulator, container):
    dag_run = run_example("azureml_pipeline_as_stage")
    assert _submitted(emulator) == [("workspaceblobstore/prepared/orders.csv", "")]
    assert _returned(dag_run, "report") == {"rows": 2, "amount": 25.0}


def test_the_demo_dag_scores_an_uploaded_file_and_checks_the_result(run_example, emulator, container):
    dag_run = run_example("azureml_demo", when_watched=lambda: container.upload_blob("incoming/orders.csv", CSV))
    assert _submitted(emulator) == [("workspaceblobstore/incoming/orders.csv", "")]
    (run,) = emulator.state.runs.values()
    (checked,) = _returned(dag_run, "check_results")
    assert checked == {"run_id": run.id, "inputs": ["incoming/orders.csv"], "rows": 2, "amount": 25.0}


def test_the_demo_component_scores_the_uploaded_file(run_example, emulator, container):
    container.upload_blob("incoming/orders.csv", CSV)
    dag_run = run_example("azureml_demo_component")
    (run,) = emulator.state.runs.values()
    assert run.job is not None
    assert _returned(dag_run, "score") == run.id
    assert [result["inputs"] for result in _results(container)] == [["incoming/orders.csv"]]


def test_demo_schedule(run_example: Callable[..., Any], emulator: EmulatorServer, container: ContainerClient):
    container.upload_blob("incoming/orders.csv", CSV)
    # Otherwise another hour may begin during the test.
    emulator.clock.hold()

    def let_an_hour_begin_and_its_run_end() -> None:
        while not emulator.state.schedules.all():
            threading.Event().wait(0.05)
        emulator.clock.advance(3600 - emulator.clock.now() % 3600 + 1800)

    helper = threading.Thread(target=let_an_hour_begin_and_its_run_end)
    helper.start()
    dag_run = run_example("azureml_demo_schedule")
    helper.join()
    (schedule,) = emulator.state.schedules.all()
    assert schedule.status == "Disabled"
    (run,) = emulator.state.runs.values()
    assert run.schedule_id == schedule.id == _returned(dag_run, "create")
    assert _returned(dag_run, "wait_for_its_end") == run.id
    (result,) = _results(container)
    assert result["inputs"] == ["incoming/orders.csv"]


def test_after_native_schedule(run_example: Callable[..., Any], emulator: EmulatorServer, container: ContainerClient):
    from aml_provider.client import calls
    from aml_provider.hooks.azure_ml import AzureMLHook

    container.upload_blob("incoming/a.csv", CSV)
    body = {
        "Name": "score-files-hourly",
        "PipelineId": "10000000-0000-4000-8000-000000000001",
        "PipelineSubmissionInfo": {"ExperimentName": "scheduled", "Properties": {}},
        # A minute is three seconds here.
        "Recurrence": {"Frequency": "Minute", "Interval": 1},
        "ScheduleType": "0",
    }
    with AzureMLHook().client() as client:
        schedule = client.call(calls.create_schedule(body))
    dag_run = run_example("azureml_after_native_schedule")
    run_id = _returned(dag_run, "wait_for_a_run")
    assert emulator.state.runs[run_id].schedule_id == schedule.id
    assert _returned(dag_run, "next_stage") == f"results/{run_id}.json"


def test_a_job_schedule_is_made_once_followed_and_deleted(run_example, emulator, container):
    container.upload_blob("incoming/orders.csv", CSV)
    emulator.clock.hold()
    for _ in range(2):
        run_example("azureml_job_schedule")
    (schedule,) = [item for item in emulator.state.job_schedules.all() if item.name.startswith("airflow-example")]
    trigger = schedule.properties["trigger"]
    assert (trigger["expression"], trigger["timeZone"]) == ("0 7 * * 1-5", "Korea Standard Time")
    assert schedule.enabled
    assert list(emulator.state.runs) == []

    emulator.clock.advance(7 * 86_400)
    jobs = sorted(emulator.state.runs.values(), key=lambda run: run.created)
    assert [run.job.schedule for run in jobs] == [schedule.name] * 5
    dag_run = run_example("azureml_after_job_schedule")
    assert _returned(dag_run, "wait_for_a_job") == jobs[0].id
    assert _returned(dag_run, "next_stage") == f"results/{jobs[0].id}.json"

    run_example("azureml_job_schedule_delete")
    assert schedule not in emulator.state.job_schedules.all()
