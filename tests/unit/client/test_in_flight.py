from __future__ import annotations

import asyncio
import gc

import pytest

from aml_provider.client.in_flight import InFlight


class Service:
    """Answers when it is let; counts its calls."""

    def __init__(self):
        self.calls = 0
        self.answer = asyncio.Event()
        self.failure = None

    async def call(self):
        self.calls += 1
        number = self.calls
        await self.answer.wait()
        if self.failure:
            raise self.failure
        return number


async def test_all_who_wait_get_the_result_of_one_call_and_the_next_one_begins_another():
    service, calls = Service(), InFlight()
    waiting = [asyncio.create_task(calls.result("a", service.call)) for _ in range(3)]
    await asyncio.sleep(0)
    service.answer.set()
    assert await asyncio.gather(*waiting) == [1, 1, 1]
    assert await calls.result("a", service.call) == 2


async def test_each_key_has_a_call_of_its_own():
    service, calls = Service(), InFlight()
    service.answer.set()
    assert await asyncio.gather(calls.result("a", service.call), calls.result("b", service.call)) == [1, 2]


async def test_one_that_is_cancelled_leaves_the_call_to_the_others():
    service, calls = Service(), InFlight()
    first, second = (asyncio.create_task(calls.result("a", service.call)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    service.answer.set()
    assert await second == 1
    assert first.cancelled()


async def test_an_error_goes_to_all_who_wait_and_is_not_kept():
    service, calls = Service(), InFlight()
    service.failure = ValueError("no")
    service.answer.set()
    failed = await asyncio.gather(*(calls.result("a", service.call) for _ in range(2)), return_exceptions=True)
    assert failed == [service.failure] * 2
    service.failure = None
    assert await calls.result("a", service.call) == 2


async def test_an_error_for_which_nobody_waits_is_logged_nowhere():
    logged = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: logged.append(context))
    service, calls = Service(), InFlight()
    service.failure = ValueError("s3cret")
    waiting = asyncio.create_task(calls.result("a", service.call))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    service.answer.set()
    await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()})
    # Its traceback holds the call.
    del waiting
    gc.collect()
    assert service.calls == 1
    assert logged == []


async def test_cancelling_ends_all_calls():
    service, calls = Service(), InFlight()
    waiting = asyncio.create_task(calls.result("a", service.call))
    await asyncio.sleep(0)
    await calls.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
