"""Watchers of runs and deferred waits of one connection do not affect each other."""

from __future__ import annotations

import asyncio
import gc
import time
from contextlib import asynccontextmanager

import pytest

from aml_provider.durable.wanted_runs import RunsKey, WantedRuns
from aml_provider.hooks.azure_ml import AzureMLHook
from aml_provider.triggerer import shared_clients
from aml_provider.triggerer.run_poller import shared_poller
from aml_provider.triggerer.run_stream import make_stream
from aml_provider.watching.outbox import WatcherRecord

CONN = "azureml_default"


@pytest.fixture(autouse=True)
def nothing_is_left():
    yield
    assert not any(shared_clients._CLIENTS._values.values())
    gc.collect()


@asynccontextmanager
async def watching(*keys):
    """Streams that poll, each with one watcher."""
    streams = [make_stream(key) for key in keys]
    watchers = [stream.join(WantedRuns.of(), WatcherRecord()) for stream in streams]

    async def poll(stream):
        async for _ in stream.polls():
            pass

    tasks = [asyncio.create_task(poll(stream)) for stream in streams]
    try:
        yield streams
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        for stream in streams:
            await stream.close()
        del watchers


async def until(condition):
    async with asyncio.timeout(240):
        while not condition():  # noqa: ASYNC110 - what it waits for is on another thread
            await asyncio.sleep(0.01)


async def wait_for(run_id):
    poller = await shared_poller(CONN, "exp")
    return await poller.wait(run_id, poll_interval=0.1, deadline=time.time() + 60, log=lambda *_: None)


async def test_watchers_whose_requests_fail_delay_no_wait(workspace, monkeypatch):
    monkeypatch.setenv("AIRFLOW__AZUREML__RETRY_BUDGET", "30")
    run_id = await asyncio.to_thread(lambda: AzureMLHook().submit_pipeline("p0", experiment_name="exp").id)
    workspace.faults.add("status", status=503, path="*/PipelineRuns/Pipeline/*", times=10**6)
    async with watching(*[RunsKey(CONN, "pipeline_id", f"p{n}", 60.0) for n in range(10)]) as streams:
        await until(lambda: len(workspace.requests(path_contains="/PipelineRuns/Pipeline/")) >= 8)
        waiting = asyncio.create_task(wait_for(run_id))
        await until(lambda: workspace.requests(path_contains=f"/PipelineRuns/{run_id}"))
        workspace.finish(run_id)
        assert (await waiting).id == run_id
        # Each of them still repeats its first request.
        assert [stream._failures for stream in streams] == [0] * 10


@pytest.mark.parametrize("first", ["watcher", "wait"])
async def test_whoever_comes_first_waits_are_brief_and_watchers_are_not(first, workspace, monkeypatch):
    monkeypatch.setenv("AIRFLOW__AZUREML__RETRY_BUDGET", "30")
    run_id = await asyncio.to_thread(lambda: AzureMLHook().submit_pipeline("p0", experiment_name="exp").id)
    clients = shared_clients._CLIENTS.here
    waiting = None
    if first == "wait":
        waiting = asyncio.create_task(wait_for(run_id))
        await until(lambda: len(clients) == 1)
    async with watching(RunsKey(CONN, "experiment_name", "exp", 60.0)):
        if waiting is None:
            await until(lambda: len(clients) == 1)
            waiting = asyncio.create_task(wait_for(run_id))
        await until(lambda: len(clients) == 2)
        policies = [client._client._session._policy for client in clients.values()]
        assert sorted((policy.is_brief, policy.budget) for policy in policies) == [(False, 10.0), (True, 2.0)]
        workspace.finish(run_id)
        await waiting
