"""One pipeline run for each DAG run, waited for on a worker or deferred; with retries, or once."""

from __future__ import annotations

import os
from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG

from aml_provider.operators.pipeline import AzureMLRunPipelineOperator

RETRIES = int(os.environ["KILLS_RETRIES"])

for name, deferrable, retries in (
    ("on_worker", False, RETRIES),
    ("deferred", True, RETRIES),
    ("on_worker_once", False, 0),
    ("deferred_once", True, 0),
):
    with DAG(
        name,
        schedule=None,
        start_date=datetime(2026, 1, 1),  # noqa: DTZ001
        catchup=False,
        max_active_runs=500,
        max_active_tasks=500,
    ):
        AzureMLRunPipelineOperator(
            task_id="run",
            pipeline_id="{{ dag_run.conf['pipeline'] }}",
            experiment_name="{{ run_id }}",
            deferrable=deferrable,
            poll_interval=1,
            retries=retries,
            retry_delay=timedelta(seconds=int(os.environ["KILLS_RETRY_DELAY"])),
        )
