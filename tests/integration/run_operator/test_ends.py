"""Each end of the run becomes an end of the task."""

from __future__ import annotations

import json
import threading
from datetime import timedelta

import pytest
from support.airflow.task import RunPipeline, Task
from support.services.recorded_workspace import TOKEN

from aml_provider.client.errors import RunFailed, RunTimedOut, RunUnwatched
from aml_provider.compat import AirflowFailException, TaskDeferred


@pytest.fixture(autouse=True)
def kept_variables(kept_in_memory):
    return kept_in_memory


def run(task, **arguments):
    return RunPipeline(**arguments).execute(task.context)


def test_a_failed_run_fails_the_task_with_its_step_error_and_log(workspace, task):
    with pytest.raises(RunFailed) as caught:
        run(task, pipeline_id="fails")
    for fact in ("'score'", "row 2 is empty", "row 2: oh no", caught.value.run_id, caught.value.link):
        assert fact in str(caught.value)
    assert task.record["finished"]
    task.next_try()
    with pytest.raises(RunFailed):
        run(task, pipeline_id="fails")
    assert len(workspace.runs()) == 2
    assert task.record["ordinal"] == 1


def test_a_run_cancelled_in_the_workspace_is_not_retried(workspace, task):
    operator = RunPipeline(pipeline_id="long")
    cancel_when_running(workspace)
    with pytest.raises(AirflowFailException, match="cancelled in the workspace"):
        operator.execute(task.context)


def cancel_when_running(workspace):
    def cancel():
        done = threading.Event()
        while not workspace.runs():
            done.wait(0.01)
        workspace.state.cancel(workspace.only_run().id)

    threading.Thread(target=cancel, daemon=True).start()


def test_a_run_that_cannot_be_read_is_left_running(workspace, task):
    workspace.faults.add("status", status=503, method="GET", path="*/PipelineRuns/*", times=100)
    with pytest.raises(RunUnwatched, match="The run continues; a retry takes it over"):
        run(task, pipeline_id="long")
    assert not RunUnwatched.permanent
    workspace.faults.clear()
    assert workspace.status() in {"NotStarted", "Running"}
    assert not task.record["finished"]


@pytest.mark.parametrize(("on_timeout", "status"), [("cancel", "Canceled"), ("leave", "Running")])
def test_the_deadline_does_to_the_run_what_was_asked(workspace, task, on_timeout, status):
    with pytest.raises(RunTimedOut):
        run(task, pipeline_id="long", execution_timeout=timedelta(seconds=0.3), on_timeout=on_timeout)
    assert workspace.status() == status
    assert not task.record["finished"]


def test_after_a_cancel_by_the_deadline_a_retry_submits_another_run(workspace, task):
    for _ in range(2):
        with pytest.raises(RunTimedOut):
            run(task, pipeline_id="long", execution_timeout=timedelta(seconds=0.3))
        task.next_try()
    assert [workspace.status(made.id) for made in workspace.runs()] == ["Canceled", "Canceled"]


def test_a_run_that_was_left_at_the_deadline_is_taken_over(workspace, task):
    for _ in range(2):
        with pytest.raises(RunTimedOut):
            run(task, pipeline_id="long", execution_timeout=timedelta(seconds=0.3), on_timeout="leave")
        task.next_try()
    assert workspace.status() == "Running"


def test_the_token_is_in_nothing_that_anybody_may_read(workspace, task, caplog):
    caplog.set_level(0)
    operator = RunPipeline(pipeline_id="fails")
    with pytest.raises(RunFailed) as caught:
        operator.execute(task.context)
    workspace.faults.add("status", status=401, method="GET", path="*/Pipelines/*")
    with pytest.raises(AirflowFailException) as refused:
        run(Task(), pipeline_id="quick")
    with pytest.raises(TaskDeferred) as deferred:
        run(Task(), pipeline_id="long", deferrable=True)
    everything = [
        str(operator.log),
        caplog.text,
        repr(caught.value),
        str(refused.value),
        repr(refused.value.__context__),
        repr(deferred.value.trigger.serialize()),
        json.dumps(task.ti.xcoms),
        json.dumps(task.store),
        repr(operator),
    ]
    assert all(TOKEN not in text for text in everything)
