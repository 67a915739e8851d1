"""The tasks of which ``benchmarks/cluster_scale.py`` makes thousands: one waits for a run, one watches a folder."""

import os
from datetime import datetime, timedelta

from airflow.sdk import DAG

from aml_provider.operators.pipeline import AzureMLRunPipelineOperator
from aml_provider.sensors.blob import AzureBlobChangeSensor

MOST = 100_000
RETRIES = {"retries": 3, "retry_delay": timedelta(seconds=1)}

with DAG("cluster_runs", schedule=None, start_date=datetime(2026, 1, 1), max_active_runs=MOST, default_args=RETRIES):
    AzureMLRunPipelineOperator(
        task_id="wait",
        pipeline_name="long-running",
        experiment_name="waiting",
        validate=False,
        deferrable=True,
        poll_interval=30,
    )

with DAG("cluster_folders", schedule=None, start_date=datetime(2026, 1, 1), max_active_runs=MOST, default_args=RETRIES):
    AzureBlobChangeSensor(
        task_id="wait",
        container_url=os.environ.get("AZUREML_BENCHMARK_FOLDER", "http://127.0.0.1:9/account/n100x0"),
        path="in",
        deferrable=True,
        poke_interval=30,
    )
