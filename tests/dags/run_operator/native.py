"""Literal text in DAGs with native rendering, for ``test_native_text.py``."""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG, task

from aml_provider.operators.pipeline import AzureMLRunPipelineOperator

COMMON = {"pipeline_name": "quick", "experiment_name": "exp", "poll_interval": 0.1}
VALUES = {
    "parameters": {"count": "+21"},
    "tags": {"version": "1.10", "nothing": "None", "flags": "[1]", "rendered": "{{ 1 + 1 }}", "number": 1.5},
    "description": "1e5",
}
WHEN = {"start_date": datetime(2026, 1, 1), "catchup": False, "render_template_as_native_obj": True}  # noqa: DTZ001

for deferrable in (False, True):
    with DAG(f"native_text{'_deferred' * deferrable}", schedule=None, **WHEN):
        AzureMLRunPipelineOperator(task_id="run", deferrable=deferrable, **VALUES, **COMMON)

with DAG("native_text_mapped", schedule=None, **WHEN):
    AzureMLRunPipelineOperator.partial(
        task_id="run", tags=VALUES["tags"], description=VALUES["description"], **COMMON
    ).expand(parameters=[VALUES["parameters"]])

with DAG("native_text_decorated", schedule=None, **WHEN):

    @task.azureml_pipeline(**VALUES, **COMMON)
    def run():
        return {"tags": {"version": 1.1}}

    run()
