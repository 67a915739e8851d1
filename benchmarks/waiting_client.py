"""Waits for runs in one event loop, and says as JSON what that costs; started by ``waiting.py``, once for each figure.

``python waiting_client.py WAY RUNS INTERVAL INTERVALS URL``
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import logging
import math
import os
import sys
import time
import urllib.request
import uuid
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger
from heart import Heart

from aml_provider.client.polling.waits import WIDTH

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


def shared(run_id: str, interval: float) -> BaseTrigger:
    """The trigger of this provider."""
    from aml_provider.triggers.pipeline import AzureMLPipelineRunTrigger

    return AzureMLPipelineRunTrigger(run_id, "exp", poll_interval=interval)


class SingleTrigger(BaseTrigger):
    """A GET for each run and poll over this provider's own client: what is left without shared queries."""

    def __init__(self, run_id: str, interval: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._run_id, self._interval = run_id, interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Never stored."""
        raise NotImplementedError

    async def run(self) -> AsyncIterator[Any]:
        """Poll for ever."""
        from aml_provider.client import calls
        from aml_provider.hooks.azure_ml import AzureMLHook, retry_policy
        from aml_provider.triggerer.shared_clients import shared_client

        async with shared_client("azureml_default", AzureMLHook().settings(), retry_policy()) as client:
            while not (await client.call(calls.get_run(self._run_id))).state.is_final:  # noqa: ASYNC110 - to be measured
                await asyncio.sleep(self._interval)
        yield None


def _factory(url: str) -> None:
    """Let the peer's hook come to the local server, and without a token; all else is as it is."""
    from airflow.providers.microsoft.azure.hooks import data_factory
    from azure.core.pipeline.policies import SansIOHTTPPolicy
    from azure.mgmt.datafactory import DataFactoryManagementClient
    from azure.mgmt.datafactory.aio import DataFactoryManagementClient as AsyncDataFactoryManagementClient

    how = {"subscription_id": "s", "base_url": url, "authentication_policy": SansIOHTTPPolicy()}

    async def get_async_conn(hook: Any) -> Any:
        if hook._async_conn is None:
            hook._async_conn = AsyncDataFactoryManagementClient(credential=object(), **how)
        return hook._async_conn

    def get_conn(hook: Any) -> Any:
        if hook._conn is None:
            hook._conn = DataFactoryManagementClient(credential=object(), **how)
        return hook._conn

    data_factory.AzureDataFactoryAsyncHook.get_async_conn = get_async_conn
    data_factory.AzureDataFactoryHook.get_conn = get_conn


def factory(run_id: str, interval: float) -> BaseTrigger:
    """Airflow's trigger for a run of Azure Data Factory: a GET for each run and poll, by Microsoft's SDK."""
    from airflow.providers.microsoft.azure.triggers.data_factory import ADFPipelineRunStatusSensorTrigger

    trigger: BaseTrigger = ADFPipelineRunStatusSensorTrigger(
        run_id=run_id,
        azure_data_factory_conn_id="factory",
        poke_interval=interval,
        resource_group_name="g",
        factory_name="f",
    )
    return trigger


class ThreadTrigger(BaseTrigger):
    """The synchronous SDK in threads, one client for all: what a trigger around a hook for workers does."""

    hook: Any = None

    def __init__(self, run_id: str, interval: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._run_id, self._interval = run_id, interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Never stored."""
        raise NotImplementedError

    async def run(self) -> AsyncIterator[Any]:
        """Poll for ever."""
        from airflow.providers.microsoft.azure.hooks.data_factory import AzureDataFactoryHook

        ThreadTrigger.hook = ThreadTrigger.hook or AzureDataFactoryHook("factory")
        while True:
            await asyncio.to_thread(ThreadTrigger.hook.get_pipeline_run, self._run_id, "g", "f")
            await asyncio.sleep(self._interval)
        yield None


WAYS: dict[str, Callable[[str, float], BaseTrigger]] = {
    "shared": shared,
    "single": SingleTrigger,
    "factory": factory,
    "threads": ThreadTrigger,
}


def _asked(url: str) -> Counter[str]:
    with urllib.request.urlopen(f"{url}/_counts") as reply:  # noqa: S310 - our own server
        return Counter(json.load(reply))


def _resident() -> float:
    """MiB."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


async def measure(way: str, runs: int, interval: float, intervals: int, url: str) -> dict[str, float]:
    """What it costs."""
    # A triggerer has loaded this before it starts the first trigger.
    importlib.import_module("airflow.jobs.triggerer_job_runner")
    before = _resident()
    objects = len(gc.get_objects())
    heart = Heart(aside=True)
    fired = [0]

    async def wait(trigger: BaseTrigger) -> None:
        async for _ in trigger.run():
            fired[0] += 1

    tasks = []
    for number in range(runs):
        tasks.append(asyncio.create_task(wait(WAYS[way](str(uuid.UUID(int=number)), interval))))
        await asyncio.sleep(0)  # as the triggerer does
    least = 1 if way == "shared" else runs
    async with asyncio.timeout(300):
        while (await asyncio.to_thread(_asked, url)).total() < least:  # noqa: ASYNC110 - it is another process
            await asyncio.sleep(0.05)
    await asyncio.sleep(interval * 1.2)
    starting, collections = await heart.stop(), heart.collections
    before_asked, began, spent = _asked(url), time.perf_counter(), time.process_time()
    await asyncio.sleep(interval * intervals)
    spent, took = time.process_time() - spent, time.perf_counter() - began
    asked = _asked(url) - before_asked
    # What starting has left would be collected now or then, by any way of waiting.
    gc.collect()
    heart = Heart()
    await asyncio.sleep(interval * 1.5)
    stall = await heart.stop()
    memory = _resident() - before
    objects = len(gc.get_objects()) - objects
    assert not fired[0]
    assert not any(task.done() for task in tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    polls = asked["query of runs"] / math.ceil(runs / WIDTH) * runs if way == "shared" else asked.total()
    return {
        "requests": asked.total() / polls * runs,
        "cpu": spent / polls * 1e6,
        "stall": stall,
        "starting": starting,
        "collections": len(collections),
        "collecting": max(collections, default=0.0),
        "memory": memory,
        "objects": objects,
        "polls": polls / runs,
        "seconds": took,
    }


def main() -> None:
    """Measure once."""
    way, runs, interval, intervals, url = sys.argv[1:]
    extra = {
        "subscription_id": "s",
        "resource_group": "g",
        "workspace_name": "w",
        "auth_method": "static_token",
        "endpoint": url,
    }
    connection = {"conn_type": "azureml", "password": "t", "extra": extra}
    os.environ["AIRFLOW_CONN_AZUREML_DEFAULT"] = json.dumps(connection)
    # At INFO the SDK would write two messages for each request.
    logging.getLogger("azure").setLevel(logging.WARNING)
    if way in {"factory", "threads"}:
        _factory(url)
    print(json.dumps(asyncio.run(measure(way, int(runs), float(interval), int(intervals), url))))


if __name__ == "__main__":
    main()
