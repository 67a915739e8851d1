"""Airflow interrupts a try at any moment: a person ended the task, or Airflow has its own reasons, or time is up."""

from __future__ import annotations

import contextlib
import signal
import threading
from contextlib import contextmanager
from datetime import timedelta

import pytest
from support.airflow.moved import AirflowTaskTerminated
from support.airflow.task import RunPipeline
from support.services.local_workspace import LONG, serving

from aml_provider.client.errors import AzureMLError, RunFailed, RunTimedOut
from aml_provider.compat import AIRFLOW_V_3_0_PLUS, AIRFLOW_V_3_3_PLUS, AirflowTaskTimeout, TaskDeferred
from aml_provider.state import other_tasks, variables


@pytest.fixture(autouse=True)
def kept_variables(kept_in_memory, airflow):
    return kept_in_memory


# Asks Airflow, in spite of the fixture.
OWNER_STATE = other_tasks.owner_state

# States of a task instance that nobody has ended, though its worker is interrupted.
INTERRUPTED = ["running", "up_for_retry", "no_status", "scheduled", "queued", "deferred"]


def run(task, **arguments):
    return RunPipeline(**arguments).execute(task.context)


def test_a_kill_before_anything_was_sent_does_nothing(workspace, task):
    operator = RunPipeline(pipeline_id="long")
    operator.on_kill()
    operator._begin(task.context).kill()
    assert workspace.requests() == []


def test_a_kill_before_the_task_begins_lets_nothing_be_submitted(workspace, task):
    """Airflow 3 calls on_kill from before it renders the arguments, and the task begins anyway."""
    operator = RunPipeline(pipeline_id="long")
    operator.on_kill()
    with pytest.raises(AzureMLError, match="being killed; nothing was submitted"):
        operator.execute(task.context)
    assert workspace.posts() == []


@pytest.mark.parametrize("cleared", [False, True])
def test_a_kill_before_the_task_begins_cancels_the_earlier_run(workspace, task, cleared):
    run(task, pipeline_id="long", wait_for_completion=False)
    task.store["azureml_submission"]["finished"] = False
    task.clear() if cleared else task.next_try()
    operator = RunPipeline(pipeline_id="long")
    operator.on_kill()
    with pytest.raises(AzureMLError, match=r"killed|ended in Airflow"):
        operator.execute(task.context)
    assert workspace.status() == "Canceled"
    assert "airflow.cancel" in workspace.only_run().history_tags


def test_a_kill_before_the_task_resumes_cancels_a_run_that_goes_on(workspace, task):
    with pytest.raises(TaskDeferred):
        run(task, pipeline_id="long", deferrable=True)
    operator = RunPipeline(pipeline_id="long", deferrable=True)
    operator.on_kill()
    event = {"run_id": workspace.only_run().id, "experiment_name": "exp", "outcome": "ended", "message": ""}
    with pytest.raises(RunFailed, match="ended in Airflow"):
        operator.execute_complete(task.context, event)
    assert workspace.status() == "Canceled"


def interrupt(operator):
    """Interrupt a try that has ended, and wait until the interruption has been handled."""
    operator.on_kill()
    for interruption in operator._try._interruptions:
        interruption.wait(240)


def test_a_kill_of_the_resumed_task_cancels_its_run(workspace, task):
    with pytest.raises(TaskDeferred):
        run(task, pipeline_id="long", deferrable=True)
    operator = RunPipeline(pipeline_id="long", deferrable=True)
    with pytest.raises(TaskDeferred):
        operator.execute_complete(task.context, {"run_id": workspace.only_run().id, "outcome": "ended"})
    interrupt(operator)
    assert workspace.status() == "Canceled"


def kill(operator):
    """What the signal handler does: on Airflow 3 it returns, and the task goes on where it was."""
    operator.on_kill()
    if not AIRFLOW_V_3_0_PLUS:
        raise AirflowTaskTerminated


@contextmanager
def killed_when(workspace, operator, happened):
    """Deliver SIGTERM when something has happened in the workspace, and handle it as this Airflow does."""
    handled = []

    def handle(signum, frame):
        handled.append(signum)
        kill(operator)

    def send():
        if not sent.is_set() and happened():
            sent.set()
            signal.pthread_kill(threading.main_thread().ident, signal.SIGTERM)

    sent = threading.Event()
    before = signal.signal(signal.SIGTERM, handle)
    workspace.state.listeners.append(send)
    try:
        yield
    finally:
        workspace.state.listeners.remove(send)
        signal.signal(signal.SIGTERM, before)
    assert handled


def test_a_kill_while_waiting_cancels_the_run(workspace, task, airflow):
    operator = RunPipeline(pipeline_id="long")
    told = operator.log.info

    def kill_then(message, *values):
        told(message, *values)
        if "Running" in str(operator.log) and not operator._killed:
            operator.on_kill()

    operator.log.info = kill_then
    with pytest.raises(RunFailed, match="ended in Airflow"):
        operator.execute(task.context)
    assert workspace.status() == "Canceled"
    assert "airflow.cancel" in workspace.only_run().history_tags


@pytest.mark.parametrize(
    "quirks",
    [
        pytest.param([], id="found by its key"),
        pytest.param(
            ["history_lag=1000s"],
            id="found by the late reply",
            marks=pytest.mark.skipif(not AIRFLOW_V_3_0_PLUS, reason="Airflow 2 ends the task before the reply comes"),
        ),
    ],
)
@pytest.mark.parametrize("deferrable", [True, False])
def test_a_kill_while_the_reply_is_on_its_way_cancels_the_run(monkeypatch, task, quirks, deferrable):
    with serving(monkeypatch, quirks=quirks) as workspace:
        operator = RunPipeline(pipeline_id="long", deferrable=deferrable)
        with (
            killed_when(workspace, operator, workspace.runs),
            pytest.raises(RunFailed if AIRFLOW_V_3_0_PLUS else AirflowTaskTerminated),
        ):
            operator.execute(task.context)
        assert workspace.status() == "Canceled"
        assert "airflow.cancel" in workspace.only_run().history_tags


@pytest.mark.parametrize("state", [*INTERRUPTED, RuntimeError("the API server is away")])
def test_a_worker_that_is_interrupted_while_waiting_leaves_its_run(workspace, task, airflow, state):
    """Heartbeats fail, a worker is shut down, a node is drained, a worker is taken for dead: the task has not ended."""
    airflow.state = state
    operator = RunPipeline(pipeline_id="long")
    told = operator.log.info

    def interrupt_then(message, *values):
        told(message, *values)
        if "Running" in str(operator.log) and not operator._killed:
            operator.on_kill()
            workspace.clock.advance(LONG + 100)

    operator.log.info = interrupt_then
    assert operator.execute(task.context) == workspace.only_run().id
    assert workspace.status() == "Finished"
    assert "Airflow interrupted this task" in str(operator.log)
    assert "The run continues." in str(operator.log)
    assert "airflow.cancel" not in workspace.only_run().history_tags


@pytest.mark.parametrize("state", INTERRUPTED)
@pytest.mark.parametrize("how", [{"deferrable": True}, {"wait_for_completion": False}], ids=["deferred", "no wait"])
def test_a_worker_that_is_interrupted_in_its_submission_leaves_its_run(workspace, task, airflow, state, how):
    airflow.state = state
    operator = RunPipeline(pipeline_id="long", **how)
    with killed_when(workspace, operator, workspace.runs), contextlib.suppress(TaskDeferred, AirflowTaskTerminated):
        operator.execute(task.context)
    assert workspace.status() in {"NotStarted", "Running"}
    assert "airflow.cancel" not in workspace.only_run().history_tags
    task.next_try()
    airflow.state = "running"
    RunPipeline(pipeline_id="long", wait_for_completion=False).execute(task.context)
    assert len(workspace.runs()) == 1


@pytest.mark.parametrize("state", ["success", "failed", "skipped", "removed", None])
@pytest.mark.parametrize("stored", [True, False], ids=["durable", "not durable"])
def test_a_task_that_has_ended_takes_its_run_along(workspace, task, airflow, state, stored):
    """A manual state change, a DAG run that timed out, a task instance that was deleted."""
    airflow.state = state
    operator = RunPipeline(pipeline_id="long", wait_for_completion=False, durable=stored)
    operator.execute(task.context)
    interrupt(operator)
    # Airflow may also have given up the worker. Since 3.3 its API server hears of manual state changes only.
    left = state == "failed" and stored and AIRFLOW_V_3_3_PLUS
    assert (workspace.status() == "Canceled") is not left


@pytest.mark.skipif(not AIRFLOW_V_3_3_PLUS, reason="Airflow has a task state store since 3.3")
def test_a_failed_task_takes_its_run_along_where_the_api_server_cannot_read_its_record(
    workspace, task, airflow, monkeypatch
):
    monkeypatch.setenv("AIRFLOW__WORKERS__STATE_STORE_BACKEND", "some.Backend")
    airflow.state = "failed"
    operator = RunPipeline(pipeline_id="long", wait_for_completion=False)
    operator.execute(task.context)
    interrupt(operator)
    assert workspace.status() == "Canceled"


@pytest.mark.skipif(not AIRFLOW_V_3_3_PLUS, reason="Airflow has a task state store since 3.3")
@pytest.mark.parametrize(
    ("others", "fail_fast", "canceled", "map_index"),
    [
        pytest.param({"load": "failed"}, True, True, -1, id="stopped"),
        pytest.param({"load_3": "failed"}, True, True, -1, id="stopped by a mapped task"),
        pytest.param({"run_3": "failed"}, True, True, -1, id="stopped by a task with a similar name"),
        pytest.param({"3": "failed"}, True, True, 0, id="stopped by a task whose name is a number"),
        pytest.param({"load": "failed"}, False, False, -1, id="another one failed, which stops nothing"),
        pytest.param({"load": "success", "last": None}, True, False, -1, id="its worker was given up"),
        pytest.param({"run_3": "failed"}, True, False, 0, id="an instance of a mapped task stops none of its kind"),
    ],
)
def test_a_dag_that_fails_fast_takes_the_run_of_a_last_try_along(
    workspace, task, monkeypatch, others, fail_fast, canceled, map_index
):
    from airflow.sdk import DAG
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    task.ti.map_index = map_index
    states = {"run" if map_index < 0 else f"run_{map_index}": "failed", **others}

    def get_task_states(dag_id, run_ids, task_ids=None, map_index=None):
        wanted = {
            name: state
            for name, state in states.items()
            if task_ids is None or name in task_ids or name.rpartition("_")[0] in task_ids
        }
        return {task.ti.run_id: wanted} if [task.ti.run_id] == run_ids else {}

    monkeypatch.setattr(RuntimeTaskInstance, "get_task_states", staticmethod(get_task_states))
    monkeypatch.setattr(other_tasks, "owner_state", OWNER_STATE)
    with DAG("dag", schedule=None, fail_fast=fail_fast):
        operator = RunPipeline(pipeline_id="long", wait_for_completion=False)
    operator.execute(task.context)
    interrupt(operator)
    assert (workspace.status() == "Canceled") is canceled


def test_an_interruption_is_asked_about_each_time(workspace, task, airflow):
    """A worker that is shut down may be given the time to go on, and a person clears the task then."""
    airflow.state = "running"
    operator = RunPipeline(pipeline_id="long", wait_for_completion=False)
    operator.execute(task.context)
    interrupt(operator)
    workspace.clock.advance(30)
    assert workspace.status() == "Running"
    airflow.state = "restarting"
    interrupt(operator)
    assert workspace.status() == "Canceled"


def test_a_kill_that_comes_before_the_submission_prevents_it(workspace, task):
    operator = RunPipeline(pipeline_id="long")
    begun = operator._begin(task.context)

    class Stopping(type(task.store)):
        def set(self, key, value):
            super().set(key, value)
            if value["sent"]:
                kill(operator)

    task.store.__class__ = Stopping
    with pytest.raises((AzureMLError, AirflowTaskTerminated)):
        begun.start()
    assert workspace.posts() == []


def test_a_run_that_came_to_be_during_a_kill_is_not_handed_to_the_triggerer(workspace, task):
    operator = RunPipeline(pipeline_id="long", deferrable=True)

    class Stopping(type(task.store)):
        def set(self, key, value):
            super().set(key, value)
            if value["run_id"]:
                kill(operator)

    task.store.__class__ = Stopping
    with pytest.raises((RunFailed, AirflowTaskTerminated)):
        operator.execute(task.context)
    assert workspace.status() == "Canceled"


def test_a_kill_leaves_the_run_alone_if_that_is_wanted(workspace, task):
    operator = RunPipeline(pipeline_id="long", wait_for_completion=False, cancel_on_kill=False)
    operator.execute(task.context)
    interrupt(operator)
    assert workspace.status() in {"NotStarted", "Running"}


def test_a_kill_asks_airflow_for_the_state_only_and_in_a_thread(workspace, task, airflow, monkeypatch):
    """In a signal handler the lock of Airflow's own client may be taken, and would never come free."""
    operator = RunPipeline(pipeline_id="long", wait_for_completion=False)
    operator.execute(task.context)

    def forbidden(*_, **__):
        raise AssertionError("a kill asked Airflow")

    def state(owner):
        asking.append(threading.current_thread())
        return "restarting"

    asking = []
    monkeypatch.setattr(other_tasks, "owner_state", state)
    monkeypatch.delenv("AIRFLOW_CONN_AZUREML_DEFAULT")
    monkeypatch.setattr(type(task.ti), "xcom_push", forbidden)
    monkeypatch.setattr(type(task.store), "set", forbidden)
    monkeypatch.setattr(variables, "read", forbidden)
    operator.on_kill()
    interrupt(operator)
    assert workspace.status() == "Canceled"
    assert asking
    assert threading.main_thread() not in asking


def test_a_kill_that_fails_says_so_and_raises_nothing(workspace, task):
    operator = RunPipeline(pipeline_id="long", wait_for_completion=False)
    operator.execute(task.context)
    workspace.faults.add("status", status=403, method="DELETE", times=9)
    interrupt(operator)
    assert "cancel it in the studio" in str(operator.log)


@pytest.mark.parametrize(("on_timeout", "status"), [("cancel", "Canceled"), ("leave", "Running")])
@pytest.mark.parametrize("cancel_on_kill", [True, False])
def test_airflow_s_own_timeout_does_what_was_asked(workspace, task, on_timeout, status, cancel_on_kill):
    """Airflow raises wherever the worker is, then calls on_kill."""
    operator = RunPipeline(pipeline_id="long", on_timeout=on_timeout, cancel_on_kill=cancel_on_kill)
    told = operator.log.info

    def interrupt(message, *values):
        told(message, *values)
        if "Running" in (message % values if values else message):
            raise AirflowTaskTimeout

    operator.log.info = interrupt
    with pytest.raises(AirflowTaskTimeout):
        operator.execute(task.context)
    operator.log.info = told
    operator.on_kill()
    assert workspace.status() == status


@pytest.mark.parametrize(("on_timeout", "status"), [("cancel", "Canceled"), ("leave", "Running")])
def test_a_timeout_in_the_middle_of_the_submission_leaves_no_second_run(workspace, learnt, task, on_timeout, status):
    operator = RunPipeline(pipeline_id="long", on_timeout=on_timeout)

    class Interrupted(type(task.store)):
        def set(self, key, value):
            if value["run_id"]:
                raise AirflowTaskTimeout
            super().set(key, value)

    task.store.__class__, whole = Interrupted, type(task.store)
    with pytest.raises(AirflowTaskTimeout):
        operator.execute(task.context)
    operator.on_kill()
    workspace.clock.advance(30)
    assert workspace.status() == status
    task.store.__class__ = whole
    task.record["submitted_at"] -= 1000
    task.next_try()
    with pytest.raises(RunTimedOut):
        run(task, pipeline_id="long", execution_timeout=timedelta(seconds=0.3), on_timeout="leave")
    active = [made for made in workspace.runs() if workspace.status(made.id) != "Canceled"]
    assert len(active) == 1
    assert len(workspace.runs()) == (2 if on_timeout == "cancel" else 1)
