"""The metrics of runs that Airflow's API server cancels after a manual state change (since 3.3)."""

from __future__ import annotations

import pytest
from support.airflow.stats import metrics_server

from aml_provider.compat import AIRFLOW_V_3_3_PLUS

pytestmark = pytest.mark.skipif(not AIRFLOW_V_3_3_PLUS, reason="Airflow has a task state store since 3.3")


@pytest.fixture
def statsd(monkeypatch):
    with metrics_server(monkeypatch) as running:
        yield running


def test_a_run_that_the_api_server_cancels_is_counted_with_its_task(api_server, leave, statsd):
    left = leave()
    left.show("running")
    statsd.clear()
    left.mark("failed")
    api_server.calm()
    assert left.status == "Canceled"
    assert statsd.counts("conn_id", "dag_id", "task_id") == {
        ("cancelled.state_changed", "azureml_default", "what_is_left", "run"): 1
    }


def test_a_run_that_is_left_alone_is_not(api_server, leave, statsd):
    left = leave("what_is_left_alone")
    left.show("running")
    statsd.clear()
    left.mark("failed")
    api_server.calm()
    assert statsd.counts() == {}


def test_a_run_that_the_tasks_own_process_has_cancelled_counts_there(api_server, leave, workspace, statsd):
    """It has set the cancel tag, and the service has not stopped the run yet."""
    left = leave()
    left.show("running")
    workspace.runs()[-1].history_tags["airflow.cancel"] = "the task was ended in Airflow"
    statsd.clear()
    left.mark("failed")
    api_server.calm()
    assert left.status == "Canceled"
    assert statsd.counts() == {}


def test_a_cancel_does_not_wait_for_what_only_the_metric_needs(api_server, leave, workspace, monkeypatch, statsd):
    """The run history does not answer: it is not known whether the cancel was counted before, so it is counted."""
    left = leave()
    left.show("running")
    monkeypatch.setenv("AIRFLOW__AZUREML__RETRY_BUDGET", "120")
    workspace.faults.add("status", status=503, method="GET", path="*/history/*", times=50)
    before = len(workspace.requests("GET", "/history/"))
    statsd.clear()
    left.mark("failed")
    api_server.calm()
    assert left.status == "Canceled"
    assert len(workspace.requests("GET", "/history/")) == before + 1
    assert statsd.counts() == {"cancelled.state_changed": 1}
