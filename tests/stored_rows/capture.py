"""Writes down what the present code stores in Airflow's database and in the emulator's file, for later code to read.

Run it by hand, with each Airflow, when something is stored that was not stored before::

    python tests/stored_rows/capture.py NAME…

A row that is there already is never captured again: that it can still be read is what the test is for. So without a
name this only lists what there is, and with the name of a file that exists it refuses; add a file instead. Each says
from which commit it is.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

FOLDER = Path(__file__).parent
TESTS = FOLDER.parent
sys.path[:0] = [str(TESTS), str(TESTS.parent / "scripts"), str(TESTS.parent)]

# First: Airflow reads its configuration when it is imported.
import conftest  # noqa: E402, F401
from stored_rows.plain import CLASS  # noqa: E402

if TYPE_CHECKING:
    from datetime import datetime

#: In a hundred years a run that takes ten hours is still not older than that: the workspace's clock never goes back.
CLOCK = 4070908800.0  # 2099-01-01


def main(names: list[str]) -> int:
    from airflow.utils.db import initdb
    from stored_rows import story

    kinds = {
        "records": records,
        "evidence": evidence,
        "triggers": triggers,
        "job_triggers": job_triggers,
        "run_event_triggers": run_event_triggers,
        "resumed": resumed,
        "xcoms": xcoms,
        "dag": dag,
        "pushed": pushed,
        "watchers": watchers,
        "connection": connection,
        "workspace": workspace,
    }
    if not names:
        sys.stdout.write(f"{', '.join(kinds)}; {', '.join(str(file.name) for file in story.OURS.glob('*.json'))}\n")
        return 0
    with warnings.catch_warnings(action="ignore"):
        initdb()
    story.OURS.mkdir(exist_ok=True)
    for name in names:
        write(story.OURS / f"{name}.json", kinds[name]())
    return 0


def write(file: Path, rows: dict[str, object]) -> None:
    from airflow import __version__

    if file.exists():
        raise SystemExit(f"{file} is there; what it holds is for ever")
    git = ["git", "-C", str(TESTS.parent)]
    if subprocess.run([*git, "status", "--porcelain", "aml_provider"], capture_output=True, check=True).stdout:
        raise SystemExit("commit aml_provider first: the rows say which code wrote them")
    commit = subprocess.run(
        [*git, "log", "-1", "--format=%h", "aml_provider"], capture_output=True, check=True, text=True
    )
    written_by = {"commit": commit.stdout.strip(), "airflow": __version__}
    # A row on each line.
    lines = [f"  {json.dumps(name)}: {json.dumps(row, ensure_ascii=False)}" for name, row in rows.items()]
    text = ",\n".join(lines)
    file.write_text(f'{{\n "written_by": {json.dumps(written_by)},\n "rows": {{\n{text}\n }}\n}}\n', encoding="utf-8")


def records() -> dict[str, object]:
    """Submission records, intents and cursors, and the workspace that they speak of."""
    import os

    from azurite import Azurite
    from stored_rows import story
    from stored_rows.story import DAY_1, DAY_2, SEED, Story
    from support.airflow.dags import variables
    from support.services.folder import ContainerServer

    from aml_provider.emulator.server import EmulatorServer

    os.environ |= {"AIRFLOW__AZUREML__LOOKUP_GRACE": "0.3", "AIRFLOW__AZUREML__RETRY_BUDGET": "0.1"}
    states = {}
    file = Path(tempfile.mkdtemp()) / "workspace.json"
    file.write_text(json.dumps({"clock": CLOCK, **SEED, "schedules": [story.HOURLY]}))
    with ContainerServer() as server, EmulatorServer(state_file=file, speed=100.0) as emulator:
        story.connect(emulator.url, server.url)
        landing = server.container("landing")
        for name in ("in/a.csv", "in/b.csv"):
            landing.write(name)
        emulator.clock.advance(2 * 3600 + 60)

        def play(dag_id: str, day: datetime, state: str) -> None:
            played = Story(dag_id).on(day)
            assert played.state == state, (dag_id, played.state)
            if kept := played.states_kept():
                states[dag_id] = kept
            emulator.faults.clear()

        play("rows_ended", DAY_1, "success")
        emulator.faults.add("status", status=503, method="GET", path="*/PipelineRuns/????????-*", times=50)
        play("rows_left", DAY_1, "failed")
        emulator.faults.add("drop", method="POST", path="*/PipelineRuns/PipelineSubmit/*")
        emulator.faults.add("status", status=503, method="POST", path="*query*", times=50)
        emulator.faults.add("status", status=503, method="GET", path="*/PipelineRuns/*", times=50)
        play("rows_doubted", DAY_1, "failed")
        emulator.faults.add("drop", method="POST", path="*/Schedules/Create*")
        emulator.faults.add("status", status=503, method="GET", path="*/Schedules*", times=50, after=1)
        play("rows_scheduled", DAY_1, "failed")
        play("rows_followed", DAY_1, "success")
        play("rows_changed", DAY_1, "success")
        landing.write("in/c.csv")
        play("rows_changed", DAY_2, "success")
        emulator.clock.hold()
        url = server.url
    kept = variables("azureml_")
    with Azurite() as azurite, azurite.container() as container, EmulatorServer(SEED) as emulator:
        from aml_provider.emulator.workspace.models import Datastore

        store = Datastore("landing", azurite.account_name, container.container_name, account_key=azurite.account_key)
        emulator.state.datastores["landing"] = store
        story.connect(emulator.url, azurite.blob_endpoint)
        container.upload_blob("in/a.csv", b"x")
        assert Story("rows_changed_in_blob").on(DAY_1).state == "success"
        blobs = {
            blob.name: container.download_blob(blob.name).readall().decode()
            for blob in container.list_blobs("records/")
        }
        address = f"{azurite.blob_endpoint}/{container.container_name}"
    rows = {"variables": kept, "task_states": states, "blobs": blobs, "workspace": json.loads(file.read_text())}
    text = json.dumps(rows, ensure_ascii=False)
    for real in (f"{url}/landing", address):
        text = text.replace(real, "https://account.blob.core.windows.net/landing")
    assert "127.0.0.1" not in text, re.findall(r".{40}127\.0\.0\.1.{40}", text)
    found: dict[str, object] = json.loads(text)
    return found


def triggers() -> dict[str, object]:
    """Rows of all kinds of triggers."""
    from stored_rows import story

    return trigger_rows(story.triggers())


def job_triggers() -> dict[str, object]:
    """Rows of the triggers that wait for a job schedule of Azure ML v2."""
    from stored_rows import story

    return trigger_rows(story.job_triggers())


def run_event_triggers() -> dict[str, object]:
    """Rows of the watchers of runs; Airflow 2 has none."""
    from stored_rows import story

    return trigger_rows(story.run_event_triggers())


def trigger_rows(made: dict[str, object]) -> dict[str, object]:
    """Rows of the table ``trigger``; their arguments decrypted, as text."""
    from airflow.models.crypto import get_fernet
    from airflow.models.trigger import Trigger
    from airflow.utils.session import create_session

    rows = {}
    for name, trigger in made.items():
        with create_session() as session:
            row = Trigger.from_object(trigger)
            session.add(row)
            session.flush()
            number = row.id
        with create_session() as session:
            row = session.get(Trigger, number)
            text = get_fernet().decrypt(row.encrypted_kwargs.encode()).decode()
            # What was meant, in words of JSON that no Airflow has had its hands on.
            meant = trigger.serialize()[1]
            rows[name] = {"classpath": row.classpath, "kwargs": text, "meant": json.loads(json.dumps(meant))}
    return rows


def resumed() -> dict[str, object]:
    """``next_method`` and ``next_kwargs`` of task instances that were deferred and whose trigger has fired."""
    import asyncio

    from stored_rows import story
    from stored_rows.deferral import fired

    from aml_provider.emulator.server import EmulatorServer
    from aml_provider.triggers.blob import AzureBlobLookTrigger
    from aml_provider.triggers.pipeline import AzureMLPipelineRunTrigger
    from aml_provider.triggers.schedule import AzureMLScheduleProvisioningTrigger
    from aml_provider.triggers.schedule_run import AzureMLScheduleLookTrigger

    def event_of(trigger: object) -> object:
        async def first() -> object:
            async for event in trigger.run():
                return event.payload
            return None

        return asyncio.run(first())

    run_id = story.submissions()["rows_ended"]["run_id"]
    deadline = 4102444800.25
    look = {"cursor_variable": "azureml_cursor_x", "poll_interval": 0.1, "deadline": deadline, "only_wait": True}
    file = Path(tempfile.mkdtemp()) / "workspace.json"
    file.write_text(json.dumps(story.load("records")["workspace"]))
    made = {
        "the run operator": ({}, AzureMLPipelineRunTrigger(run_id, "exp", 0.1)),
        "the run sensor": ({"deadline": deadline}, AzureMLPipelineRunTrigger(run_id, "exp", 0.1, deadline=deadline)),
        "the schedule operator": ({}, AzureMLScheduleProvisioningTrigger(story.SCHEDULE_ID, deadline, 0.1)),
        "the schedule sensor": ({"deadline": deadline}, AzureMLScheduleLookTrigger(**look)),
        "the blob sensor": ({"deadline": deadline}, AzureBlobLookTrigger(datastore="landing", **look)),
    }
    rows = {}
    with EmulatorServer(state_file=file) as emulator:
        story.connect(emulator.url)
        for name, (kwargs, trigger) in made.items():
            event = event_of(trigger)
            text = fired(kwargs, event)
            rows[name] = {"next_method": "execute_complete", "next_kwargs": text, "meant": {**kwargs, "event": event}}
    assert rows.keys() == story.RESUMED.keys()
    return rows


def xcoms() -> dict[str, object]:
    """What each method of the hook returns, as the next task's XCom; and what it says."""
    import pytest
    from stored_rows.plain import plain
    from support.airflow.xcom import stored
    from support.drivers.hook_faces import connect
    from support.samples.hook_samples import SAMPLES, a_world

    from aml_provider import xcom
    from aml_provider.client import calls
    from aml_provider.emulator.server import EmulatorServer

    xcom.allow_classes()
    rows: dict[str, object] = {}

    def add(name: str, value: object, url: str) -> None:
        text = json.dumps({"value": stored(value), "means": plain(value)})
        rows[name] = json.loads(text.replace(url, "https://example.com"))

    with pytest.MonkeyPatch.context() as patch:
        for name, sample in SAMPLES.items():
            with EmulatorServer("demo") as emulator:
                emulator.clock.hold()
                world = a_world(emulator, connect(patch, emulator.url))
                add_metrics(emulator, world.run_id)
                arguments, options = sample(world)
                add(name, getattr(world.hook, name)(*arguments, **options), emulator.url)
        # What is asked for with a call of the client's.
        with EmulatorServer("demo") as emulator:
            emulator.clock.hold()
            world = a_world(emulator, connect(patch, emulator.url))
            add("settings", world.hook.settings(), emulator.url)
            with world.hook.client() as client:
                add("workspace", client.call(calls.get_workspace()), emulator.url)
                add("details", client.call(calls.get_run_details("scoring", world.run_id)), emulator.url)
                add("artifacts", client.call(calls.list_run_artifacts("scoring", world.run_id)), emulator.url)
                add("step statuses", client.call(calls.list_step_statuses(world.run_id)), emulator.url)
    first = {shape(row["means"]): name for name, row in reversed(rows.items())}
    rows = {name: row for name, row in rows.items() if name in first.values()}
    texts = json.dumps(rows)
    missing = {name for name in xcom.CLASSES if f"{name}\\" not in texts}
    # A state is stored as its text, by Airflow itself.
    assert missing <= {"aml_provider.client.entities.runs.RunState"}, missing
    return rows


def shape(value: object) -> str:
    """What kind of a value it is: of those that are alike, one row will do."""
    if isinstance(value, dict) and CLASS in value:
        return f"{value[CLASS]}({', '.join(f'{name}={shape(item)}' for name, item in value.items() if name != CLASS)})"
    if isinstance(value, dict):
        return f"map of {sorted({shape(item) for item in value.values()})}"
    if isinstance(value, list):
        return f"list of {sorted({shape(item) for item in value})}"
    return type(value).__name__


def add_metrics(emulator: object, run_id: str) -> None:
    from support.services.workspace_api import METRICS, Api

    values = [
        {"name": "loss", "columns": {"loss": "double"}, "value": [{"data": {"loss": 0.5}}, {"data": {"loss": 0.25}}]}
    ]
    with Api(emulator) as api:
        api.ask("POST", f"{METRICS}/runs/{run_id}/batch", json={"values": values})


def evidence() -> object:
    """Which ways of looking have found a run: the Variable's key is made of the workspace, so it is a fixed one."""
    import pytest
    from stored_rows import story

    from aml_provider.durable.evidence import Evidence
    from aml_provider.state import variables

    (text,) = (text for key, text in story.load("records")["variables"].items() if key.startswith("azureml_evidence_"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(variables, "read", lambda key: None)
        key = Evidence(story.fixed_settings(), variables.read, variables.write).name
    return {"variables": {key: text}}


def dag() -> object:
    """A DAG with every operator and sensor, as Airflow serialises it."""
    from stored_rows import story

    text = json.dumps(story.serialised(story.every_task()))
    return json.loads(text.replace(str(TESTS.parent), "/opt"))


def pushed() -> dict[str, object]:
    """What the run operator pushes before it has ended, and which of it tells its run."""
    import pytest
    from stored_rows import story

    from aml_provider.emulator.server import EmulatorServer
    from aml_provider.state import variables
    from aml_provider.state.task_end import RUN_ID_XCOM

    kept: dict[str, str] = {}
    with pytest.MonkeyPatch.context() as patch, EmulatorServer(story.SEED, speed=100.0) as emulator:
        patch.setattr(variables, "read", kept.get)
        patch.setattr(variables, "write", lambda key, text, description: kept.__setitem__(key, text))
        story.connect(emulator.url)
        context = story.a_context("rows_ended", "manual__1")
        run_id = story.TASKS["rows_ended"]().execute(context)
    xcoms = context["ti"].xcoms
    assert xcoms[RUN_ID_XCOM] == run_id
    link = {key: text.replace(emulator.url, "https://example.com") for key, text in xcoms.items()}
    return {"run_key": RUN_ID_XCOM, "xcoms": link}


def connection() -> dict[str, object]:
    """A connection with all its fields, the names of which are in Airflow's database, and what they mean."""
    import os

    from stored_rows.plain import plain

    from aml_provider.get_provider_info import get_provider_info
    from aml_provider.hooks.azure_ml import AzureMLHook

    names = get_provider_info()["connection-types"][0]["conn-fields"]
    extra = {
        "subscription_id": "sub-1",
        "resource_group": "rg",
        "workspace_name": "ws",
        "region": "westeurope",
        "endpoint": "https://own.api.ml.azure.us",
        "cloud": "usgov",
        "auth_method": "client_certificate",
        "tenant_id": "contoso.com",
        "certificate_path": "/etc/cert.pem",
        "certificate_password": "not-a-password",
        "blob_endpoint": "https://account.blob.core.usgovcloudapi.net",
        "allow_http": False,
    }
    row = {"conn_type": "azureml", "login": "client-1", "password": "not-a-secret", "extra": extra}
    os.environ["AIRFLOW_CONN_ROW"] = json.dumps(row)
    return {"form": list(names), "row": row, "means": plain(AzureMLHook("row").settings())}


def watchers() -> object:
    """What the watcher of an asset keeps: in the asset's state store, and before Airflow 3.3 in a Variable."""
    import asyncio

    import pytest
    from stored_rows import story
    from support.airflow.triggerer import Database, Triggerer
    from support.services.folder import ContainerServer

    from aml_provider.emulator.server import EmulatorServer
    from aml_provider.state import variables

    kept: dict[str, str] = {}

    async def in_the_store() -> None:
        async with Triggerer(database, storing=False) as triggerer:
            triggerer.start(story.a_watcher(), "arrivals")
            await triggerer.until(lambda: database.states)
            landing.write("in/new.csv")
            # It dies before its event is stored.
            await triggerer.until(lambda: triggerer.fired)

    async def in_a_variable() -> None:
        watcher = story.a_watcher(asset="arrivals")
        events = watcher.run()
        async with asyncio.timeout(120):
            first = asyncio.ensure_future(anext(events))
            while not kept:  # noqa: ASYNC110 - nothing tells when it has been stored
                await asyncio.sleep(0.01)
            landing.write("in/newer.csv")
            await first
        await events.aclose()

    with pytest.MonkeyPatch.context() as patch, ContainerServer() as server, EmulatorServer(story.SEED) as emulator:
        story.connect(emulator.url, server.url)
        database = Database(patch)
        landing = server.container("landing")
        for name in ("in/a.csv", "in/b.csv"):
            landing.write(name)
        asyncio.run(in_the_store())
        patch.setattr(variables, "read", kept.get)
        patch.setattr(variables, "write", lambda key, text, description: kept.__setitem__(key, text))
        asyncio.run(in_a_variable())
    rows = {"asset_states": [[asset, key, text] for (asset, key), text in database.kept.items()], "variables": kept}
    text = json.dumps(rows).replace(f"{server.url}/landing", "https://account.blob.core.windows.net/landing")
    assert "127.0.0.1" not in text
    return json.loads(text)


def workspace() -> object:
    """The emulator's file with something of everything, and what the emulator answers."""
    from support.samples.whole_workspace import answers, change_everything
    from support.services.workspace_api import PIPELINES, SEED, serving

    file = Path(tempfile.mkdtemp()) / "workspace.json"
    seed = {
        **SEED,
        "pipelines": [
            *SEED["pipelines"],
            {"name": "long", "id": "long", "steps": [{"name": "work", "run_seconds": 36000}]},
        ],
    }
    file.write_text(json.dumps({"clock": CLOCK, **seed}))
    with serving(state_file=file) as api:
        questions = change_everything(api)
        submission = {"ExperimentName": "by-schedule", "Properties": {"p": "1"}}
        hourly = {"Frequency": "Hour", "Interval": 1, "TimeZone": "UTC"}
        folder = {"DataStoreName": "store", "PathOnDataStore": "in", "PollingInterval": 7}
        for body in (
            {"Name": "hourly", "PipelineId": "train", "Recurrence": hourly, "ScheduleType": "0"},
            {"Name": "watching", "PipelineId": "train", "DataStoreTriggerInfo": folder, "ScheduleType": "1"},
        ):
            api.ask("POST", f"{PIPELINES}/Schedules/Create", json={**body, "PipelineSubmissionInfo": submission})
        api.emulator.clock.advance(2 * 3600 + 60)
        given = api.submit(
            "train",
            ParameterAssignments={"rate": "0.1"},
            DataPathAssignments={"input": {"DataStoreName": "files", "RelativePath": "x"}},
        )
        running, canceled = api.submit("long"), api.submit("long", tags={"a": "b"})
        api.ask("POST", f"{PIPELINES}/PipelineRuns/{canceled}/Cancel")
        api.emulator.clock.advance(600)
        schedules = api.ask("GET", f"{PIPELINES}/Schedules?activeOnly=false")
        questions += [
            f"{PIPELINES}/Schedules?activeOnly=false",
            *(f"{PIPELINES}/PipelineRuns/Schedule/{one['Id']}" for one in schedules),
            *(f"{PIPELINES}/PipelineRuns/{run_id}" for run_id in (given, running, canceled)),
        ]
        found = answers(api, questions)
    return {"state": json.loads(file.read_text()), "answers": found}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
