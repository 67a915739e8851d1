"""The run operator in its three shapes, for ``test_run_operator_dag.py``."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, task

from aml_provider.client.models import DataPath
from aml_provider.operators.pipeline import AzureMLRunPipelineOperator

COMMON = {
    "pipeline_name": "quick",
    "experiment_name": "exp-{{ ti.task_id }}",
    "poll_interval": 0.1,
    "retries": 1,
    "retry_delay": timedelta(0),
}

for name, deferrable in (("sync", False), ("deferred", True)):
    with DAG(f"run_{name}", schedule=None, start_date=datetime(2026, 1, 1), catchup=False):  # noqa: DTZ001
        AzureMLRunPipelineOperator(
            task_id="run",
            parameters={"count": "{{ 1 + 1 }}"},
            data_paths={"input": DataPath("st{{ 'ore' }}", "in/{{ dag.dag_id }}")},
            deferrable=deferrable,
            **COMMON,
        )


@task
def changes():
    """What the blob sensor would return; whoever may upload a file chooses its name."""
    return [{"datastore": "store", "path": f"in/{name}", "etag": "0x1"} for name in ("{{ 1+1 }}.csv", "a.csv")]


with DAG("run_mapped", schedule=None, start_date=datetime(2026, 1, 1), catchup=False):  # noqa: DTZ001
    AzureMLRunPipelineOperator.partial(task_id="run", deferrable=True, **COMMON).expand(
        data_paths=changes().map(lambda change: {"input": change}),
    )
