"""Schedules that tasks create and disable or delete: one that every DAG run keeps, and a new one for each DAG run.

Each DAG is there twice: with native schedules of published pipelines, and with job schedules.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG

from aml_provider.client.models import Recurrence
from aml_provider.operators.job_schedule import (
    AzureMLCreateJobScheduleOperator,
    AzureMLDeleteJobScheduleOperator,
    AzureMLDisableJobScheduleOperator,
)
from aml_provider.operators.schedule import AzureMLCreateScheduleOperator, AzureMLDisableScheduleOperator


def dag(dag_id):
    """A DAG that starts every minute."""
    return DAG(
        dag_id,
        schedule=timedelta(seconds=60),
        start_date=datetime(2026, 1, 1),  # noqa: DTZ001 - Airflow reads it in its own time zone
        catchup=False,
        max_active_runs=1,
        default_args={"retries": 50, "retry_delay": timedelta(seconds=1), "azureml_conn_id": "azureml_blobs"},
        user_defined_macros={"plain": lambda text: re.sub("[^0-9A-Za-z_-]", "-", text)},
    )


def wanted(dag_id):
    """The arguments of both kinds of schedules."""
    return {
        "task_id": "create",
        "experiment_name": "blobs-scheduled",
        # Without a start time the service starts a run at once: a second schedule shows as a second run too.
        "recurrence": Recurrence("Hour", 1),
        "description": "{{ run_id }}",
        "deferrable": dag_id.endswith("new"),
    }


for dag_id, name in {"schedules_same": "same", "schedules_new": "new-{{ run_id }}"}.items():
    with dag(dag_id):
        create = AzureMLCreateScheduleOperator(name=name, pipeline_name="blobs-scheduled", **wanted(dag_id))
        create >> AzureMLDisableScheduleOperator(task_id="disable", schedule_name=name)

# A job schedule can be deleted, and its name says which one it is.
for dag_id, name in {"job_schedules_same": "same", "job_schedules_new": "new-{{ plain(run_id) }}"}.items():
    with dag(dag_id):
        create = AzureMLCreateJobScheduleOperator(name=name, component_name="blobs-scheduled", **wanted(dag_id))
        if dag_id == "job_schedules_same":
            create >> AzureMLDisableJobScheduleOperator(task_id="disable", name=name)
        else:
            create >> AzureMLDeleteJobScheduleOperator(task_id="delete", name=name)
