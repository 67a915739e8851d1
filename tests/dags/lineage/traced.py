"""DAGs whose lineage is read, for ``test_lineage.py``."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import product

from airflow.providers.common.compat.sdk import DAG

from aml_provider.client.models import DataPath
from aml_provider.compat import Asset
from aml_provider.decorators.pipeline import azureml_pipeline_task
from aml_provider.operators.pipeline import AzureMLRunPipelineOperator
from aml_provider.sensors.blob import AzureBlobChangeSensor

START = datetime(2026, 1, 1)  # noqa: DTZ001
OUTLET = Asset("azureml://sub/rg/ws/datastores/store/paths/declared")
DATA = {"input": DataPath("store", "in/a.csv")}
TARGETS = {
    "v1": {"pipeline_name": "traced", "data_paths": DATA, "datasets": {"prices": "5aa1"}},
    "v2": {"component_name": "traced", "data_paths": DATA, "datasets": {"prices": "prices:3"}},
}
FAILS = {"v1": {"pipeline_id": "fails"}, "v2": {"component_name": "fails"}}
POOLS = {"worker": {}, "deferred": {"deferrable": True}}
# Secrets where no author should put them.
COMMON = {
    "experiment_name": "exp",
    "poll_interval": 0.1,
    "tags": {"password": "pl4nted-tag"},
    "description": "?sv=1&sig=pl4ntedDescription%3D",
    "outlets": [OUTLET],
}
CASES = {
    **{f"{kind}_{pool}": {**TARGETS[kind], **POOLS[pool]} for kind, pool in product(TARGETS, POOLS)},
    **{f"{kind}_fails": FAILS[kind] for kind in FAILS},
    # Its first try cannot read the run that it has submitted.
    **{f"{kind}_retried": {**TARGETS[kind], "retries": 1, "retry_delay": timedelta(0)} for kind in TARGETS},
}

for case, arguments in CASES.items():
    with DAG(f"traced_{case}", schedule=None, start_date=START, catchup=False):
        AzureMLRunPipelineOperator(task_id="run", **{**COMMON, **arguments})

# The decorator names other data than its function returns.
for kind, pool in product(TARGETS, POOLS):
    with DAG(f"traced_{kind}_function_{pool}", schedule=None, start_date=START, catchup=False):

        @azureml_pipeline_task(
            task_id="run",
            **{**COMMON, **TARGETS[kind], **POOLS[pool], "data_paths": {"input": "store/decorator.csv"}},
        )
        def run():
            return {"data_paths": DATA}

        run()

for pool, mode in {**POOLS, "reschedule": {"mode": "reschedule"}}.items():
    with DAG(f"traced_sensor_{pool}", schedule=None, start_date=START, catchup=False):
        AzureBlobChangeSensor(
            task_id="watch",
            datastore="landing",
            path="incoming",
            on_first_poll="report",
            poke_interval=0.1,
            **mode,
        )
