from __future__ import annotations

import asyncio

import pytest

from aml_provider.triggerer import turns
from aml_provider.triggerer.turns import Turns

MOST = turns._AT_ONCE


class Starts:
    """Starts that wait for the same thing and then take turns; counts those that continue in each turn of the loop."""

    def __init__(self, number):
        self.turns = Turns()
        self.reply = asyncio.Event()
        self.continued = []
        self.loop_turn = 0
        self.tasks = [asyncio.create_task(self._start(name)) for name in range(number)]

    async def _start(self, name):
        await self.reply.wait()
        await self.turns.take()
        self.continued.append((name, self.loop_turn))

    async def run(self):
        """Let the reply arrive, and the loop turn until all starts have ended."""
        await asyncio.sleep(0)
        self.reply.set()
        while not all(task.done() for task in self.tasks):
            await asyncio.sleep(0)
            self.loop_turn += 1

    @property
    def names(self):
        return [name for name, _ in self.continued]

    def most_in_a_turn(self):
        of_turns = [turn for _, turn in self.continued]
        return max(of_turns.count(turn) for turn in of_turns)


async def test_a_few_starts_continue_in_each_turn_of_the_loop_and_in_their_order():
    starts = Starts(95)
    await starts.run()
    assert starts.names == list(range(95))
    assert starts.most_in_a_turn() == MOST
    # Not slower than that either.
    assert starts.loop_turn <= 95 // MOST + 4


async def test_starts_that_are_cancelled_while_they_wait_take_no_turn_from_the_others():
    starts = Starts(95)
    asyncio.get_running_loop().call_soon(lambda: [task.cancel() for task in starts.tasks[30:60]])
    await starts.run()
    assert starts.names == [*range(30), *range(60, 95)]
    assert [task.cancelled() for task in starts.tasks] == [30 <= name < 60 for name in range(95)]


@pytest.mark.parametrize("turn", range(12))
async def test_no_start_is_lost_if_some_are_cancelled_at_any_moment(turn):
    starts = Starts(60)

    async def cancel_later():
        for _ in range(turn):
            await asyncio.sleep(0)
        for task in starts.tasks[::3]:
            task.cancel()

    cancelling = asyncio.create_task(cancel_later())
    await starts.run()
    await cancelling
    assert sorted(starts.names) == [name for name, task in enumerate(starts.tasks) if not task.cancelled()]
    assert {*range(60)} - {*range(0, 60, 3)} <= {*starts.names}


async def test_a_start_that_comes_later_does_not_overtake_those_that_wait():
    turns = Turns()
    order = []

    async def start(name):
        await turns.take()
        order.append(name)

    early = [asyncio.create_task(start(name)) for name in range(3 * MOST)]
    await asyncio.sleep(0)
    late = asyncio.create_task(start("late"))
    await asyncio.gather(*early, late)
    assert order == [*range(3 * MOST), "late"]


async def test_a_single_start_does_not_wait_and_the_loop_can_sleep_afterwards():
    turns = Turns()
    taking = turns.take()
    with pytest.raises(StopIteration):
        taking.send(None)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not turns._is_counting


def test_each_event_loop_has_turns_of_its_own():
    async def here():
        await turns.take_turn()
        return turns._TURNS.here

    assert asyncio.run(here()) is not asyncio.run(here())
