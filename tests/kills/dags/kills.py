"""One pipeline run for each DAG run, waited for on a worker or deferred."""

from __future__ import annotations

import os
from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG

from aml_provider.operators.pipeline import AzureMLRunPipelineOperator

for name, deferrable in (("on_worker", False), ("deferred", True)):
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
            retries=int(os.environ["KILLS_RETRIES"]),
            retry_delay=timedelta(seconds=int(os.environ["KILLS_RETRY_DELAY"])),
        )
