"""Wait for new or changed blobs in a folder, then run a published pipeline once for all of them.

The pipeline gets the folder as its data path, and the names of the changed files as one text, separated by commas. If a
pipeline starts slowly, this is much faster than one run per file. ``blob_change_one_run_per_file.py`` explains how the
sensor decides what is new, and why a DAG run is always waiting.
"""

from __future__ import annotations

from datetime import datetime

try:
    from airflow.sdk import DAG
except ImportError:  # Airflow 2
    from airflow import DAG

from aml_provider.client.models import DataPath
from aml_provider.operators.pipeline import AzureMLRunPipelineOperator
from aml_provider.sensors.blob import AzureBlobChangeSensor

with DAG(
    dag_id="azureml_blob_change_one_run_per_batch",
    schedule="@continuous",
    start_date=datetime(2026, 1, 1),  # noqa: DTZ001 - Airflow reads it in its own time zone
    catchup=False,
    max_active_runs=1,  # two would wait for the same files
    default_args={"retries": 2},
    tags=["azureml", "example"],
    doc_md=__doc__,
):
    wait_for_files = AzureBlobChangeSensor(
        task_id="wait_for_files",
        datastore="workspaceblobstore",
        path="incoming",
        pattern="*.csv",
        settle=30,  # seconds without another write, so that an upload in pieces is complete
        poke_interval=60,
        deferrable=True,
    )

    score = AzureMLRunPipelineOperator(
        task_id="score",
        pipeline_name="score-files",
        experiment_name="airflow-examples",
        parameters={
            # The names are the result of this template and are not rendered themselves.
            "input_string": "{{ ti.xcom_pull(task_ids='wait_for_files') | map(attribute='name') | join(',') }}",
        },
        data_paths={"input_datapath": DataPath("workspaceblobstore", "incoming")},
        deferrable=True,
    )

    wait_for_files >> score
