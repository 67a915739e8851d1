"""Native schedules that tasks create and disable: one that every DAG run keeps, and a new one for each DAG run."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG

from aml_provider.client.models import Recurrence
from aml_provider.operators.schedule import AzureMLCreateScheduleOperator, AzureMLDisableScheduleOperator

NAMES = {"schedules_same": "same", "schedules_new": "new-{{ run_id }}"}

for dag_id, name in NAMES.items():
    with DAG(
        dag_id,
        schedule=timedelta(seconds=60),
        start_date=datetime(2026, 1, 1),  # noqa: DTZ001 - Airflow reads it in its own time zone
        catchup=False,
        max_active_runs=1,
        default_args={"retries": 50, "retry_delay": timedelta(seconds=1), "azureml_conn_id": "azureml_blobs"},
    ):
        create = AzureMLCreateScheduleOperator(
            task_id="create",
            name=name,
            pipeline_name="blobs-scheduled",
            experiment_name="blobs-scheduled",
            # Without a start time the service starts a run at once: a second schedule shows as a second run too.
            recurrence=Recurrence("Hour", 1),
            description="{{ run_id }}",
            deferrable=dag_id == "schedules_new",
        )
        disable = AzureMLDisableScheduleOperator(task_id="disable", schedule_name=name)
        create >> disable
