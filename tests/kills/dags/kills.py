"""One pipeline run for each DAG run, waited for on a worker or deferred; with retries, or once."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from itertools import product

from airflow.providers.common.compat.sdk import DAG

from aml_provider.operators.pipeline import AzureMLRunPipelineOperator

MODES = (("on_worker", False), ("deferred", True))
KINDS = (
    (
        "",
        {
            "retries": int(os.environ["KILLS_RETRIES"]),
            "retry_delay": timedelta(seconds=int(os.environ["KILLS_RETRY_DELAY"])),
        },
    ),
    ("_once", {}),
    ("_within_5_min", {"execution_timeout": timedelta(minutes=5)}),
    ("_within_20_s", {"execution_timeout": timedelta(seconds=20)}),
    ("_tried_hourly", {"retries": 1, "retry_delay": timedelta(hours=1)}),
)
for (name, deferrable), (kind, arguments) in product(MODES, KINDS):
    with DAG(
        name + kind,
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
            **arguments,
        )
