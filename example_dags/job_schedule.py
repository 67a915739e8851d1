"""A job schedule of Azure ML v2 that runs a component every weekday morning, even while Airflow is down.

Run ``azureml_job_schedule`` whenever the schedule may have to change: it creates the schedule, or writes what differs
from the arguments here. ``azureml_after_job_schedule`` runs the next stage after each of its jobs.
``azureml_job_schedule_delete`` deletes it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

try:
    from airflow.sdk import DAG, task
except ImportError:  # Airflow 2
    from airflow import DAG
    from airflow.decorators import task

from aml_provider.client.models import DataPath
from aml_provider.operators.job_schedule import AzureMLCreateJobScheduleOperator, AzureMLDeleteJobScheduleOperator
from aml_provider.sensors.pipeline import AzureMLPipelineRunSensor
from aml_provider.sensors.schedule import AzureMLScheduleRunSensor

NAME = "airflow-example-weekday-mornings"


@task
def next_stage(job_id: Any) -> str:
    """Use the result of the job with this id; here only its name."""
    return f"results/{job_id}.json"


with DAG(
    dag_id="azureml_job_schedule",
    schedule=None,  # by hand, or with your deployment
    catchup=False,
    default_args={"retries": 2},
    tags=["azureml", "example"],
    doc_md=__doc__,
):
    AzureMLCreateJobScheduleOperator(
        task_id="schedule",
        name=NAME,  # its identity: there is never a second one
        component_name="score_files",
        experiment_name="airflow-examples",
        cron="0 7 * * 1-5",
        time_zone="Asia/Seoul",
        # Without a start time the service may start a job immediately.
        start_time="2026-01-01T00:00:00",
        parameters={"input_string": "orders.csv"},
        data_paths={"input_datapath": DataPath("workspaceblobstore", "incoming")},
        description="Every weekday morning at seven in Seoul",
        deferrable=True,  # waits in the triggerer until the service has set it up
    )

with DAG(
    dag_id="azureml_after_job_schedule",
    schedule="@continuous",  # when a DAG run ends, the next one begins to wait
    start_date=datetime(2026, 1, 1),  # noqa: DTZ001 - Airflow reads it in its own time zone
    catchup=False,
    max_active_runs=1,  # two would wait for the same jobs
    default_args={"retries": 2},
    tags=["azureml", "example"],
    doc_md="Run the next stage after each job of ``azureml_job_schedule``, also after those that Airflow missed.",
):
    started = AzureMLScheduleRunSensor(
        task_id="wait_for_a_job",
        job_schedule_name=NAME,
        poke_interval=60,
        deferrable=True,
    )
    ended = AzureMLPipelineRunSensor(
        task_id="wait_for_its_end",
        run_id=started.output,
        poke_interval=60,
        deferrable=True,
    )
    next_stage(ended.output)

with DAG(
    dag_id="azureml_job_schedule_delete",
    schedule=None,
    catchup=False,
    default_args={"retries": 2},
    tags=["azureml", "example"],
    doc_md="Delete the schedule of ``azureml_job_schedule``. Jobs that it has started continue.",
):
    AzureMLDeleteJobScheduleOperator(task_id="delete", name=NAME)
