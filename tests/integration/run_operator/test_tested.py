"""``airflow tasks test`` in a DAG run that Airflow itself is running: it leaves that try's run and record alone."""

from __future__ import annotations

import pytest
from support.airflow.task import RunPipeline

from aml_provider.client.errors import RunFailed, RunStillActive
from aml_provider.compat import AIRFLOW_V_3_0_PLUS, AIRFLOW_V_3_3_PLUS


@pytest.fixture(autouse=True)
def kept_variables(kept_in_memory):
    return kept_in_memory


@pytest.fixture
def as_a_test(task, monkeypatch):
    """From here on the task is tested."""

    def begin():
        task.next_try()
        if AIRFLOW_V_3_3_PLUS:
            monkeypatch.setenv("AIRFLOW_TEST_MODE", "True")
        elif AIRFLOW_V_3_0_PLUS:
            monkeypatch.setattr("sys.argv", ["airflow", "tasks", "test", "dag", "run", "manual__1"])
        else:
            task.ti.test_mode = True

    return begin


def run(task, **arguments):
    return RunPipeline(**{"pipeline_id": "long", "wait_for_completion": False} | arguments).execute(task.context)


@pytest.mark.parametrize(
    "how",
    [{}, {"deferrable": True, "wait_for_completion": True}, {"parameters": {"x": 1}, "validate": False}],
    ids=["the same", "deferred", "asks for something else"],
)
def test_a_run_that_goes_on_is_left_alone(workspace, task, as_a_test, how):
    run_id = run(task)
    before = dict(task.record)
    sent = workspace.sent()
    as_a_test()
    with pytest.raises(RunStillActive, match=rf"has submitted run {run_id}, which may be active. .* one of its own"):
        run(task, **how)
    assert task.record == before
    assert workspace.sent() == sent
    assert workspace.status() in {"NotStarted", "Running"}
    assert task.ti.xcoms == {}


def test_a_test_that_cannot_read_the_run_fails_as_one_that_may_be_retried(workspace, task, as_a_test):
    """Airflow 3 takes the test's end for the task's own; with a wrong argument, too, the run has to come first."""
    run(task)
    as_a_test()
    workspace.faults.add("status", status=403, method="GET", path="*/PipelineRuns/*", times=9)
    with pytest.raises(RunStillActive):
        # Text with a template in it is checked when the task runs.
        run(task, tags="{{ 'no mapping' }}")


@pytest.mark.parametrize("conn_id", ["azureml_default", "no_such_connection", "{{ 'rendered' }} "])
def test_a_test_with_a_broken_connection_leaves_the_task_its_retries(workspace, task, as_a_test, monkeypatch, conn_id):
    run_id = run(task)
    before = dict(task.record)
    as_a_test()
    monkeypatch.setenv("AIRFLOW_CONN_AZUREML_DEFAULT", '{"conn_type": "azureml", "extra": {"cloud": "mars"}}')
    with pytest.raises(RunStillActive, match=rf"{run_id}, which may be active.*could not be read: "):
        run(task, azureml_conn_id=conn_id)
    assert task.record == before


def test_a_test_with_a_damaged_record_leaves_the_task_its_retries(workspace, task, as_a_test):
    run(task)
    task.record["ordinal"] = "first"
    as_a_test()
    with pytest.raises(RunStillActive, match=r"may have a run that is active.*damaged.*ordinal"):
        run(task)
    assert len(workspace.runs()) == 1


def test_a_test_of_a_cleared_task_leaves_the_earlier_run_too(workspace, task, as_a_test):
    run(task)
    as_a_test()
    task.clear()
    with pytest.raises(RunStillActive):
        run(task)
    assert workspace.status() in {"NotStarted", "Running"}


def test_a_submission_under_way_is_left_alone(workspace, task, as_a_test):
    run(task)
    task.record["run_id"] = None
    as_a_test()
    with pytest.raises(RunStillActive, match="a run with the key"):
        run(task)
    assert len(workspace.runs()) == 1


def test_a_run_that_ended_well_counts_for_a_test_too(workspace, task, as_a_test):
    run_id = run(task, pipeline_id="quick")
    workspace.clock.advance(1000)
    as_a_test()
    assert run(task, pipeline_id="quick") == run_id
    assert len(workspace.runs()) == 1


def test_after_a_failed_run_a_test_submits_as_a_retry_would(workspace, task, as_a_test):
    with pytest.raises(RunFailed):
        run(task, pipeline_id="fails", wait_for_completion=True)
    as_a_test()
    run(task, pipeline_id="fails")
    assert len(workspace.runs()) == 2


def test_a_test_in_a_dag_run_of_its_own_submits(workspace, task, as_a_test):
    as_a_test()
    assert run(task) == workspace.only_run().id
