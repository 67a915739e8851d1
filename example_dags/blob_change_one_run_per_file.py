"""Wait for new or changed blobs in a folder, then run a published pipeline once for each of them.

A DAG run is always waiting (``@continuous``); the next one begins when it ends. What arrives in the meantime is found
by that next one: a change is judged by what the sensor has seen, not by a clock. What is in the folder when the sensor
looks for the very first time is remembered, not reported. Sub-folders are not looked into.

The changes go through ``expand(data_paths=...)``. ``expand_kwargs`` would render them as templates, and whoever may
upload a file chooses its name.
"""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG

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
        settle=30,  # seconds without a further write: an upload in pieces is over
        max_changes=200,  # runs for one DAG run; what is beyond comes with the next
        poke_interval=60,
        deferrable=True,
    )

    AzureMLRunPipelineOperator.partial(
        task_id="score",
        pipeline_name="score-files",
        experiment_name="airflow-examples",
        deferrable=True,
        max_active_tis_per_dag=10,  # runs at the same time
        map_index_template="{{ task.data_paths['input_datapath']['name'] }}",
    ).expand(
        # A change has the keys "datastore" and "path", so it is a data path as it is.
        data_paths=wait_for_files.output.map(lambda change: {"input_datapath": change}),
    )
