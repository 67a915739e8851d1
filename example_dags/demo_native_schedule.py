"""The third DAG of ``make demo``: create a native schedule, follow its next run to the end, disable the schedule.

Here the workspace starts the pipeline, not Airflow. The schedule belongs to the DAG run: disabling it is the teardown
of creating it, so it is also disabled if something in between fails.
"""

from __future__ import annotations

from datetime import timedelta

try:
    from airflow.sdk import DAG
except ImportError:  # Airflow 2
    from airflow import DAG

from aml_provider.client.models import DataPath, Recurrence
from aml_provider.operators.schedule import AzureMLCreateScheduleOperator, AzureMLDisableScheduleOperator
from aml_provider.sensors.pipeline import AzureMLPipelineRunSensor
from aml_provider.sensors.schedule import AzureMLScheduleRunSensor

with DAG(
    dag_id="azureml_demo_schedule",
    schedule=None,
    catchup=False,
    max_active_runs=1,  # two at the same time could not see each other's new schedule
    default_args={"retries": 2, "retry_delay": timedelta(seconds=5)},
    tags=["azureml", "demo"],
    doc_md=__doc__,
):
    create = AzureMLCreateScheduleOperator(
        task_id="create",
        name="airflow-demo-hourly",
        pipeline_name="score-files",
        experiment_name="airflow-demo",
        # Without a start time the service would start a run immediately.
        recurrence=Recurrence("Hour", 1, start_time="2026-01-01T00:00:00", time_zone="UTC"),
        data_paths={"input_datapath": DataPath("workspaceblobstore", "incoming/orders.csv")},
        description="Every hour, until its first run has ended",
    )
    started = AzureMLScheduleRunSensor(
        task_id="wait_for_a_run",
        schedule_id=create.output,
        poke_interval=2,
        deferrable=True,
    )
    ended = AzureMLPipelineRunSensor(
        task_id="wait_for_its_end",
        run_id=started.output,
        poke_interval=2,
        deferrable=True,
    )
    disable = AzureMLDisableScheduleOperator(
        task_id="disable",
        schedule_id=create.output,
    ).as_teardown(setups=create, on_failure_fail_dagrun=True)
    ended >> disable
