"""The clocks of workers, triggerers and the scheduler differ: no wait ends early, and none goes round in circles."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import threading
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from types import SimpleNamespace

import pytest
from support.airflow.task import RunPipeline
from support.drivers.clocks import clock_off_by

from aml_provider.client.errors import RunTimedOut
from aml_provider.compat import AirflowSensorTimeout, TaskDeferred
from aml_provider.deadlines import clock_ahead
from aml_provider.hooks.azure_ml import AzureMLHook
from aml_provider.sensors.blob import AzureBlobChangeSensor
from aml_provider.sensors.pipeline import AzureMLPipelineRunSensor
from aml_provider.sensors.schedule import AzureMLScheduleRunSensor

AHEAD = [600.0, 60.0, 2.0]
ends = pytest.mark.parametrize(("on_timeout", "status"), [("cancel", "Canceled"), ("leave", "Running")])


@pytest.fixture(autouse=True)
def kept_variables(kept_in_memory, monkeypatch):
    from aml_provider.state.cursor_stores import VariableCursorStore

    monkeypatch.setattr(VariableCursorStore, "_read", lambda store: kept_in_memory.get(store.key))
    monkeypatch.setattr(VariableCursorStore, "_write", lambda store, text: kept_in_memory.__setitem__(store.key, text))
    return kept_in_memory


def fire(trigger, ahead, limit=30.0):
    """The event of a trigger on a machine whose clock is ahead; None if it does not fire within the limit.

    The limit is shorter than a minute, by which a clock is ahead here: who waits for longer by that much is noticed.
    """
    _, arguments = trigger.serialize()

    async def first():
        events = type(trigger)(**json.loads(json.dumps(arguments))).run()
        try:
            return (await asyncio.wait_for(anext(events), limit)).payload
        except TimeoutError:
            return None
        finally:
            await events.aclose()

    with clock_off_by(ahead):
        event = asyncio.run(first())
    return None if event is None else json.loads(json.dumps(event))


def defer(step, *arguments):
    with pytest.raises(TaskDeferred) as caught:
        step(*arguments)
    return caught.value


def rounds(make, context, ahead):
    """Take an operator through all its deferrals; returns their number and the error at the end.

    A busy machine may need so long for the first step that the operator does not defer at all.
    """
    step = partial(make().execute, context)
    for number in range(10):
        try:
            step()
        except TaskDeferred as deferral:
            event = fire(deferral.trigger, ahead)
            assert event is not None, "the trigger fires too late"
            arguments = {**(deferral.kwargs or {}), "event": event}
            step = partial(make().resume_execution, deferral.method_name, arguments, context)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test looks at it
            return number, error
        else:
            raise AssertionError("it has ended without an error")
    raise AssertionError("it goes round in circles")


def run_pipeline(**arguments):
    return RunPipeline(**{"pipeline_id": "long", "deferrable": True} | arguments)


@pytest.mark.parametrize("on_timeout", ["cancel", "leave"])
@pytest.mark.parametrize("ahead", [600.0, 301.0])
def test_a_triggerer_that_is_ahead_ends_no_wait(workspace, task, on_timeout, ahead):
    operator = run_pipeline(execution_timeout=timedelta(minutes=5), on_timeout=on_timeout)
    deferral = defer(operator.execute, task.context)
    event = fire(deferral.trigger, ahead)
    assert event["outcome"] == "deadline"
    before = time.time()
    again = defer(operator.execute_complete, task.context, event)
    after = time.time()
    assert workspace.status() == "Running"
    assert "The deadline of execution_timeout has passed by the clock of Airflow's triggerer" in str(RunPipeline.log)
    # It knows by now, and is not woken again.
    moved = again.trigger.deadline - deferral.trigger.deadline
    assert event["fired_at"] - after <= moved <= event["fired_at"] - before
    assert fire(again.trigger, ahead, limit=0.5) is None
    # Airflow itself ends the wait when it would have.
    assert again.timeout <= deferral.timeout


@ends
@pytest.mark.parametrize("ahead", AHEAD)
def test_a_wait_with_a_triggerer_that_is_ahead_ends_in_time(workspace, task, on_timeout, status, ahead):
    task.ti.start_date -= timedelta(seconds=298)
    due = time.time() + 2
    number, error = rounds(
        lambda: run_pipeline(execution_timeout=timedelta(minutes=5), on_timeout=on_timeout), task.context, ahead
    )
    assert isinstance(error, RunTimedOut)
    assert due - 1.1 <= time.time()
    assert number <= 3
    assert workspace.status() == status


@ends
@pytest.mark.parametrize("again", [None, timedelta(0)], ids=["unknown", "anew"])
def test_where_each_deferral_begins_a_new_try_the_first_deadline_counts(workspace, task, on_timeout, status, again):
    # dag.test(): on Airflow 2.11 it gives no start date, on 3.3 a new one each time.
    operator = run_pipeline(execution_timeout=timedelta(seconds=2), on_timeout=on_timeout)
    event = fire(defer(operator.execute, task.context).trigger, 0)
    task.ti.start_date = None if again is None else datetime.now(UTC)
    with pytest.raises(RunTimedOut):
        operator.execute_complete(task.context, event)
    assert workspace.status() == status


@ends
def test_a_triggerer_that_is_behind_ends_the_wait_late(workspace, task, on_timeout, status):
    operator = run_pipeline(execution_timeout=timedelta(minutes=5), on_timeout=on_timeout)
    deferral = defer(operator.execute, task.context)
    task.ti.start_date -= timedelta(minutes=15)
    event = {"run_id": workspace.only_run().id, "outcome": "deadline", "fired_at": time.time() - 600}
    with pytest.raises(RunTimedOut):
        operator.execute_complete(task.context, event)
    assert workspace.status() == status
    # Until then Airflow has not ended it: its trigger would have taken that for a manual state change.
    assert deferral.timeout > timedelta(minutes=5 + 10)


def test_a_resuming_worker_that_is_behind_waits_on_by_its_own_clock(workspace, task):
    operator = run_pipeline(execution_timeout=timedelta(minutes=5))
    deferral = defer(operator.execute, task.context)
    task.ti.start_date -= timedelta(minutes=5)
    event = {"run_id": workspace.only_run().id, "outcome": "deadline", "fired_at": time.time()}
    before = time.time()
    with clock_off_by(-600):
        again = defer(operator.execute_complete, task.context, event)
        assert again.timeout > timedelta(minutes=10)
    after = time.time()
    moved = again.trigger.deadline - (deferral.trigger.deadline - 300)
    assert event["fired_at"] - after <= moved - 600 <= event["fired_at"] - before
    assert workspace.status() == "Running"
    task.ti.start_date -= timedelta(minutes=10)
    with clock_off_by(-600), pytest.raises(RunTimedOut):
        operator.execute_complete(task.context, event | {"fired_at": time.time() + 600})


def begin_elsewhere(task, off, **arguments):
    """Begin the try on a worker whose clock is off; the deferral."""
    with clock_off_by(off):
        task.ti.start_date = datetime.fromtimestamp(time.time(), UTC)
        deferral = defer(run_pipeline(**arguments).execute, task.context)
    if not deferral_took_over():
        # The product reads this one instant by a reference to the clock, which nothing here can change.
        task.store.set("azureml_submission", shifted(task.record, off))
    return deferral


def deferral_took_over():
    return "Taking over run" in str(RunPipeline.log)


def shifted(record, off):
    """A submission record that was written on a machine whose clock is off."""
    content = json.loads(record) if isinstance(record, str) else dict(record)
    content["submitted_at"] += off
    return json.dumps(content) if isinstance(record, str) else content


@pytest.mark.parametrize(("first", "second"), [(-600, 0), (0, 600), (-600, 600)])
def test_a_worker_whose_clock_is_ahead_of_the_first_ones_ends_no_wait_early(workspace, task, first, second):
    workspace.state.clock.hold()
    limit = {"execution_timeout": timedelta(minutes=5)}
    begin_elsewhere(task, first, **limit)
    event = {"run_id": workspace.only_run().id, "outcome": "deadline", "fired_at": time.time()}
    with clock_off_by(second):
        again = defer(run_pipeline(**limit).execute_complete, task.context, event)
        assert 0 < again.trigger.deadline - time.time() <= 300 + 5
    said = re.search(r"a clock that is (\d+) s behind this worker's", str(RunPipeline.log))
    # For the service no time has passed, and for this worker some has.
    assert float(said[1]) >= second - first - 1
    assert workspace.status() in {"NotStarted", "Running"}
    # Five minutes later by the service's clock, which nobody doubts.
    workspace.state.clock.advance(400)
    with clock_off_by(second), pytest.raises(RunTimedOut):
        run_pipeline(**limit).execute_complete(task.context, event)
    assert workspace.status() == "Canceled"


@pytest.mark.parametrize(("first", "second"), [(600, 0), (0, -600), (600, -600), (0, 60)])
def test_other_differences_of_two_workers_leave_the_deadline(workspace, task, first, second):
    deferral = begin_elsewhere(task, first, execution_timeout=timedelta(minutes=5))
    event = {"run_id": workspace.only_run().id, "outcome": "deadline", "fired_at": time.time()}
    with clock_off_by(second):
        again = defer(run_pipeline(execution_timeout=timedelta(minutes=5)).execute_complete, task.context, event)
    ahead = again.trigger.deadline - deferral.trigger.deadline
    assert max(0, -second) - 5 < ahead <= max(0, -second)
    assert "The worker that began this try" not in str(RunPipeline.log)


def test_more_than_an_hour_is_no_clock_of_a_worker(workspace, task):
    """A workspace that is held, or a proxy that sends an old date, must not keep a task waiting for ever."""
    workspace.state.clock.hold()
    limit = {"execution_timeout": timedelta(minutes=5)}
    begin_elsewhere(task, -7200, **limit)
    event = {"run_id": workspace.only_run().id, "outcome": "deadline", "fired_at": time.time()}
    with pytest.raises(RunTimedOut):
        run_pipeline(**limit).execute_complete(task.context, event)


@pytest.mark.parametrize("damage", ["damaged", "unreachable"])
def test_a_record_that_cannot_be_read_does_not_keep_a_run_alive(workspace, task, damage, monkeypatch):
    limit = {"execution_timeout": timedelta(minutes=5)}
    begin_elsewhere(task, 0, **limit)
    task.ti.start_date -= timedelta(minutes=6)
    event = {"run_id": workspace.only_run().id, "outcome": "deadline", "fired_at": time.time()}
    if damage == "damaged":
        task.store.set("azureml_submission", {"key": 5})
    else:
        # Airflow's store raises this for an answer 500 of its API server.
        monkeypatch.setattr(task.store, "get", lambda *_: 1 / 0)
    with pytest.raises(RunTimedOut):
        run_pipeline(**limit).execute_complete(task.context, event)
    assert workspace.status() == "Canceled"


def test_the_clock_of_a_worker_that_took_a_run_over_is_not_known(workspace, task):
    begin_elsewhere(task, 0)
    task.next_try()
    deferral = begin_elsewhere(task, 700, execution_timeout=timedelta(minutes=5))
    event = {"run_id": workspace.only_run().id, "outcome": "deadline", "fired_at": time.time()}
    with clock_off_by(1400), pytest.raises(RunTimedOut):
        run_pipeline(execution_timeout=timedelta(minutes=5)).execute_complete(task.context, event)
    assert deferral.trigger.deadline > time.time() + 900


@pytest.mark.parametrize("off", [600.0, -600.0])
def test_a_worker_that_is_off_takes_over_what_ended(workspace, task, off):
    operator = run_pipeline(pipeline_id="quick", execution_timeout=timedelta(minutes=5))
    deferral = defer(operator.execute, task.context)
    event = fire(deferral.trigger, 0)
    assert event["outcome"] == "ended"
    with clock_off_by(off):
        assert operator.execute_complete(task.context, event) == workspace.only_run().id


@pytest.mark.parametrize("timeout", [timedelta.max, timedelta(days=36700)])
def test_a_timeout_beyond_all_dates_is_no_limit(workspace, task, timeout):
    deferral = defer(run_pipeline(execution_timeout=timeout).execute, task.context)
    assert deferral.trigger.deadline is None
    assert deferral.timeout is None


@pytest.mark.parametrize("lasts", [None, timedelta(hours=1)], ids=["removed", "raised"])
@pytest.mark.parametrize("ahead", [600, 0], ids=["triggerer ahead", "equal clocks"])
def test_a_timeout_that_the_dag_no_longer_has_ends_no_wait(workspace, task, lasts, ahead):
    """Somebody changes the DAG while the task is deferred."""
    task.ti.start_date -= timedelta(seconds=0 if ahead else 299)
    deferral = defer(run_pipeline(execution_timeout=timedelta(minutes=5)).execute, task.context)
    operator = run_pipeline(execution_timeout=lasts)
    event = fire(deferral.trigger, ahead)
    assert event["outcome"] == "deadline"
    before = time.time()
    again = defer(operator.execute_complete, task.context, event)
    after = time.time()
    if lasts is None:
        assert (again.trigger.deadline, again.timeout) == (None, None)
    else:
        moved = again.trigger.deadline - (task.ti.start_date.timestamp() + 3600)
        assert max(0.0, event["fired_at"] - after) <= moved <= max(0.0, event["fired_at"] - before)
    assert workspace.status() in {"NotStarted", "Running"}
    if not ahead:
        assert "Is one of the two clocks wrong?" not in str(RunPipeline.log)
        assert "no longer has an execution_timeout" in str(RunPipeline.log) or "was raised" in str(RunPipeline.log)


@contextlib.contextmanager
def released_at_the_next_read(workspace):
    """Let the workspace's time stand until the run has been read: it is active then, and ends afterwards."""
    path = f"PipelineRuns/{workspace.only_run().id}"
    before, over = len(workspace.requests("GET", path)), threading.Event()

    def release():
        while not over.wait(0.01):
            if len(workspace.requests("GET", path)) > before:
                workspace.clock.release()
                return

    thread = threading.Thread(target=release)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("error", ["Trigger timeout", "Trigger/execution timeout"], ids=["3.3", "2.11"])
def test_a_timeout_that_was_removed_ends_no_wait_that_airflow_has_ended(workspace, task, error):
    workspace.clock.hold()
    defer(run_pipeline(pipeline_id="quick", execution_timeout=timedelta(minutes=5)).execute, task.context)
    task.ti.start_date -= timedelta(minutes=30)
    operator = run_pipeline(pipeline_id="quick")
    with released_at_the_next_read(workspace):
        assert operator.resume_execution("__fail__", {"error": error}, task.context) == workspace.only_run().id
    assert workspace.status() == "Finished"


@pytest.mark.parametrize("error", ["Trigger timeout", "Trigger/execution timeout"], ids=["3.3", "2.11"])
@pytest.mark.parametrize("on_timeout", ["cancel", "leave"])
def test_a_scheduler_that_is_ahead_ends_no_wait(workspace, task, on_timeout, error):
    workspace.clock.hold()
    operator = run_pipeline(pipeline_id="quick", execution_timeout=timedelta(minutes=5), on_timeout=on_timeout)
    defer(operator.execute, task.context)
    with released_at_the_next_read(workspace):
        assert operator.resume_execution("__fail__", {"error": error}, task.context) == workspace.only_run().id
    assert "The deadline of execution_timeout has passed by the clock of Airflow's scheduler" in str(RunPipeline.log)
    assert workspace.status() == "Finished"


@pytest.mark.parametrize("error", ["Trigger timeout", "Trigger/execution timeout"], ids=["3.3", "2.11"])
def test_a_scheduler_that_is_ahead_fails_no_task_whose_run_has_ended(workspace, task, error):
    workspace.clock.hold()
    operator = run_pipeline(pipeline_id="quick", execution_timeout=timedelta(minutes=5))
    defer(operator.execute, task.context)
    workspace.clock.release()
    workspace.clock.advance(60)
    assert workspace.status() == "Finished"
    assert operator.resume_execution("__fail__", {"error": error}, task.context) == workspace.only_run().id
    assert task.record["finished"]


@ends
def test_a_wait_that_goes_on_on_the_worker_ends_in_time(workspace, task, on_timeout, status):
    operator = run_pipeline(execution_timeout=timedelta(seconds=2.5), on_timeout=on_timeout)
    defer(operator.execute, task.context)
    due = task.ti.start_date.timestamp() + 2.5
    with pytest.raises(RunTimedOut):
        operator.resume_execution("__fail__", {"error": "Trigger timeout"}, task.context)
    assert due - 1.1 <= time.time()
    assert workspace.status() == status


@pytest.mark.parametrize("event", [None, {}, {"fired_at": None}, {"fired_at": "soon"}, {"fired_at": True}], ids=str)
def test_an_event_that_does_not_say_when_it_was_fired_says_nothing_of_a_clock(event):
    assert clock_ahead(event) == 0.0


def test_a_clock_that_is_behind_is_left_to_airflows_own_limit():
    assert clock_ahead({"fired_at": time.time() - 600}) == 0.0
    before = time.time()
    ahead = clock_ahead({"fired_at": before + 600})
    # The millisecond is for rounding.
    assert 600 - (time.time() - before) - 0.001 <= ahead <= 600.001


@pytest.mark.parametrize("kind", [AzureBlobChangeSensor, AzureMLPipelineRunSensor, AzureMLScheduleRunSensor])
@pytest.mark.parametrize("ahead", AHEAD)
def test_a_sensor_waits_as_long_as_it_should(workspace, kind, ahead):
    # A check that fails ends no wait.
    for path in ("*/datastores/*", "*/PipelineRuns/Schedule/*"):
        workspace.faults.add("status", status=503, method="GET", path=path, times=500)
    what = {
        AzureBlobChangeSensor: lambda: {"datastore": "store", "path": "incoming"},
        AzureMLPipelineRunSensor: lambda: {
            "run_id": AzureMLHook().submit_pipeline("long", experiment_name="others").id
        },
        AzureMLScheduleRunSensor: lambda: {"schedule_id": "none-yet", "since": "2026-01-01"},
    }[kind]()
    due = time.time() + 2
    context = {"ti": SimpleNamespace(dag_id="dag", run_id="run", task_id="watch", map_index=-1, max_tries=0)}
    number, error = rounds(
        lambda: kind(task_id="watch", deferrable=True, timeout=2, poke_interval=0.5, **what), context, ahead
    )
    assert isinstance(error, AirflowSensorTimeout)
    assert due <= time.time()
    assert number <= 6
