"""One client for the triggers of an event loop."""

from __future__ import annotations

import asyncio
import time

import pytest
from support.drivers.shared_polls import (
    assert_nothing_is_left,
    settings_of,
)

from aml_provider.client import calls
from aml_provider.triggerer import run_poller
from aml_provider.triggerer.shared_clients import shared_client


@pytest.fixture(autouse=True)
def nothing_is_left():
    yield
    assert_nothing_is_left()


async def test_a_client_is_built_once_also_if_its_first_user_is_cancelled(workspace):
    settings = settings_of(workspace)
    policy = run_poller.retry_policy()

    async def use():
        async with shared_client("c", settings, policy) as client:
            return client, (await client.call(calls.get_workspace())).name

    first = asyncio.create_task(use())
    others = [asyncio.create_task(use()) for _ in range(5)]
    await asyncio.sleep(0)
    first.cancel()
    used = await asyncio.gather(*others)
    assert len({id(client) for client, _ in used}) == 1
    with pytest.raises(asyncio.CancelledError):
        await first
    alone = asyncio.create_task(use())
    await asyncio.sleep(0)
    alone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await alone


async def test_a_client_sends_only_a_few_requests_at_the_same_time(workspace):
    workspace.faults.add("delay", seconds=0.2, times=10_000)
    settings = settings_of(workspace)

    async def use(client):
        await client.call(calls.get_workspace())

    async with shared_client("c", settings, run_poller.retry_policy()) as client:
        began = time.monotonic()
        await asyncio.gather(*(use(client) for _ in range(20)))
        took = time.monotonic() - began
    assert took >= 0.6
