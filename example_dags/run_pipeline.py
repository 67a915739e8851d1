"""Run one published pipeline, with a parameter and a data path.

Start it by hand, or set ``schedule`` to a cron expression. A retry takes over the run that an earlier try submitted, so
a killed worker or a lost connection never starts a second run.
"""

from __future__ import annotations

from datetime import timedelta

try:
    from airflow.sdk import DAG
except ImportError:  # Airflow 2
    from airflow import DAG

from aml_provider.client.models import DataPath
from aml_provider.operators.pipeline import AzureMLRunPipelineOperator

with DAG(
    dag_id="azureml_run_pipeline",
    schedule=None,  # by hand
    catchup=False,
    default_args={"retries": 2},
    tags=["azureml", "example"],
    doc_md=__doc__,
):
    AzureMLRunPipelineOperator(
        task_id="score",
        pipeline_name="score-files",
        experiment_name="airflow-examples",
        parameters={"input_string": "orders.csv"},
        data_paths={"input_datapath": DataPath("workspaceblobstore", "incoming")},
        deferrable=True,  # waits in the triggerer, so that no worker is occupied
        execution_timeout=timedelta(hours=2),  # then the run is cancelled
    )
