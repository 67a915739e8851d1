"""Sensors in every mode, each on a folder of its own, and one pipeline run for each batch that says what was in it."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG

from aml_provider.operators.pipeline import AzureMLRunPipelineOperator
from aml_provider.sensors.blob import AzureBlobChangeSensor

MODES = {
    "poke": {"mode": "poke", "poke_interval": 2},
    # Each look is a process of its own.
    "reschedule": {"mode": "reschedule", "poke_interval": 15},
    "deferred": {"deferrable": True, "poke_interval": 2},
    # Two runs wait at the same time, and share what they have seen.
    "shared": {"deferrable": True, "poke_interval": 2, "cursor_store": "landing/records"},
}


def versions(changes):
    """A batch as the text of a parameter."""
    return json.dumps([[change["path"], change["etag"]] for change in changes or ()], ensure_ascii=False)


for name, arguments in MODES.items():
    with DAG(
        f"blobs_{name}",
        schedule=timedelta(seconds=15) if name == "shared" else "@continuous",
        start_date=datetime(2026, 1, 1),  # noqa: DTZ001 - Airflow reads it in its own time zone
        catchup=False,
        max_active_runs=2 if name == "shared" else 1,
        default_args={"retries": 50, "retry_delay": timedelta(seconds=1), "azureml_conn_id": "azureml_blobs"},
        user_defined_macros={"versions": versions},
    ):
        wait = AzureBlobChangeSensor(
            task_id="wait", datastore="landing", path=name, on_first_poll="report", max_changes=30, **arguments
        )
        hand_over = AzureMLRunPipelineOperator(
            task_id="hand_over",
            pipeline_name="blobs-take",
            experiment_name=f"blobs-{name}",
            parameters={
                "reader": "{{ dag.dag_id }}",
                "consumer": "{{ run_id }}",
                "versions": "{{ versions(ti.xcom_pull(task_ids='wait')) }}",
            },
            deferrable=name != "poke",
            poll_interval=2,
        )
        wait >> hand_over
