"""Many deferred waits for runs that take an hour; ``benchmarks/triggerer.py`` says how many."""

import os
from datetime import datetime, timedelta

from airflow.sdk import DAG

from aml_provider.operators.pipeline import AzureMLRunPipelineOperator

RUNS = int(os.environ.get("AZUREML_BENCHMARK_RUNS", "500"))

with DAG("waiting", schedule=None, start_date=datetime(2026, 1, 1), catchup=False, max_active_tasks=2 * RUNS):
    AzureMLRunPipelineOperator.partial(
        task_id="wait",
        pipeline_name="long-running",
        experiment_name="waiting",
        validate=False,
        deferrable=True,
        poll_interval=30,
        retries=3,  # Airflow may find its SQLite database locked
        retry_delay=timedelta(seconds=1),
    ).expand(tags=[{"number": str(number)} for number in range(RUNS)])
