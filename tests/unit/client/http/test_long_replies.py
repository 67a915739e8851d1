"""A long reply is read in a thread, where it does not block the event loop."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import replace

import pytest
from support.services.hostile import Hostile, head

from aml_provider.client import calls
from aml_provider.client.errors import MalformedReply
from aml_provider.client.http import protocol
from aml_provider.client.http.clients import AsyncClient, Client
from aml_provider.client.http.retry import RetryPolicy
from aml_provider.client.settings import WorkspaceSettings


def settings_of(server):
    return WorkspaceSettings(
        subscription_id="s",
        resource_group="g",
        workspace_name="w",
        auth_method="static_token",
        endpoint=server.url,
        secret="t",
    )


def serving(count):
    row = {"Status": {"StatusCode": "Finished", "CreationTime": "2026-05-28T20:27:40Z"}, "Description": "x" * 300}
    body = json.dumps([{"Id": f"run-{number}", **row} for number in range(count)]).encode()
    return Hostile(lambda: [head(Content_Type="application/json", Content_Length=str(len(body))), body])


def listing(threads):
    """The list of a pipeline's runs; notes the thread that reads it."""
    call = calls.list_runs_of_pipeline("p")

    def parse(wire):
        threads.append(threading.current_thread())
        return call.parse(wire)

    return replace(call, parse=parse)


@pytest.mark.parametrize(("count", "is_long"), [(30, False), (2000, False), (6000, True)])
async def test_only_a_long_list_is_read_in_a_thread(count, is_long):
    threads = []
    with serving(count) as server:
        async with AsyncClient(settings_of(server), policy=RetryPolicy(budget=0)) as client:
            runs = await client.call(listing(threads))
    assert len(runs) == count
    assert [thread is not threading.current_thread() for thread in threads] == [is_long]


async def test_the_event_loop_goes_on_while_json_is_parsed(monkeypatch):
    """Python's parser lets other threads run only because it calls Python for each object."""
    turns = 0
    turns_at = []

    async def turn():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    monkeypatch.setattr(protocol, "_unchanged", lambda wire: turns_at.append(turns) or wire)
    with serving(20_000) as server:
        async with AsyncClient(settings_of(server), policy=RetryPolicy(budget=0)) as client:
            turning = asyncio.create_task(turn())
            await client.call(calls.list_runs_of_pipeline("p"))
            turning.cancel()
    # In the loop's own thread there would be one number; how many there are depends on the load of the machine.
    assert len(set(turns_at)) > 1


def test_a_worker_reads_it_in_its_own_thread():
    threads = []
    with serving(6000) as server, Client(settings_of(server), policy=RetryPolicy(budget=0)) as client:
        assert len(client.call(listing(threads))) == 6000
    assert threads == [threading.current_thread()]


async def test_a_long_reply_that_cannot_be_read_is_an_error_of_the_service():
    with serving(6000) as server:
        async with AsyncClient(settings_of(server), policy=RetryPolicy(budget=0)) as client:
            with pytest.raises(MalformedReply, match="does not have the form"):
                await client.call(replace(calls.list_runs_of_pipeline("p"), parse=lambda wire: wire["value"]))
