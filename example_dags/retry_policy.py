"""Run a published pipeline, and let the service decide when a failed task is tried again (Airflow 3.3 and later).

If the workspace is too busy and says when it accepts the next request, the next try begins then, and not after
``retry_delay``. A permanent error, such as a missing right, uses up no retries: in the operator that is so without a
policy too, in a task of your own only with it. Everything else follows ``retries`` and ``retry_delay``.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow import __version__

from aml_provider.client.models import DataPath
from aml_provider.operators.pipeline import AzureMLRunPipelineOperator

if tuple(map(int, __version__.split(".")[:2])) >= (3, 3):  # older versions have no retry policies
    from airflow.sdk import DAG, task

    from aml_provider.retry_policies import AzureMLRetryPolicy

    with DAG(
        dag_id="azureml_retry_policy",
        schedule=None,  # by hand
        catchup=False,
        default_args={
            "retries": 3,
            "retry_delay": timedelta(minutes=5),
            "retry_policy": AzureMLRetryPolicy(),
        },
        tags=["azureml", "example"],
        doc_md=__doc__,
    ):
        score = AzureMLRunPipelineOperator(
            task_id="score",
            pipeline_name="score-files",
            experiment_name="airflow-examples",
            parameters={"input_string": "orders.csv"},
            data_paths={"input_datapath": DataPath("workspaceblobstore", "incoming")},
            deferrable=True,
        ).output

        @task
        def read_status(pipeline_run_id: Any) -> str:
            from aml_provider.hooks.azure_ml import AzureMLHook

            run: Any = AzureMLHook().get_run(pipeline_run_id)
            return str(run.status)

        read_status(score)
