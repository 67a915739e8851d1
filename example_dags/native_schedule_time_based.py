"""A native schedule in the workspace that runs a published pipeline every morning, even while Airflow is down.

Run this DAG whenever the schedule may have to change. It creates the schedule, or updates it if it differs from the
arguments here. ``azureml_native_schedule_time_based_stop`` disables it.
"""

from __future__ import annotations

try:
    from airflow.sdk import DAG
except ImportError:  # Airflow 2
    from airflow import DAG

from aml_provider.client.models import Recurrence
from aml_provider.operators.schedule import AzureMLCreateScheduleOperator, AzureMLDisableScheduleOperator

NAME = "airflow-example-every-morning"

with DAG(
    dag_id="azureml_native_schedule_time_based",
    schedule=None,  # by hand, or with your deployment
    catchup=False,
    max_active_runs=1,  # two at the same time could not see each other's new schedule
    default_args={"retries": 2},
    tags=["azureml", "example"],
    doc_md=__doc__,
):
    AzureMLCreateScheduleOperator(
        task_id="schedule",
        name=NAME,
        pipeline_name="score-files",
        experiment_name="airflow-examples",
        # Without a start time the service would start a run immediately.
        recurrence=Recurrence("Day", 1, start_time="2026-01-01T00:00:00", time_zone="Asia/Seoul", time_of_day="7:00"),
        parameters={"input_string": "orders.csv"},
        description="Every morning at seven in Seoul",
        deferrable=True,  # waits in the triggerer until the service has set it up
    )

with DAG(
    dag_id="azureml_native_schedule_time_based_stop",
    schedule=None,
    catchup=False,
    default_args={"retries": 2},
    tags=["azureml", "example"],
    doc_md="Disable the schedule of ``azureml_native_schedule_time_based``; the service cannot delete schedules.",
):
    AzureMLDisableScheduleOperator(task_id="disable", schedule_name=NAME)
