"""Wait for new or changed blobs in a folder, then run a published pipeline once for each of them.

A DAG run is always waiting (``@continuous``); when it ends, the next one begins. That one also finds the files that
arrive in between, because the sensor compares the folder with what it has seen, not with a clock. Files that are in the
folder at the very first poll are remembered, not reported. Sub-folders are ignored.

The changes go through ``expand(data_paths=...)``. ``expand_kwargs`` would render them as templates, and anyone who may
upload a file chooses its name.
"""

from __future__ import annotations

from datetime import datetime

try:
    from airflow.sdk import DAG
except ImportError:  # Airflow 2
    from airflow import DAG

from aml_provider.operators.pipeline import AzureMLRunPipelineOperator
from aml_provider.sensors.blob import AzureBlobChangeSensor

with DAG(
    dag_id="azureml_blob_change_one_run_per_file",
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
        max_changes=200,  # pipeline runs in one DAG run; the next DAG run gets the rest
        poke_interval=60,
        deferrable=True,
    )

    AzureMLRunPipelineOperator.partial(
        task_id="score",
        pipeline_name="score-files",
        experiment_name="airflow-examples",
        deferrable=True,
        max_active_tis_per_dag=10,  # runs at the same time; before Airflow 3.2.2 only a pool limits them
        map_index_template="{{ task.data_paths['input_datapath']['name'] }}",
    ).expand(
        # A change has the keys "datastore" and "path", so it is a valid data path.
        data_paths=wait_for_files.output.map(lambda change: {"input_datapath": change}),
    )
