"""The metrics of the run operator on a worker: through retries, lost workers and replies, clears and cancels."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest
from support.airflow.task import RunPipeline, Task

from aml_provider.client.errors import AzureMLError, RunFailed, RunTimedOut, RunUnwatched, Throttled
from aml_provider.compat import AirflowFailException, TaskDeferred
from aml_provider.triggers.pipeline import AzureMLPipelineRunTrigger

SUBMIT = "*PipelineSubmit*"
# Two targets of one kind each: a published pipeline (v1) and a component (v2).
TARGETS = ("pipeline_id", "component_name")
both = pytest.mark.parametrize("target", TARGETS)


@pytest.fixture(autouse=True)
def kept_variables(kept_in_memory):
    return kept_in_memory


def run(task, **arguments):
    return RunPipeline(**arguments).execute(task.context)


def ours(statsd):
    """What was counted of runs; the requests depend on how long they take."""
    kinds = ("submissions", "taken_over", "looked_up", "run_ended", "cancelled", "errors")
    return {name: number for name, number in statsd.counts().items() if name.startswith(kinds)}


@both
def test_a_run_that_succeeds(workspace, task, statsd, target):
    run(task, **{target: "quick"})
    assert ours(statsd) == {"submissions": 1, "run_ended.finished": 1}
    tags = {"conn_id": "azureml_default", "dag_id": "dag", "task_id": "run"}
    assert [sample.tags for sample in statsd.samples("airflow.azureml.submissions")] == [tags]
    assert [sample.tags for sample in statsd.samples("airflow.azureml.run_ended")] == [tags]
    assert statsd.counts("conn_id")[("poll.requests", "azureml_default")] >= 1


@both
def test_a_run_that_nobody_waits_for_has_no_end(workspace, task, statsd, target):
    run(task, **{target: "quick"}, wait_for_completion=False)
    assert ours(statsd) == {"submissions": 1}


@both
def test_each_run_of_a_task_that_is_retried_counts_once(workspace, task, statsd, target):
    for _ in range(2):
        with pytest.raises(RunFailed):
            run(task, **{target: "fails"})
        task.next_try()
    assert ours(statsd) == {"submissions": 2, "run_ended.failed": 2, "errors.RunFailed": 2}


@both
def test_a_lost_worker_costs_no_end(workspace, task, statsd, target):
    """The run succeeds, or fails, while no try is there to see it."""
    run(task, **{target: "quick"}, wait_for_completion=False)
    task.store["azureml_submission"]["finished"] = False
    task.next_try()
    workspace.clock.advance(3600)
    run(task, **{target: "quick"})
    assert ours(statsd) == {"submissions": 1, "taken_over": 1, "run_ended.finished": 1}


@both
def test_a_lost_worker_costs_no_failure(workspace, task, statsd, target):
    run(task, **{target: "fails"}, wait_for_completion=False)
    task.store["azureml_submission"]["finished"] = False
    task.next_try()
    workspace.clock.advance(3600)
    with pytest.raises(RunFailed):
        run(task, **{target: "fails"})
    assert ours(statsd) == {"submissions": 2, "run_ended.failed": 2, "errors.RunFailed": 1}


def test_a_try_after_the_end_was_stored_counts_nothing_twice(workspace, task, statsd):
    """Airflow may lose the result of a task that has ended."""
    run(task, pipeline_id="quick")
    task.next_try()
    run(task, pipeline_id="quick")
    assert ours(statsd) == {"submissions": 1, "taken_over": 1, "run_ended.finished": 1}


def test_an_active_run_is_taken_over(workspace, task, statsd):
    run(task, pipeline_id="long", wait_for_completion=False)
    task.store["azureml_submission"]["finished"] = False
    task.next_try()
    run(task, pipeline_id="long", wait_for_completion=False)
    assert ours(statsd) == {"submissions": 1, "taken_over": 1}


def test_a_lost_reply_is_looked_up_and_is_one_submission(workspace, learnt, task, statsd):
    workspace.faults.add("drop", method="POST", path=SUBMIT)
    statsd.clear()
    run(task, pipeline_id="quick")
    assert ours(statsd) == {"submissions": 1, "looked_up": 1, "run_ended.finished": 1}


def test_a_lost_reply_of_a_job_is_read_and_is_one_submission(workspace, task, statsd):
    workspace.faults.add("drop", method="PUT", path="*/jobs/*")
    run(task, component_name="quick")
    assert ours(statsd) == {"submissions": 1, "looked_up": 1, "run_ended.finished": 1}


def test_throttled_replies_count_although_the_request_succeeds_later(workspace, task, statsd):
    workspace.faults.add("status", status=429, retry_after=1, method="GET", path="*/PipelineRuns/*")
    run(task, pipeline_id="quick")
    assert statsd.counts("conn_id")[("throttled", "azureml_default")] == 1
    assert ours(statsd) == {"submissions": 1, "run_ended.finished": 1}


@both
def test_a_deadline(workspace, task, statsd, target):
    with pytest.raises(RunTimedOut):
        run(task, **{target: "long"}, execution_timeout=timedelta(seconds=0.4))
    assert ours(statsd) == {"submissions": 1, "cancelled.timed_out": 1, "errors.RunTimedOut": 1}


def test_a_deadline_that_leaves_the_run_cancels_nothing(workspace, task, statsd):
    with pytest.raises(RunTimedOut):
        run(task, pipeline_id="long", execution_timeout=timedelta(seconds=0.4), on_timeout="leave")
    assert ours(statsd) == {"submissions": 1, "errors.RunTimedOut": 1}


@both
def test_a_clear_and_another_request_cancel_for_different_reasons(workspace, task, statsd, target):
    run(task, **{target: "long"}, wait_for_completion=False)
    task.clear()
    run(task, **{target: "long"}, wait_for_completion=False)
    assert ours(statsd) == {"submissions": 2, "cancelled.cleared": 1}
    task.store["azureml_submission"]["finished"] = False
    task.next_try()
    run(task, **{target: "long"}, wait_for_completion=False, tags={"another": "request"})
    assert ours(statsd) == {"submissions": 3, "cancelled.cleared": 1, "cancelled.replaced": 1}


def test_a_person_who_ends_the_task_on_a_worker(workspace, task, statsd, airflow):
    operator = RunPipeline(pipeline_id="long", deferrable=True)
    with pytest.raises(TaskDeferred):
        operator.execute(task.context)
    operator.on_kill()
    for interruption in operator._try._interruptions:
        interruption.wait(240)
    assert ours(statsd) == {"submissions": 1, "cancelled.killed": 1}


@both
@pytest.mark.parametrize("again", ["next_try", "clear"])
def test_a_run_that_still_stops_is_not_counted_again(workspace, task, statsd, target, again):
    """The task's process has set the cancel tag and has counted the cancel; the service takes its time."""
    run(task, **{target: "long"}, wait_for_completion=False)
    task.store["azureml_submission"]["finished"] = False
    first = workspace.only_run()
    first.history_tags["airflow.cancel"] = "the task was ended in Airflow"
    getattr(task, again)()
    run(task, **{target: "long"}, wait_for_completion=False)
    assert ours(statsd) == {"submissions": 2}
    assert workspace.status(first.id) == "Canceled"


@both
def test_a_cancel_does_not_wait_for_what_only_metrics_need(workspace, task, statsd, target):
    """While the run history does not answer, a clear cancels the run, and counts that."""
    run(task, **{target: "long"}, wait_for_completion=False)
    task.clear()
    workspace.faults.add("status", status=503, method="GET", path="*/history/*", times=50)
    run(task, **{target: "long"}, wait_for_completion=False)
    assert len(workspace.requests("GET", "/history/")) == 1
    assert ours(statsd) == {"submissions": 2, "cancelled.cleared": 1}


def test_a_run_cancelled_in_the_workspace(workspace, task, statsd):
    run(task, pipeline_id="long", wait_for_completion=False)
    task.store["azureml_submission"]["finished"] = False
    workspace.state.cancel(workspace.only_run().id)
    task.next_try()
    with pytest.raises(AirflowFailException):
        run(task, pipeline_id="long")
    assert ours(statsd) == {"submissions": 1, "run_ended.canceled": 1, "errors.RunCanceled": 1}


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"pipeline_id": "nowhere"}, "PipelineError"),
        ({"pipeline_id": "retired"}, "PipelineDisabled"),
        ({"pipeline_id": "quick", "parameters": {"other": 1}}, "InvalidParameters"),
        ({"pipeline_id": "quick", "azureml_conn_id": "elsewhere"}, "InvalidArgument"),
    ],
    ids=str,
)
def test_an_error_counts_once_by_its_class(workspace, task, statsd, monkeypatch, arguments, error):
    monkeypatch.setenv("AIRFLOW_CONN_ELSEWHERE", json.dumps({"conn_type": "azureml", "extra": {"cloud": "moon"}}))
    with pytest.raises(AirflowFailException):
        run(task, **arguments)
    assert ours(statsd) == {f"errors.{error}": 1}
    conn_id = arguments.get("azureml_conn_id", "azureml_default")
    assert statsd.counts("conn_id").get((f"errors.{error}", conn_id)) == 1


def test_a_deferred_task_ends_with_one_submission_and_one_end(workspace, task, statsd):
    operator = RunPipeline(pipeline_id="quick", deferrable=True)
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute(task.context)
    assert ours(statsd) == {"submissions": 1}
    event = fire(deferred.value.trigger)
    RunPipeline(pipeline_id="quick", deferrable=True).execute_complete(task.context, event)
    assert ours(statsd) == {"submissions": 1, "run_ended.finished": 1}


def fire(trigger):
    """Run a trigger as the triggerer does, from what Airflow stored; its event as Airflow stores that."""
    _, arguments = trigger.serialize()

    async def first():
        return [event.payload async for event in AzureMLPipelineRunTrigger(**arguments).run()]

    (event,) = asyncio.run(first())
    return json.loads(json.dumps(event))


# --- what a retry policy reads of the same errors ---


def failed(call):
    with pytest.raises(AzureMLError) as raised:
        call()
    return raised.value


def test_the_pause_that_a_service_asks_for_survives_a_deferral(workspace, task, statsd):
    operator = RunPipeline(pipeline_id="long", deferrable=True)
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute(task.context)
    # Longer than the retry budget: the wait ends.
    workspace.faults.add("status", status=503, retry_after=77, method="GET", path="*/PipelineRuns/*", times=100)
    event = fire(deferred.value.trigger)
    assert (event["outcome"], event["retry_after"]) == ("unwatched", 77)
    error = failed(lambda: RunPipeline(pipeline_id="long", deferrable=True).execute_complete(task.context, event))
    assert (type(error), error.retry_after) == (RunUnwatched, 77)
    assert ours(statsd)["errors.RunUnwatched"] == 1


def test_an_event_of_an_earlier_version_has_no_pause(workspace, task, statsd):
    operator = RunPipeline(pipeline_id="long", deferrable=True)
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute(task.context)
    run_id = deferred.value.trigger.run_id
    event = {"run_id": run_id, "outcome": "unwatched", "message": "no route", "deadline": None, "fired_at": 1.0}
    error = failed(lambda: RunPipeline(pipeline_id="long", deferrable=True).execute_complete(task.context, event))
    assert error.retry_after is None


def test_the_pause_reaches_the_task_on_a_worker(workspace, learnt, monkeypatch, statsd):
    monkeypatch.setenv("AIRFLOW__AZUREML__THROTTLED_BUDGET", "0")
    workspace.faults.add("status", status=429, retry_after=55, method="POST", path=SUBMIT)
    error = failed(lambda: run(Task(), pipeline_id="quick"))
    assert (type(error), error.retry_after) == (Throttled, 55)
