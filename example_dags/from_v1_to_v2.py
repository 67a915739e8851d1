"""Run the same pipeline as a published pipeline (v1) or as a registered component (v2): one line decides.

The environment variable ``SCORE_WITH`` is the switch here, so that you can try both. In your own DAG you change the
line, whenever you like: a retry that finds an active run of the other kind cancels it, waits for its end, and submits
the new one. Everything else stays as it is: parameters, data paths, retries, links, sensors.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

try:
    from airflow.sdk import DAG
except ImportError:  # Airflow 2
    from airflow import DAG

from aml_provider.client.models import DataPath
from aml_provider.operators.pipeline import AzureMLRunPipelineOperator

TARGETS: dict[str, dict[str, Any]] = {
    "v1": {"pipeline_name": "score-files"},
    "v2": {"component_name": "score_files"},
}

with DAG(
    dag_id="azureml_from_v1_to_v2",
    schedule=None,  # by hand
    catchup=False,
    default_args={"retries": 2},
    tags=["azureml", "example"],
    doc_md=__doc__,
):
    AzureMLRunPipelineOperator(
        task_id="score",
        **TARGETS[os.environ.get("SCORE_WITH", "v1")],
        experiment_name="airflow-examples",
        parameters={"input_string": "orders.csv"},
        data_paths={"input_datapath": DataPath("workspaceblobstore", "incoming")},
        deferrable=True,
        execution_timeout=timedelta(hours=2),
    )
