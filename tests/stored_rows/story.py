"""What the captured rows are about: a workspace, the tasks that use it, and when they run.

``capture.py`` plays this and writes down what Airflow stored; ``tests/dags/test_stored_rows.py`` plays on from there.
Task and DAG names, dates and arguments are in those rows: what is here must not change, only what is added.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from airflow import __version__
from airflow.providers.common.compat.sdk import DAG
from airflow.utils.session import create_session
from support.airflow.dags import run, set_state
from support.airflow.played_dag import PlayedDag
from support.airflow.task import Task

from aml_provider.client.models import DataPath, Recurrence
from aml_provider.client.settings import CLOUDS, WorkspaceSettings
from aml_provider.compat import AIRFLOW_V_3_3_PLUS
from aml_provider.operators.pipeline import (
    AzureMLDisablePipelineOperator,
    AzureMLEnablePipelineOperator,
    AzureMLRunPipelineOperator,
)
from aml_provider.operators.schedule import (
    AzureMLCreateScheduleOperator,
    AzureMLDisableScheduleOperator,
    AzureMLEnableScheduleOperator,
)
from aml_provider.sensors.blob import AzureBlobChangeSensor
from aml_provider.sensors.pipeline import AzureMLPipelineRunSensor
from aml_provider.sensors.schedule import AzureMLScheduleRunSensor

FOLDER = Path(__file__).parent
VERSION = tuple(map(int, __version__.split(".")[:2]))
#: Where rows are captured with this Airflow.
OURS = FOLDER / f"airflow-{VERSION[0]}.{VERSION[1]}"


def captured() -> list[Path]:
    """The folders with rows, those of the oldest Airflow first."""
    return sorted((folder for folder in FOLDER.iterdir() if folder.name.startswith("airflow-")), key=_version)


def readable() -> list[Path]:
    """Those of them that this Airflow may find in its database: it is upgraded, but not downgraded."""
    return [folder for folder in captured() if _version(folder) <= VERSION]


def _version(folder: Path) -> tuple[int, ...]:
    return tuple(map(int, folder.name.removeprefix("airflow-").split(".")))


IS_AIRFLOW_2 = __version__.startswith("2.")
DAY_1, DAY_2, DAY_3 = (datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2, 3))
TOKEN = "not-a-real-token"
SEED = {
    "datastores": [{"name": "landing", "account_name": "account", "account_key": "a2V5", "container": "landing"}],
    "pipelines": [
        {
            "name": "quick",
            "id": "quick",
            "parameters": [{"name": "count", "type": "Int", "default": "1"}],
            "steps": [{"name": "work", "run_seconds": 10}],
        },
        {"name": "long", "id": "long", "steps": [{"name": "work", "run_seconds": 36000}]},
    ],
}
SCHEDULE_ID = "hourly"
HOURLY = {
    "name": "hourly",
    "id": SCHEDULE_ID,
    "pipeline_id": "quick",
    "submission": {"experiment": "by-schedule"},
    "recurrence": {"frequency": "Hour", "interval": 1},
}


def connection(url: str, blob_endpoint: str | None = None) -> dict[str, Any]:
    """The connection that leads to an emulator."""
    extra = {
        "subscription_id": "00000000-0000-0000-0000-000000000000",
        "resource_group": "local",
        "workspace_name": "local",
        "auth_method": "static_token",
        "endpoint": url,
    }
    if blob_endpoint is not None:
        extra["blob_endpoint"] = blob_endpoint
    return {"conn_type": "azureml", "password": TOKEN, "extra": extra}


def _run(**arguments: Any) -> AzureMLRunPipelineOperator:
    return AzureMLRunPipelineOperator(task_id="run", experiment_name="exp", poll_interval=0.1, **arguments)


def _create() -> AzureMLCreateScheduleOperator:
    return AzureMLCreateScheduleOperator(
        task_id="run",
        name="nightly",
        experiment_name="exp",
        pipeline_id="quick",
        parameters={"count": 3},
        recurrence=Recurrence("Week", 1, week_days=["Monday"], time_of_day="3:00", time_zone="Asia/Seoul"),
    )


def _changed(**arguments: Any) -> AzureBlobChangeSensor:
    return AzureBlobChangeSensor(
        task_id="run",
        datastore="landing",
        path="in",
        on_first_poll="report",
        poke_interval=0.1,
        timeout=30,
        **arguments,
    )


TASKS = {
    # Its try ended while its run went on.
    "rows_left": lambda: _run(pipeline_id="long"),
    # The reply to its submission was lost.
    "rows_doubted": lambda: _run(pipeline_id="long"),
    "rows_ended": lambda: _run(pipeline_id="quick", parameters={"count": 2}),
    # The reply to the schedule's creation was lost.
    "rows_scheduled": _create,
    "rows_followed": lambda: AzureMLScheduleRunSensor(
        task_id="run", schedule_id=SCHEDULE_ID, since=DAY_1, poke_interval=0.1, timeout=30
    ),
    "rows_changed": _changed,
    "rows_changed_in_blob": lambda: _changed(cursor_store="landing/records"),
}


class Story(PlayedDag):
    """A DAG of one task, ``run``, without retries."""

    def __init__(self, dag_id: str) -> None:
        with DAG(dag_id, schedule=None, start_date=datetime(2025, 1, 1, tzinfo=UTC)) as dag:
            TASKS[dag_id]()
        super().__init__(dag)

    def on(self, day: datetime) -> Story:
        """Run it for a day, whatever comes of it."""
        self.dag_run = run(self._dag, day)
        return self

    def again(self) -> Story:
        """The next try of the same task instance, which nobody has cleared."""
        set_state(self.dag_run, "run", None)
        self.sync()
        self._go_on()
        return self

    @property
    def state(self) -> str:
        (ti,) = self.instances()
        return str(ti.state)

    @property
    def result(self) -> Any:
        """What it returned, as the next task reads it."""
        (ti,) = self.instances()
        return ti.xcom_pull(task_ids="run", key="return_value")

    def states_kept(self) -> dict[str, str]:
        """What it keeps in Airflow's task state store, as text; none before 3.3."""
        if not AIRFLOW_V_3_3_PLUS:
            return {}
        from airflow.state import get_state_backend

        found = {key: get_state_backend().get(self._scope(), key) for key in STATE_KEYS}
        return {key: text for key, text in found.items() if text is not None}

    def keep(self, states: dict[str, str]) -> None:
        """Put that there."""
        if not states:
            return
        from airflow.state import get_state_backend

        for key, text in states.items():
            get_state_backend().set(self._scope(), key, text)

    def _scope(self) -> Any:
        from airflow.state import TaskScope

        return TaskScope(dag_id=self.dag_run.dag_id, run_id=self.dag_run.run_id, task_id="run", map_index=-1)


def a_context(dag_id: str, run_id: str) -> Any:
    """The context of such a task, outside of Airflow."""
    task = Task()
    task.ti.dag_id, task.ti.run_id, task.ti.max_tries = dag_id, run_id, 0
    return {**task.context, "dag_run": SimpleNamespace(data_interval_start=DAY_1, run_after=DAY_1)}


#: What is resumed, each by a row of its own.
RESUMED = {
    "the run operator": lambda: _run(pipeline_id="quick", deferrable=True),
    "the run sensor": lambda: AzureMLPipelineRunSensor(
        task_id="run", run_id=submissions()["rows_ended"]["run_id"], deferrable=True
    ),
    "the schedule operator": _create,
    "the schedule sensor": TASKS["rows_followed"],
    "the blob sensor": TASKS["rows_changed"],
}
STATE_KEYS = ("azureml_submission", "azureml_schedule_intent")


def put_variables(variables: dict[str, str]) -> None:
    """Make these Airflow's Variables, and no others of ours."""
    from airflow.models.variable import Variable

    with create_session() as session:
        for row in session.query(Variable).filter(Variable.key.startswith("azureml_")):
            session.delete(row)
        session.flush()
        for key, text in variables.items():
            session.add(Variable(key=key, val=text))


def every_task() -> DAG:
    """A DAG with each operator and sensor, to be serialised as Airflow stores it."""
    with DAG("rows_of_all", schedule=None, start_date=DAY_1) as dag:
        AzureMLRunPipelineOperator(
            task_id="run_pipeline",
            pipeline_name="score",
            experiment_name="exp",
            parameters={"p": 1},
            data_paths={"d": DataPath("store", "in/a.csv")},
            tags={"team": "ml"},
            deferrable=True,
        )
        AzureMLDisablePipelineOperator(task_id="disable_pipeline", pipeline_id="old")
        AzureMLEnablePipelineOperator(task_id="enable_pipeline", pipeline_id="old")
        AzureMLCreateScheduleOperator(
            task_id="create_schedule",
            name="nightly",
            experiment_name="exp",
            pipeline_id="quick",
            recurrence=Recurrence("Day", 1),
        )
        AzureMLDisableScheduleOperator(task_id="disable_schedule", schedule_id="s")
        AzureMLEnableScheduleOperator(task_id="enable_schedule", schedule_name="nightly")
        AzureMLPipelineRunSensor(task_id="wait_for_run", run_id="{{ ti.xcom_pull('run_pipeline') }}")
        AzureMLScheduleRunSensor(task_id="wait_for_schedule", schedule_name="nightly")
        AzureBlobChangeSensor(task_id="wait_for_blobs", datastore="landing", path="in", pattern=["*.csv"])
    return dag


def serialised(dag: DAG) -> dict[str, Any]:
    """A DAG as Airflow's database holds it."""
    from support.airflow.moved import DagSerialization

    found: dict[str, Any] = json.loads(json.dumps(DagSerialization.to_dict(dag)))
    return found


def triggers() -> dict[str, Any]:
    """Each kind of trigger, with all its arguments and with as few as possible."""
    from aml_provider.triggers.blob import AzureBlobChangeTrigger, AzureBlobLookTrigger
    from aml_provider.triggers.pipeline import AzureMLPipelineRunTrigger
    from aml_provider.triggers.schedule import AzureMLScheduleProvisioningTrigger
    from aml_provider.triggers.schedule_run import AzureMLScheduleLookTrigger

    made = {
        "a run": AzureMLPipelineRunTrigger("run-1", "exp"),
        "a run, all arguments": AzureMLPipelineRunTrigger(
            "run-1",
            "exp",
            poll_interval=7.5,
            deadline=4102444800.25,
            azureml_conn_id="other",
            cancel_on_kill=False,
            durable=False,
        ),
        "a schedule's provisioning": AzureMLScheduleProvisioningTrigger("schedule-1", 4102444800.0),
        "a schedule's provisioning, all arguments": AzureMLScheduleProvisioningTrigger(
            "schedule-1", 4102444800.25, poll_interval=2.5, azureml_conn_id="other"
        ),
        "a schedule's runs": AzureMLScheduleLookTrigger(cursor_variable="azureml_cursor_x"),
        "a schedule's runs, all arguments": AzureMLScheduleLookTrigger(
            cursor_variable="azureml_cursor_x",
            schedule_id="schedule-1",
            since="2026-01-01T00:00:00+00:00",
            azureml_conn_id="other",
            poll_interval=7.5,
            deadline=4102444800.25,
            only_wait=True,
        ),
        "a folder": AzureBlobLookTrigger(cursor_variable="azureml_cursor_x", datastore="landing"),
        "a folder, all arguments": AzureBlobLookTrigger(
            cursor_variable="azureml_cursor_x",
            serial=12,
            container_url="https://account.blob.core.windows.net/landing",
            path="in/été",
            wasb_conn_id="wasb",
            azureml_conn_id="other",
            settle=30.5,
            ignore_empty=False,
            pattern=["*.csv", "a?.txt"],
            poll_interval=7.5,
            deadline=4102444800.25,
            only_wait=True,
            cursor_store="landing/records",
        ),
    }
    if not IS_AIRFLOW_2:
        made |= {
            "an asset's folder": AzureBlobChangeTrigger(datastore="landing"),
            "an asset's folder, all arguments": AzureBlobChangeTrigger(
                container_url="https://account.blob.core.windows.net/landing",
                path="in/été",
                pattern=["*.csv", "a?.txt"],
                wasb_conn_id="wasb",
                settle=30.5,
                ignore_empty=False,
                on_first_poll="report",
                poll_interval=7.5,
                state_key="mine",
                azureml_conn_id="other",
                asset="arrivals",
            ),
        }
    return made


def job_triggers() -> dict[str, Any]:
    """The triggers that wait for a job schedule, with all their arguments and with as few as possible."""
    from aml_provider.triggers.schedule import AzureMLScheduleProvisioningTrigger
    from aml_provider.triggers.schedule_run import AzureMLScheduleLookTrigger

    return {
        "a job schedule's provisioning": AzureMLScheduleProvisioningTrigger(
            "nightly", 4102444800.0, is_job_schedule=True
        ),
        "a job schedule's jobs": AzureMLScheduleLookTrigger(
            cursor_variable="azureml_cursor_x", job_schedule_name="nightly"
        ),
        "a job schedule's jobs, all arguments": AzureMLScheduleLookTrigger(
            cursor_variable="azureml_cursor_x",
            job_schedule_name="nightly",
            since="2026-01-01T00:00:00+00:00",
            azureml_conn_id="other",
            poll_interval=7.5,
            deadline=4102444800.25,
            only_wait=True,
        ),
    }


def run_event_triggers() -> dict[str, Any]:
    """The watchers of runs, with all their arguments and with as few as possible."""
    from aml_provider.triggers.run_event import AzureMLPipelineRunEventTrigger

    return {
        "an asset's experiment": AzureMLPipelineRunEventTrigger(experiment_name="nightly"),
        "an asset's runs of a pipeline, all arguments": AzureMLPipelineRunEventTrigger(
            pipeline_name="score",
            experiment_name="nightly",
            statuses=["Completed", "Failed"],
            tags={"team": None, "stage": 'it\'s "p"'},
            poll_interval=7.5,
            on_first_poll="report",
            state_key="mine",
            azureml_conn_id="other",
            asset="scored",
        ),
        "an asset's pipeline": AzureMLPipelineRunEventTrigger(pipeline_id="p-1"),
        "an asset's component": AzureMLPipelineRunEventTrigger(component_name="train"),
        "an asset's schedule": AzureMLPipelineRunEventTrigger(schedule_name="hourly"),
        "an asset's job schedule": AzureMLPipelineRunEventTrigger(job_schedule_name="nightly"),
    }


def a_watcher(**arguments: Any) -> Any:
    """The trigger of an asset's watcher."""
    from aml_provider.triggers.blob import AzureBlobChangeTrigger

    return AzureBlobChangeTrigger(datastore="landing", path="in", poll_interval=0.1, **arguments)


def fixed_settings() -> WorkspaceSettings:
    """A workspace that is nowhere."""
    names = dict.fromkeys(("subscription_id", "resource_group", "workspace_name"), "fixed")
    return WorkspaceSettings(
        **names,
        region=None,
        endpoint="https://example.com",
        cloud=CLOUDS["public"],
        auth_method="static_token",
        secret=TOKEN,
    )


def load(name: str, folder: Path | None = None) -> Any:
    """The rows of one file, of this Airflow or of the last one before it that was captured."""
    folder = readable()[-1] if folder is None else folder
    return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))["rows"]


def connect(url: str, blob_endpoint: str | None = None) -> None:
    """Let the default connection lead there."""
    os.environ["AIRFLOW_CONN_AZUREML_DEFAULT"] = json.dumps(connection(url, blob_endpoint))


def submissions(folder: Path | None = None) -> dict[str, dict[str, Any]]:
    """The captured submission records by their DAGs, in whichever place this Airflow keeps them."""
    rows = load("records", folder)
    if rows["task_states"]:
        found = {dag_id: kept.get("azureml_submission") for dag_id, kept in rows["task_states"].items()}
        return {dag_id: json.loads(text) for dag_id, text in found.items() if text is not None}
    texts = {key: text for key, text in rows["variables"].items() if key.startswith("azureml_submission_")}
    (ended,) = (text for key, text in rows["variables"].items() if key.startswith("azureml_ended_"))
    ((_, record),) = json.loads(ended).values()
    open_records = [json.loads(text) for text in texts.values()]
    (left,) = (one for one in open_records if one["run_id"] is not None)
    (doubted,) = (one for one in open_records if one["run_id"] is None)
    return {"rows_left": left, "rows_doubted": doubted, "rows_ended": record}
