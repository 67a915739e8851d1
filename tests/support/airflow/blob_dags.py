"""DAGs whose blob sensor passes its changes to a task that records them."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG
from support.airflow import dags

from aml_provider.compat import BaseOperator
from aml_provider.sensors.blob import AzureBlobChangeSensor

DAY = datetime(2026, 1, 1, tzinfo=UTC)
MODES = {
    "poke": {"mode": "poke"},
    "reschedule": {"mode": "reschedule"},
    "deferrable": {"deferrable": True},
}
# What becomes of the tasks.
DONE = {"watch": "success", "consume": "success"}
NOTHING = {"watch": "skipped", "consume": "skipped"}


class Consume(BaseOperator):
    """Stands for a pipeline: it records its argument as Airflow rendered it."""

    template_fields = ("changes",)
    got: list = []  # noqa: RUF012 - tasks are copied, and the test looks here

    def __init__(self, *, changes: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.changes = changes

    def execute(self, context: Any) -> None:
        changes = self.changes if isinstance(self.changes, list) else [self.changes]
        Consume.got.append([change["path"] for change in changes])


def pipeline(
    kind: type[AzureBlobChangeSensor] = AzureBlobChangeSensor, *, mapped: bool = False, **arguments: Any
) -> DAG:
    """A DAG that passes its changes to one consumer, or each change to a consumer of its own."""
    defaults = {"datastore": "landing", "path": "incoming", "poke_interval": 0.1, "timeout": 0.3, "soft_fail": True}
    with DAG(f"blobs_{uuid.uuid4().hex[:8]}", schedule=None, start_date=DAY, max_active_runs=1) as dag:
        watch = kind(task_id="watch", **{**defaults, **arguments})
        if mapped:
            Consume.partial(task_id="consume").expand(changes=watch.output)
        else:
            Consume(task_id="consume", changes=watch.output)
    return dag


def run(dag: DAG, day: int = 0) -> tuple[dict[str, str], list[list[str]]]:
    """Run the DAG for a day; the states of its tasks, and what its consumer got in this run."""
    Consume.got = []
    dag_run = dags.run(dag, DAY + timedelta(days=day))
    return dags.states(dag_run), Consume.got
