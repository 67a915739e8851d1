"""An asset watcher in the triggerer starts a DAG."""

from __future__ import annotations

import pytest
from local_airflow import AIRFLOW_3

from aml_provider.compat import TRIGGERS_WRITE_VARIABLES


@pytest.mark.skipif(not TRIGGERS_WRITE_VARIABLES, reason="before Airflow 3.0.5, a triggerer stores no Variables")
@pytest.mark.skipif(not AIRFLOW_3, reason="Airflow 2 has no asset watchers")
def test_a_blob_starts_the_dag_that_is_scheduled_on_its_asset(world):
    world.container.upload_blob("watched/orders.csv", b"x")
    world.load("watcher")
    world.wait(lambda: runs(world), "an event has started the DAG", "watcher")
    (run_id,) = runs(world)
    world.until("watcher", "success", run_id=run_id)
    assert world.result("watcher", run_id=run_id) == ["watched/orders.csv"]


def runs(world):
    """The DAG's runs."""
    return [run["dag_run_id"] for run in world.airflow.get("/dags/watcher/dagRuns")["dag_runs"]]
