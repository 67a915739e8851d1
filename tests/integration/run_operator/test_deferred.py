"""The run operator while it is deferred: the trigger that is stored, its events, and the resumed task."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest
from support.airflow.task import RunPipeline, Task
from support.services.local_workspace import serving
from support.services.recorded_workspace import TOKEN

from aml_provider.client.errors import RunFailed, RunTimedOut, RunUnwatched
from aml_provider.compat import AirflowFailException, TaskDeferred
from aml_provider.triggers import pipeline
from aml_provider.triggers.pipeline import AzureMLPipelineRunTrigger


@pytest.fixture(autouse=True)
def kept_variables(kept_in_memory):
    return kept_in_memory


def defer(task, **arguments):
    """Run a try until it defers."""
    operator = RunPipeline(**{"deferrable": True} | arguments)
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute(task.context)
    return deferred.value


def rebuilt(trigger):
    """The trigger as the triggerer builds it: from what was stored."""
    path, arguments = trigger.serialize()
    assert path == "aml_provider.triggers.pipeline.AzureMLPipelineRunTrigger"
    return AzureMLPipelineRunTrigger(**json.loads(json.dumps(arguments)))


def fire(trigger):
    async def first():
        return [event.payload async for event in rebuilt(trigger).run()]

    (event,) = asyncio.run(first())
    return json.loads(json.dumps(event))


def resume(task, event, **arguments):
    operator = RunPipeline(**{"deferrable": True} | arguments)
    return operator.resume_execution("execute_complete", {"event": event}, task.context)


def test_a_deferred_task_ends_with_its_run(workspace, task):
    deferred = defer(task, pipeline_id="quick")
    run_id = workspace.only_run().id
    assert task.record["run_id"] == run_id
    assert set(task.ti.xcoms) == {"azureml_run_id", "_link_AzureMLPipelineRunLink"}
    event = fire(deferred.trigger)
    assert (event["run_id"], event["outcome"]) == (run_id, "ended")
    assert resume(task, event, pipeline_id="quick") == run_id
    assert task.record["finished"]


def test_only_ids_and_durations_travel(workspace, task):
    deferred = defer(task, pipeline_id="long", parameters=None, tags={"password": "hunter2"})
    _, arguments = deferred.trigger.serialize()
    assert arguments == {
        "run_id": workspace.only_run().id,
        "experiment_name": "exp",
        "poll_interval": 0.1,
        "deadline": None,
        "azureml_conn_id": "azureml_default",
        "cancel_on_kill": True,
        "durable": True,
    }
    assert deferred.method_name == "execute_complete"
    for secret in (TOKEN, "hunter2"):
        assert secret not in repr(deferred.trigger.serialize())


def test_the_deadline_counts_from_the_start_of_the_try_and_airflow_waits_a_little_longer(workspace, task):
    started = task.ti.start_date.timestamp()
    deferred = defer(task, pipeline_id="long", execution_timeout=timedelta(minutes=10))
    assert deferred.trigger.deadline == started + 600
    assert timedelta(minutes=24) < deferred.timeout < timedelta(minutes=26)
    assert defer(Task(), pipeline_id="long").timeout is None


def test_a_failed_run_fails_the_resumed_task_with_its_step(workspace, task):
    event = fire(defer(task, pipeline_id="fails").trigger)
    with pytest.raises(RunFailed, match=r"'score' failed.*row 2 is empty"):
        resume(task, event, pipeline_id="fails")


def test_a_run_cancelled_in_the_workspace_ends_all_retries(workspace, task):
    deferred = defer(task, pipeline_id="long")
    workspace.state.cancel(workspace.only_run().id)
    with pytest.raises(AirflowFailException, match="cancelled in the workspace"):
        resume(task, fire(deferred.trigger), pipeline_id="long")


@pytest.mark.parametrize(("on_timeout", "status"), [("cancel", "Canceled"), ("leave", "Running")])
def test_the_deadline_does_to_the_run_what_was_asked(workspace, task, on_timeout, status):
    how = {"pipeline_id": "long", "on_timeout": on_timeout, "execution_timeout": timedelta(seconds=0.3)}
    event = fire(defer(task, **how).trigger)
    assert event["outcome"] == "deadline"
    with pytest.raises(RunTimedOut):
        resume(task, event, **how)
    assert workspace.status() == status


@pytest.mark.parametrize("error", ["Trigger timeout", "Trigger/execution timeout"], ids=["3.3", "2.11"])
@pytest.mark.parametrize(("on_timeout", "status"), [("cancel", "Canceled"), ("leave", "Running")])
def test_a_wait_that_airflow_ended_itself_does_the_same(workspace, task, on_timeout, status, error):
    how = {"pipeline_id": "long", "on_timeout": on_timeout, "deferrable": True}
    how["execution_timeout"] = timedelta(minutes=5)
    defer(task, **how)
    task.ti.start_date -= timedelta(minutes=20)
    workspace.clock.advance(30)
    operator = RunPipeline(**how)
    with pytest.raises(RunTimedOut):
        operator.resume_execution("__fail__", {"error": error}, task.context)
    assert workspace.status() == status


def abandoned(workspace, task, pipeline_id):
    """A task whose run has ended while no triggerer was there, and whose wait Airflow has ended."""
    how = {"pipeline_id": pipeline_id, "deferrable": True, "execution_timeout": timedelta(minutes=5)}
    defer(task, **how)
    task.ti.start_date -= timedelta(minutes=25)
    workspace.clock.advance(3600)
    return RunPipeline(**how)


# github.com/apache/airflow/issues/44759
@pytest.mark.parametrize("error", ["Trigger timeout", "Trigger/execution timeout"], ids=["3.3", "2.11"])
def test_a_run_that_ended_in_time_is_the_result_of_a_wait_that_airflow_ended(workspace, task, error):
    operator = abandoned(workspace, task, "quick")
    run_id = operator.resume_execution("__fail__", {"error": error}, task.context)
    assert run_id == workspace.only_run().id
    assert workspace.status() == "Finished"


def test_a_run_that_failed_is_the_error_of_a_wait_that_airflow_ended(workspace, task):
    operator = abandoned(workspace, task, "fails")
    with pytest.raises(RunFailed, match=r"'score' failed.*row 2 is empty"):
        operator.resume_execution("__fail__", {"error": "Trigger timeout"}, task.context)


@pytest.mark.parametrize("arguments", [{"error": "Trigger failure"}, {}, None])
def test_a_trigger_that_died_fails_the_task_and_leaves_the_run(workspace, task, arguments):
    from support.airflow.moved import TaskDeferralError

    defer(task, pipeline_id="long")
    with pytest.raises(TaskDeferralError):
        RunPipeline(pipeline_id="long").resume_execution("__fail__", arguments, task.context)
    workspace.clock.advance(30)
    assert workspace.status() == "Running"
    task.next_try()
    defer(task, pipeline_id="long")
    assert len(workspace.runs()) == 1


def test_a_run_that_cannot_be_polled_is_left_running_and_taken_over(workspace, task):
    deferred = defer(task, pipeline_id="long")
    workspace.faults.add("status", status=503, method="GET", path="*/PipelineRuns/*", times=100)
    event = fire(deferred.trigger)
    assert event["outcome"] == "unwatched"
    with pytest.raises(RunUnwatched, match="The run continues; a retry takes it over"):
        resume(task, event, pipeline_id="long")
    workspace.faults.clear()
    task.next_try()
    assert defer(task, pipeline_id="long").trigger.run_id == workspace.only_run().id
    assert workspace.status() == "Running"


def test_a_run_that_ended_while_nothing_waited_is_taken_over_without_another_wait(workspace, task):
    defer(task, pipeline_id="quick")
    run_id = workspace.only_run().id
    workspace.clock.advance(3600)
    task.next_try()
    assert RunPipeline(pipeline_id="quick", deferrable=True).execute(task.context) == run_id
    assert len(workspace.runs()) == 1


@pytest.mark.parametrize("status", [401, 403, 404])
def test_not_even_a_refused_poll_ends_the_run_or_the_retries(workspace, task, status):
    deferred = defer(task, pipeline_id="long")
    workspace.faults.add("status", status=status, method="GET", path="*/PipelineRuns/*", times=100)
    event = fire(deferred.trigger)
    with pytest.raises(RunUnwatched):
        resume(task, event, pipeline_id="long")
    with pytest.raises(RunUnwatched):
        resume(task, event | {"outcome": "ended"}, pipeline_id="long")


@pytest.mark.parametrize(
    "event", [None, {}, {"outcome": "ended"}, {"run_id": "x"}, {"run_id": "x", "outcome": "success"}]
)
def test_an_event_of_somebody_else_is_refused(workspace, task, event):
    with pytest.raises(ValueError, match="Not an event"):
        resume(task, event, pipeline_id="long")


@pytest.mark.parametrize("outcome", ["ended", "deadline", "unwatched"])
def test_an_event_about_another_task_s_run_decides_nothing(workspace, task, outcome):
    other = fire(defer(Task(), pipeline_id="quick").trigger)
    own = defer(task, pipeline_id="long").trigger.run_id
    with pytest.raises(TaskDeferred) as again:
        resume(task, other | {"outcome": outcome}, pipeline_id="long")
    assert again.value.trigger.run_id == own != other["run_id"]


def test_an_event_does_not_decide_how_the_run_ended(workspace, task):
    deferred = defer(task, pipeline_id="long")
    run_id = workspace.only_run().id
    with pytest.raises(TaskDeferred) as again:
        resume(task, {"run_id": run_id, "outcome": "ended", "message": "Finished"}, pipeline_id="long")
    assert again.value.trigger.run_id == deferred.trigger.run_id


# The trigger's own on_kill


class WatchedTrigger(AzureMLPipelineRunTrigger):
    """Takes the state of the task from the test."""

    now = None

    def task_state(self):
        return self.now


@pytest.mark.parametrize(
    ("state", "own_run", "status"),
    [
        ("deferred", True, "Running"),
        ("deferred", False, "Running"),
        ("no_status", True, "Running"),
        ("queued", True, "Running"),
        ("running", True, "Running"),
        ("skipped", True, "Canceled"),
        ("success", True, "Canceled"),
        (None, True, "Canceled"),
    ],
)
def test_on_kill_cancels_only_when_the_task_has_ended(workspace, task, state, own_run, status):
    trigger = WatchedTrigger(**defer(task, pipeline_id="long").trigger.serialize()[1])
    trigger.task_instance = task.ti
    trigger.now = state, trigger.run_id if own_run else "another"
    workspace.clock.advance(30)
    asyncio.run(trigger.on_kill())
    assert workspace.status() == status
    assert ("airflow.cancel" in workspace.only_run().history_tags) == (status == "Canceled")


def test_on_kill_ends_in_time_though_the_run_does_not(monkeypatch, task):
    with serving(monkeypatch, quirks=["slow_cancel=100000s"]) as workspace:
        trigger = WatchedTrigger(**defer(task, pipeline_id="long").trigger.serialize()[1])
        trigger.task_instance = task.ti
        trigger.now = "success", trigger.run_id
        monkeypatch.setattr(pipeline, "_CANCEL_TIMEOUT", 0.0)
        asyncio.run(trigger.on_kill())
        assert workspace.state.view(workspace.only_run()).cancelling


def test_a_retry_waits_for_the_run_that_was_killed_before(monkeypatch, task):
    with serving(monkeypatch, quirks=["slow_cancel=50s"]) as workspace:
        defer(task, pipeline_id="long")
        old = workspace.only_run()
        workspace.state.runs[old.id].history_tags["airflow.cancel"] = "the task was ended in Airflow"
        workspace.state.cancel(old.id)
        task.next_try()
        defer(task, pipeline_id="long")
        first, second = workspace.runs()
        assert workspace.status(first.id) == "Canceled"
        assert second.created >= first.cancel_effective
