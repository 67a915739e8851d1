"""Run a published pipeline as one stage among others: prepare its input, run it, use its result.

``prepare`` returns the path of the file that it wrote. The operator's ``data_paths`` contain this path, so ``score``
waits for ``prepare``. The operator returns the id of the run, which ``report`` gets. DAGs that are scheduled on the
asset ``RESULTS`` start when ``score`` has succeeded.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

try:
    from airflow.sdk import DAG, task
except ImportError:  # Airflow 2
    from airflow import DAG
    from airflow.decorators import task

from aml_provider.assets import create_asset
from aml_provider.hooks.azure_ml import AzureMLHook
from aml_provider.operators.pipeline import AzureMLRunPipelineOperator

if TYPE_CHECKING:
    from azure.storage.blob import BlobClient

DATASTORE = "workspaceblobstore"
RESULTS = create_asset(
    subscription_id="00000000-0000-0000-0000-000000000000",
    resource_group="local",
    workspace_name="local",
    datastore=DATASTORE,
    path="results",
)


def open_blob(path: str) -> BlobClient:
    """Open a blob of the datastore, with the account key that the workspace stores for it."""
    from azure.storage.blob import BlobClient

    hook = AzureMLHook()
    datastore = hook.get_datastore(DATASTORE)
    account = hook.settings().blob_endpoint or f"https://{datastore.account}.blob.{datastore.endpoint}"
    return BlobClient(account, datastore.container, path, credential=datastore.account_key)


@task
def prepare() -> str:
    """Write the pipeline's input; here a small table instead of a query or a download."""
    path = "prepared/orders.csv"
    with open_blob(path) as blob:
        blob.upload_blob(b"order,amount\n1,19.90\n2,5.10\n", overwrite=True)
    return path


@task
def report(pipeline_run_id: Any) -> dict[str, Any]:
    """Read the pipeline's result. The argument is not named ``run_id``, which Airflow reserves for the DAG run's id."""
    with open_blob(f"results/{pipeline_run_id}.json") as blob:
        result: dict[str, Any] = json.loads(blob.download_blob().readall())
    return {"rows": result["rows"], "amount": result["sums"]["amount"]}


with DAG(
    dag_id="azureml_pipeline_as_stage",
    schedule="0 6 * * *",  # every morning at six
    start_date=datetime(2026, 1, 1),  # noqa: DTZ001 - Airflow reads it in its own time zone
    catchup=False,  # only the latest morning, not every one since the start date
    max_active_runs=1,  # the input has one fixed path
    default_args={"retries": 2},
    tags=["azureml", "example"],
    doc_md=__doc__,
):
    score = AzureMLRunPipelineOperator(
        task_id="score",
        pipeline_name="score-files",
        experiment_name="airflow-examples",
        data_paths={"input_datapath": {"datastore": DATASTORE, "path": prepare()}},
        outlets=[RESULTS],
        deferrable=True,
    )
    report(score.output)
