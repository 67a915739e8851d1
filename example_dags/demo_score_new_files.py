"""The first DAG of ``make demo``: new files in a folder start a pipeline, and the next task checks its results.

All tasks wait in the triggerer, so no worker is occupied while nothing happens. The intervals are short for the demo;
the defaults are 60 and 30 seconds.
"""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime, timedelta
from typing import Any

try:
    from airflow.sdk import DAG, task
except ImportError:  # Airflow 2
    from airflow import DAG
    from airflow.decorators import task

from aml_provider.hooks.azure_ml import AzureMLHook
from aml_provider.operators.pipeline import AzureMLRunPipelineOperator
from aml_provider.sensors.blob import AzureBlobChangeSensor

DATASTORE = "workspaceblobstore"


def read_blob(path: str) -> bytes:
    """Read a blob of the datastore, with the account key that the workspace stores for it."""
    from azure.storage.blob import BlobClient

    hook = AzureMLHook()
    datastore = hook.get_datastore(DATASTORE)
    account = hook.settings().blob_endpoint or f"https://{datastore.account}.blob.{datastore.endpoint}"
    with BlobClient(account, datastore.container, path, credential=datastore.account_key) as blob:
        return blob.download_blob().readall()


@task
def check_results(changes: Any, run_ids: Any) -> list[dict[str, Any]]:
    """Compare the result of each run with its input file."""
    checked = []
    for change, run_id in zip(changes, run_ids, strict=True):
        result = json.loads(read_blob(f"results/{run_id}.json"))
        rows = list(csv.DictReader(io.StringIO(read_blob(change["path"]).decode())))
        expected = {"inputs": [change["path"]], "rows": len(rows), "amount": sum(float(row["amount"]) for row in rows)}
        found = {"inputs": result["inputs"], "rows": result["rows"], "amount": result["sums"]["amount"]}
        if found != expected:
            raise ValueError(f"Run {run_id} wrote {found}, but {change['path']} holds {expected}.")
        checked.append({"run_id": run_id, **found})
    return checked


with DAG(
    dag_id="azureml_demo",
    schedule="@continuous",  # when a DAG run ends, the next one begins to wait
    start_date=datetime(2026, 1, 1),  # noqa: DTZ001 - Airflow reads it in its own time zone
    catchup=False,
    max_active_runs=1,  # two would wait for the same files
    default_args={"retries": 2, "retry_delay": timedelta(seconds=5)},
    tags=["azureml", "demo"],
    doc_md=__doc__,
):
    wait_for_files = AzureBlobChangeSensor(
        task_id="wait_for_files",
        datastore=DATASTORE,
        path="incoming",
        pattern="*.csv",
        poke_interval=2,
        deferrable=True,
    )
    score = AzureMLRunPipelineOperator.partial(
        task_id="score",
        pipeline_name="score-files",
        experiment_name="airflow-demo",
        poll_interval=2,
        deferrable=True,
        map_index_template="{{ task.data_paths['input_datapath']['name'] }}",
    ).expand(
        # A change has the keys "datastore" and "path", so it is a valid data path.
        data_paths=wait_for_files.output.map(lambda change: {"input_datapath": change}),
    )
    check_results(wait_for_files.output, score.output)
