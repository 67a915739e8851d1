"""Arguments in files, for ``test_argument_files.py``."""

from __future__ import annotations

import os
from datetime import datetime

from airflow.providers.common.compat.sdk import DAG, task

from aml_provider.operators.pipeline import AzureMLRunPipelineOperator

TARGET = {"component_name" if os.environ.get("KIND") == "v2" else "pipeline_name": "quick"}
COMMON = {**TARGET, "experiment_name": "exp", "poll_interval": 0.1}
FILES = {
    "parameters": "requests/{{ 'run' }}.json",
    "data_paths": "requests/paths.yaml",
    "tags": "requests/tags.yml",
}
WHEN = {"start_date": datetime(2026, 1, 1), "catchup": False}  # noqa: DTZ001

for native in (False, True):
    for deferrable in (False, True):
        name = ("files", *["native"] * native, *["deferred"] * deferrable)
        with DAG("_".join(name), schedule=None, render_template_as_native_obj=native, **WHEN):
            AzureMLRunPipelineOperator(task_id="run", deferrable=deferrable, **FILES, **COMMON)

with DAG("files_mapped", schedule=None, **WHEN):
    AzureMLRunPipelineOperator.partial(
        task_id="run", data_paths=FILES["data_paths"], tags=FILES["tags"], **COMMON
    ).expand(parameters=["requests/run.json", {"count": 5}])

# The path ends like a file's name, and is not one.
with DAG("files_of_data", schedule=None, **WHEN):
    AzureMLRunPipelineOperator.partial(task_id="run", data_paths={"input": "store/in/a.json"}, **COMMON).expand(
        tags=[{"note": "see b.yaml"}]
    )

with DAG("files_decorated", schedule=None, **WHEN):

    @task.azureml_pipeline(**FILES, **COMMON)
    def run():
        return {"tags": {"task": "function"}}

    run()
