"""One pipeline run or job for each DAG run, waited for on a worker or deferred; with retries, or once."""

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
PIPELINE = "{{ dag_run.conf['pipeline'] }}"
#: Each component has a connection of its own, under the same name: see ``support.airflow.killing``.
TARGETS = (
    ("_component", {"component_name": PIPELINE, "azureml_conn_id": PIPELINE, **KINDS[0][1]}),
    ("_batch_endpoint", {"batch_endpoint_name": PIPELINE, "azureml_conn_id": PIPELINE, **KINDS[0][1]}),
)
EACH = [*((kind, {"pipeline_id": PIPELINE, **arguments}) for kind, arguments in KINDS), *TARGETS]
for (name, deferrable), (kind, arguments) in product(MODES, EACH):
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
            experiment_name="{{ run_id }}",
            deferrable=deferrable,
            poll_interval=1,
            **arguments,
        )
