"""The second DAG of ``make demo``: run a registered component (v2) as a pipeline job.

It has the arguments of the first DAG's task, except that ``component_name`` stands in place of ``pipeline_name``.
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
    dag_id="azureml_demo_component",
    schedule=None,
    catchup=False,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=5)},
    tags=["azureml", "demo"],
    doc_md=__doc__,
):
    AzureMLRunPipelineOperator(
        task_id="score",
        component_name="score_files",
        experiment_name="airflow-demo",
        data_paths={"input_datapath": DataPath("workspaceblobstore", "incoming/orders.csv")},
        poll_interval=1,
        deferrable=True,
    )
