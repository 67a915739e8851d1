"""Let a function compute the arguments of a published pipeline, here once for each customer.

``score`` is called on the worker, before its run is submitted. What it returns is added to the arguments of the
decorator, and wins over them. It may use its own arguments, Airflow's context, hooks and any library; a retry calls it
again, so it should return the same for the same DAG run.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

try:
    from airflow.sdk import DAG, task
except ImportError:  # Airflow 2
    from airflow import DAG
    from airflow.decorators import task

from aml_provider.client.models import DataPath

if TYPE_CHECKING:
    from aml_provider.decorators.pipeline import PipelineArguments


@task
def list_customers() -> list[dict[str, str]]:
    """List the customers; here a fixed list instead of a query."""
    return [{"name": "north", "files": "north-1.csv,north-2.csv"}, {"name": "south", "files": "south-1.csv"}]


@task.azureml_pipeline(
    pipeline_name="score-files",
    experiment_name="airflow-examples",
    data_paths={"input_datapath": DataPath("workspaceblobstore", "incoming")},
    deferrable=True,  # waits in the triggerer, so that no worker is occupied
    execution_timeout=timedelta(hours=2),  # then the run is cancelled
    max_active_tis_per_dag=10,  # runs at the same time; before Airflow 3.2.2 only a pool limits them
)
def score(customer: dict[str, str]) -> PipelineArguments:
    """Score the files of one customer."""
    return {"parameters": {"input_string": customer["files"]}, "tags": {"customer": customer["name"]}}


with DAG(
    dag_id="azureml_arguments_from_function",
    schedule=None,  # by hand
    start_date=datetime(2026, 1, 1),  # noqa: DTZ001 - Airflow reads it in its own time zone
    catchup=False,
    default_args={"retries": 2},
    tags=["azureml", "example"],
    doc_md=__doc__,
):
    score.expand(customer=list_customers())
