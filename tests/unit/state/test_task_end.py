"""Did a person end the task, or has its trigger only moved? The table, and whether the trigger cancels the run."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace

import pytest

from aml_provider.compat import AIRFLOW_V_3_3_PLUS
from aml_provider.state.task_end import leaves_failed, still_wants, was_ended
from aml_provider.triggers.pipeline import AzureMLPipelineRunTrigger

OURS, OTHER = "run-1", "run-2"
TI = SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=-1)


# States of a task instance that is in a try, or will have another one.
GOING_ON = (
    "no_status",
    "scheduled",
    "queued",
    "running",
    "restarting",
    "deferred",
    "up_for_reschedule",
    "up_for_retry",
)
ENDED = ("failed", "success", "skipped", "upstream_failed", "removed", None)


@pytest.mark.parametrize("leaves_failed", [True, False])
@pytest.mark.parametrize("known", [OURS, OTHER, None])
@pytest.mark.parametrize("state", [*GOING_ON, *ENDED])
def test_the_next_try_of_a_durable_task_decides_what_becomes_of_its_run(state, known, leaves_failed):
    wanted = state in GOING_ON or (state == "failed" and leaves_failed)
    assert still_wants(state, known, OURS, durable=True, leaves_failed=leaves_failed) is wanted


@pytest.mark.parametrize(
    ("state", "known", "wanted"),
    [
        pytest.param("deferred", OURS, True, id="the trigger has moved"),
        pytest.param("deferred", OTHER, False, id="cleared, and the next try waits for its own run"),
        pytest.param("deferred", None, False, id="cleared, and the next try waits for something else"),
        pytest.param("up_for_retry", OURS, True, id="the try failed"),
        pytest.param("up_for_retry", OTHER, False, id="cleared, and the next try failed"),
        *(
            pytest.param(state, known, False, id=f"{state}, {known}")
            for state in (*ENDED, "no_status", "scheduled", "queued", "running")
            for known in (OURS, OTHER, None)
        ),
    ],
)
def test_whether_a_task_that_is_not_durable_still_wants_a_run(state, known, wanted):
    assert still_wants(state, known, OURS, durable=False, leaves_failed=False) is wanted


@pytest.mark.parametrize("leaves_failed", [True, False])
@pytest.mark.parametrize("state", [*GOING_ON, *ENDED])
def test_whether_a_task_whose_process_is_interrupted_was_ended(state, leaves_failed):
    # One that was cleared while it ran is "restarting".
    ended = state == "restarting" or (state in ENDED and not (state == "failed" and leaves_failed))
    assert was_ended(state, leaves_failed=leaves_failed) is ended


@pytest.mark.parametrize("backend", ["", "some.Backend"])
@pytest.mark.parametrize("durable", [True, False])
def test_when_a_failed_task_is_left_to_the_api_server(monkeypatch, durable, backend):
    """It needs the submission record."""
    monkeypatch.setenv("AIRFLOW__WORKERS__STATE_STORE_BACKEND", backend)
    assert leaves_failed(durable=durable) is (AIRFLOW_V_3_3_PLUS and durable and not backend)


class Trigger(AzureMLPipelineRunTrigger):
    """Has a given task state, and records whether it cancelled."""

    seen = ("success", OURS)
    cancelled = False

    def __init__(self, **arguments):
        super().__init__(**{"run_id": OURS, "experiment_name": "exp"} | arguments)
        self.task_instance = TI

    def task_state(self):
        if isinstance(self.seen, Exception):
            raise self.seen
        return self.seen

    async def _cancel(self):
        self.cancelled = True


@pytest.mark.parametrize(("seen", "cancelled"), [(("deferred", OURS), False), (("success", OURS), True)])
async def test_on_kill_cancels_only_a_run_that_no_task_waits_for(seen, cancelled):
    trigger = Trigger()
    trigger.seen = seen
    await trigger.on_kill()
    assert trigger.cancelled is cancelled


async def test_on_kill_leaves_the_run_of_a_failed_task_to_the_api_server():
    trigger = Trigger()
    trigger.seen = ("failed", OURS)
    await trigger.on_kill()
    assert trigger.cancelled is not AIRFLOW_V_3_3_PLUS


async def test_without_cancel_on_kill_the_run_goes_on():
    trigger = Trigger(cancel_on_kill=False)
    await trigger.on_kill()
    assert not trigger.cancelled


async def test_a_task_state_that_cannot_be_read_cancels_nothing():
    trigger = Trigger()
    trigger.seen = RuntimeError("the API server is away")
    await trigger.on_kill()
    assert not trigger.cancelled


async def test_a_trigger_without_a_task_cancels_nothing():
    trigger = Trigger()
    trigger.task_instance = None
    await trigger.on_kill()
    assert not trigger.cancelled


@pytest.mark.parametrize(("left", "cancelled"), [(60.0, True), (-1.0, False)])
async def test_at_the_deadline_the_worker_decides(left, cancelled):
    # Airflow before 3.3 cancels a trigger at execution_timeout too: the task is no longer deferred then.
    trigger = Trigger(deadline=time.time() + left, durable=False)
    trigger.seen = ("scheduled", OURS)
    await trigger.on_kill()
    assert trigger.cancelled is cancelled


class EndlessPoller:
    """A poller of a run that does not end."""

    def __init__(self):
        self.begun = asyncio.Event()

    async def wait(self, *_, **__):
        self.begun.set()
        await asyncio.Event().wait()


class WaitingTrigger(Trigger):
    """Waits with such a poller."""

    def __init__(self):
        super().__init__()
        self.endless = EndlessPoller()

    async def poller(self):
        return self.endless


@pytest.mark.parametrize("has_on_kill", [True, False], ids=["3.3", "before"])
async def test_a_cancelled_trigger_cancels_the_run_only_where_airflow_has_no_on_kill(monkeypatch, has_on_kill):
    from airflow.triggers.base import BaseTrigger

    if has_on_kill:
        monkeypatch.setattr(BaseTrigger, "on_kill", AzureMLPipelineRunTrigger.on_kill, raising=False)
    else:
        monkeypatch.delattr(BaseTrigger, "on_kill", raising=False)
    trigger = WaitingTrigger()

    async def first():
        return [event async for event in trigger.run()]

    running = asyncio.create_task(first())
    await trigger.endless.begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert trigger.cancelled is not has_on_kill


class Slow(WaitingTrigger):
    """Cancels only when the test lets it."""

    def __init__(self):
        super().__init__()
        self.begun = asyncio.Event()
        self.answered = asyncio.Event()

    async def _cancel(self):
        self.begun.set()
        await self.answered.wait()
        await super()._cancel()


@pytest.mark.parametrize("has_on_kill", [True, False], ids=["3.3", "before"])
async def test_airflow_s_repeated_cancels_do_not_cut_the_cancelling_short(monkeypatch, has_on_kill):
    from airflow.triggers.base import BaseTrigger

    monkeypatch.delattr(BaseTrigger, "on_kill", raising=False)
    trigger = Slow()

    async def before():
        return [event async for event in trigger.run()]

    ending = asyncio.create_task(trigger.on_kill() if has_on_kill else before())
    if not has_on_kill:
        await trigger.endless.begun.wait()
        ending.cancel()
    await trigger.begun.wait()
    for _ in range(3):
        ending.cancel()
        await asyncio.sleep(0)
    assert not ending.done()
    trigger.answered.set()
    await asyncio.wait([ending])
    assert trigger.cancelled


async def test_a_triggerer_that_stops_does_not_wait_for_the_cancelling():
    trigger = Slow()
    ending = asyncio.create_task(trigger.on_kill())
    await trigger.begun.wait()
    # What asyncio.run() does when it ends.
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    await asyncio.wait([ending], timeout=120)
    assert ending.done()
    assert not trigger.cancelled
