"""Many deferred runs that start together, as after a restart of the triggerer: they take turns, and none is lost."""

from __future__ import annotations

import asyncio

import pytest
from support.drivers.shared_polls import assert_nothing_is_left, submit, waiting
from support.services.local_workspace import LONG

from aml_provider.triggerer import run_poller, turns


@pytest.fixture(autouse=True)
def nothing_is_left():
    yield
    assert_nothing_is_left()


def joined():
    """The number of waits that have begun."""
    return sum(len(poller.queue) for poller in run_poller._POLLERS.here.values())


async def test_a_few_waits_begin_in_each_turn_of_the_loop(workspace):
    run_ids = submit(workspace, 120)
    async with waiting(run_ids, poll_interval=30.0):
        most = before = 0
        async with asyncio.timeout(240):
            while before < len(run_ids):
                await asyncio.sleep(0)
                now = joined()
                most, before = max(most, now - before), now
    # This task's own place in the loop's turn may change.
    assert most <= 2 * turns._AT_ONCE


@pytest.mark.parametrize("begun", [0, 1, 40])
async def test_waits_that_are_cancelled_while_all_start_take_no_other_wait_along(workspace, begun):
    run_ids = submit(workspace, 120)
    async with waiting(run_ids) as tasks:
        async with asyncio.timeout(240):
            while joined() < begun:  # noqa: ASYNC110 - each turn of the loop matters
                await asyncio.sleep(0)
        for run_id in run_ids[::3]:
            tasks[run_id].cancel()
        left = [run_id for number, run_id in enumerate(run_ids) if number % 3]
        workspace.clock.advance(LONG + 100)
        events = await asyncio.wait_for(asyncio.gather(*(tasks[run_id] for run_id in left)), 240)
        assert [event["run_id"] for event in events] == left
        assert {event["outcome"] for event in events} == {"ended"}
        cancelled = await asyncio.gather(*(tasks[run_id] for run_id in run_ids[::3]), return_exceptions=True)
        assert {type(error) for error in cancelled} == {asyncio.CancelledError}
