"""Run the next stage after each run that a native schedule started.

The schedule fires in Azure, even while Airflow is down. When Airflow is up again, the sensor returns the runs that it
missed, one in each DAG run, in the order in which they began.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

try:
    from airflow.sdk import DAG, task
except ImportError:  # Airflow 2
    from airflow import DAG
    from airflow.decorators import task

from aml_provider.sensors.pipeline import AzureMLPipelineRunSensor
from aml_provider.sensors.schedule import AzureMLScheduleRunSensor


@task
def next_stage(pipeline_run: Any) -> str:
    """Use the result of the pipeline run with this id; here only its name."""
    return f"results/{pipeline_run}.json"


with DAG(
    dag_id="azureml_after_native_schedule",
    schedule="@continuous",  # when a DAG run ends, the next one begins to wait
    start_date=datetime(2026, 1, 1),  # noqa: DTZ001 - Airflow reads it in its own time zone
    catchup=False,
    max_active_runs=1,  # two would wait for the same runs
    default_args={"retries": 2},
    tags=["azureml", "example"],
    doc_md=__doc__,
):
    started = AzureMLScheduleRunSensor(
        task_id="wait_for_a_run",
        schedule_name="score-files-hourly",
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
