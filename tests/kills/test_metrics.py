"""The metrics of a real worker, triggerer and API server, as Airflow's StatsD client sends them."""

from __future__ import annotations

import time

import pytest
from local_airflow import AIRFLOW_3
from statsd_server import StatsdServer
from support.airflow.killed_task import PATIENCE
from support.airflow.killing import World

from aml_provider.compat import AIRFLOW_V_3_3_PLUS


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A world of its own whose processes send their metrics to a server."""
    with (
        StatsdServer() as server,
        World(tmp_path_factory.mktemp("airflow"), settings={"metrics": server.settings}) as world,
    ):
        yield world, server


def until(condition):
    """Wait for what another process sends."""
    gives_up = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < gives_up
        time.sleep(0.2)


def counted(server, case):
    """The counters of one task."""
    by_dag = server.counts("dag_id", "task_id").items()
    return {
        name: number for (name, dag_id, task_id), number in by_dag if (dag_id, task_id) == (case.task.dag_id, "run")
    }


def test_a_worker_counts_submissions_and_ends(measured):
    world, server = measured
    case = world.case("metrics-on-worker", deferred=False, kind="_once")
    case.start_and_wait()
    case.finish()
    case.check("success", ["Finished"])
    until(lambda: counted(server, case) == {"submissions": 1, "run_ended.finished": 1})
    assert server.counts()["poll.requests"] >= 1


def test_a_triggerer_reports_its_waits_until_there_are_none(measured):
    world, server = measured
    case = world.case("metrics-deferred", deferred=True, kind="_once")
    case.start_and_wait()
    until(lambda: 1 in server.gauges("waiting"))
    gauge = next(sample for sample in server.samples("airflow.azureml.waiting") if sample.value)
    assert gauge.tags["conn_id"] == "azureml_default"
    if AIRFLOW_3:
        # As Airflow's own gauge of the same process.
        own = {sample.tags.get("hostname") for sample in server.samples("airflow.triggers.running")}
        assert gauge.tags["hostname"] in own
    assert 0 <= min(server.gauges("poll.age")) < 60
    case.finish()
    case.check("success", ["Finished"])
    until(lambda: counted(server, case) == {"submissions": 1, "run_ended.finished": 1})
    until(lambda: server.gauges("waiting")[-1] == 0)


def test_a_triggerer_counts_the_run_of_a_task_that_a_person_marks_as_success(measured):
    world, server = measured
    case = world.case("metrics-success", deferred=True, kind="_within_5_min")
    case.start_and_wait()
    case.mark("success")
    case.check("success", ["Canceled"])
    until(lambda: counted(server, case) == {"submissions": 1, "cancelled.killed": 1})


def test_the_run_of_a_task_that_a_person_marks_as_failed_is_counted_where_it_is_cancelled(measured):
    """Airflow itself may have failed a task. Since 3.3 the API server knows, and a trigger leaves it to that."""
    world, server = measured
    case = world.case("metrics-failed", deferred=True)
    case.start_and_wait()
    case.mark("failed")
    case.check("failed", ["Canceled"])
    why = "state_changed" if AIRFLOW_V_3_3_PLUS else "killed"
    until(lambda: counted(server, case) == {"submissions": 1, f"cancelled.{why}": 1})


@pytest.mark.skipif(not AIRFLOW_V_3_3_PLUS, reason="The API server reads submission records since Airflow 3.3")
def test_an_api_server_counts_the_run_that_nobody_else_can_cancel(measured):
    """The triggerer has died: Airflow notifies no process of the task."""
    world, server = measured
    case = world.case("metrics-nobody", deferred=True, kind="_tried_hourly")
    case.start_and_wait()
    world.kill("triggerer")
    case.mark("success")
    try:
        until(lambda: counted(server, case) == {"submissions": 1, "cancelled.state_changed": 1})
    finally:
        world.start("triggerer")
    case.check("success", ["Canceled"])
