"""DAGs as users write them. They are never run: ``test_api.py`` lets mypy and pyright check them.

A line that ends with ``# mistake`` has a mistake that both must find; they must find nothing else.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, Asset, AssetWatcher, task

from aml_provider.client.errors import AzureMLError, RunFailed
from aml_provider.client.models import DataPath, Recurrence
from aml_provider.decorators.pipeline import azureml_pipeline_task
from aml_provider.hooks.azure_ml import AzureMLHook
from aml_provider.operators.job_schedule import AzureMLCreateJobScheduleOperator, AzureMLDeleteJobScheduleOperator
from aml_provider.operators.pipeline import AzureMLDisablePipelineOperator, AzureMLRunPipelineOperator
from aml_provider.operators.schedule import AzureMLCreateScheduleOperator, AzureMLDisableScheduleOperator
from aml_provider.sensors.blob import AzureBlobChangeSensor
from aml_provider.sensors.pipeline import AzureMLPipelineRunSensor
from aml_provider.sensors.schedule import AzureMLScheduleRunSensor
from aml_provider.triggers.blob import AzureBlobChangeTrigger

if TYPE_CHECKING:
    from aml_provider.client.models import Frequency
    from aml_provider.decorators.pipeline import PipelineArguments


@task
def choose_pipeline() -> str:
    """Return the name of a pipeline."""
    return "score"


@task
def choose_parameters() -> dict[str, Any]:
    """Return parameters."""
    return {"threshold": 0.5}


with DAG("runs", schedule=None, default_args={"retries": 2}):
    name = choose_pipeline()
    run = AzureMLRunPipelineOperator(
        task_id="run",
        pipeline_name=name,
        experiment_name="{{ dag.dag_id }}",
        parameters={"threshold": 0.5, "name": name, "limit": 3, "full": True},
        data_paths={
            "one": DataPath("store", "in/{{ ds }}"),
            "two": "store/in",
            "three": {"datastore": "store", "path": name},
            "four": name,
        },
        datasets={"data": name, "more": "id"},
        tags={"team": "ml", "from": name},
        description=name,
        deferrable=True,
        poll_interval=timedelta(seconds=30),
        on_timeout="leave",
        execution_timeout=timedelta(hours=1),
        azureml_conn_id=name,
    )
    AzureMLRunPipelineOperator(
        task_id="component",
        component_name="score",
        component_version=3,
        compute="cpu",
        experiment_name=name,
        parameters=choose_parameters(),
        data_paths="paths.yaml",
        datasets="datasets/{{ ds }}.json",
        tags="tags.yml",
    )
    AzureMLRunPipelineOperator(
        task_id="mistaken",
        pipeline_name=5,  # mistake
        experiment_name=["e"],  # mistake
        parameters=["a"],  # mistake
        data_paths={"a": 5},  # mistake
        datasets={"a": 5},  # mistake
        tags={"a", "b"},  # mistake
        poll_interval="30",  # mistake
        deferrable="yes",  # mistake
        on_timeout="kill",  # mistake
        azureml_conn_id=None,  # mistake
    )
    AzureMLRunPipelineOperator(task_id="no_experiment", pipeline_name="score")  # mistake
    AzureMLDisablePipelineOperator(task_id="disable", pipeline_name=name)
    AzureMLDisablePipelineOperator(task_id="mistaken_disable", pipeline_id=b"id")  # mistake
    AzureMLPipelineRunSensor(task_id="wait", run_id=run.output, poke_interval=timedelta(minutes=1))
    AzureMLPipelineRunSensor(task_id="mistaken_wait", run_id=5)  # mistake
    DataPath(5)  # mistake


FREQUENCY: Frequency = "Day"

with DAG("schedules", schedule=None, default_args={"retries": 2}):
    nightly = AzureMLCreateScheduleOperator(
        task_id="nightly",
        name=name,
        pipeline_name="score",
        experiment_name="scoring",
        recurrence=Recurrence(FREQUENCY, 1, hours=[2], start_time=datetime(2026, 1, 1), week_days=None),  # noqa: DTZ001
        status="Disabled",
        if_exists="reuse",
    )
    AzureMLCreateScheduleOperator(
        task_id="weekly",
        name="weekly",
        pipeline_id="id",
        experiment_name="scoring",
        recurrence={"frequency": "Week", "interval": 1, "week_days": ["Monday"]},
    )
    AzureMLCreateScheduleOperator(
        task_id="mistaken_schedule",
        name="mistaken",
        pipeline_id="id",
        experiment_name="scoring",
        recurrence=Recurrence("Daily", 1),  # mistake
        polling_interval="5",  # mistake
        status="Off",  # mistake
        if_exists="replace",  # mistake
    )
    Recurrence("Week", 1, week_days=["Mon"])  # mistake
    AzureMLDisableScheduleOperator(task_id="disable_nightly", schedule_id=nightly.output)
    AzureMLCreateJobScheduleOperator(
        task_id="jobs",
        name="jobs",
        component_name=name,
        experiment_name="scoring",
        cron=name,
        start_time="2026-12-01T00:00:00",
        end_time=name,
    )
    AzureMLCreateJobScheduleOperator(
        task_id="mistaken_jobs",
        name="jobs",
        component_name="score",
        experiment_name="scoring",
        cron=7,  # mistake
        status="active",  # mistake
        if_exists="create",  # mistake
    )
    AzureMLDeleteJobScheduleOperator(task_id="delete", name=name)
    AzureMLScheduleRunSensor(task_id="next", schedule_id=nightly.output, since=datetime(2026, 1, 1))  # noqa: DTZ001
    AzureMLScheduleRunSensor(task_id="mistaken_next", since=5)  # mistake


with DAG("blobs", schedule=None, default_args={"retries": 2}):
    wait = AzureBlobChangeSensor(
        task_id="wait_for_blobs",
        datastore="store",
        path=name,
        pattern=["*.csv", "*.json"],
        settle=timedelta(minutes=1),
        on_first_poll="report",
        deferrable=True,
    )
    AzureBlobChangeSensor(
        task_id="mistaken_blobs",
        datastore="store",
        pattern=5,  # mistake
        settle="1m",  # mistake
        on_first_poll="all",  # mistake
        max_changes="10",  # mistake
        wake_queue=5,  # mistake
        resync="1h",  # mistake
    )
    AzureMLRunPipelineOperator.partial(task_id="mapped", pipeline_name="score", experiment_name="scoring").expand(
        data_paths=wait.output.map(lambda change: {"input": change})
    )

Asset("good", watchers=[AssetWatcher(name="w", trigger=AzureBlobChangeTrigger(datastore="s", on_first_poll="report"))])
AzureBlobChangeTrigger(datastore="store", on_first_poll="forget")  # mistake


@azureml_pipeline_task(
    pipeline_name="score",
    experiment_name="scoring",
    parameters={"threshold": 0.5},
    deferrable=True,
    retries=2,
)
def typed(customer: str, *, limit: int = 3) -> PipelineArguments:
    """Return the arguments of a run."""
    return {"parameters": {"customer": customer, "limit": limit}, "data_paths": {"input": "store/in"}}


@azureml_pipeline_task(component_name="score", experiment_name="scoring")
def plain() -> dict[str, Any] | None:
    """Return the arguments of a run, or nothing."""
    return {"tags": {"a": "b"}}


@azureml_pipeline_task(
    pipeline_name="score",
    experiment_name="scoring",
    on_timeout="kill",  # mistake
)
def mistaken_arguments() -> None:
    """Return nothing."""


@azureml_pipeline_task(pipeline_name="score")  # mistake
def without_experiment() -> None:
    """Return nothing."""


@azureml_pipeline_task(pipeline_name="score", experiment_name="scoring")  # mistake
def mistaken_result() -> list[str]:
    """Return a list."""
    return []


@azureml_pipeline_task(pipeline_name="score", experiment_name="scoring")
def mistaken_key() -> PipelineArguments:
    """Return a misspelt key."""
    return {"paramter": {"a": 1}}  # mistake


@task.azureml_pipeline(pipeline_name="score", experiment_name="scoring", deferrable=True)
def by_airflows_name(customer: str) -> PipelineArguments:
    """Return the arguments of a run; checkers do not see the decorator's own arguments here."""
    return {"parameters": {"customer": customer}}


with DAG("decorated", schedule=None, default_args={"retries": 2}):
    first = typed("north", limit=4)
    typed.expand(customer=["north", "south"])
    typed.override(task_id="other")("south")
    plain()
    by_airflows_name("north")
    AzureMLPipelineRunSensor(task_id="wait_for_typed", run_id=first)
    typed(5)  # mistake
    typed("north", limits=4)  # mistake


@task
def in_python() -> str:
    """Use the hook."""
    hook = AzureMLHook()
    try:
        run_id = hook.submit_pipeline("id", experiment_name="scoring", parameters={"a": 1}).id
        found = hook.wait_for_run(run_id, timeout=60)
    except RunFailed as failed:
        return failed.run_id or ""
    except AzureMLError:
        raise
    hook.create_schedule("s", pipeline_id="id", experiment_name="e", recurrence=Recurrence("Day", 1), if_exists="reuse")
    hook.create_schedule("s", pipeline_id="id", experiment_name="e", if_exists="always")  # mistake
    hook.get_run(5)  # mistake
    return found.nam  # mistake
