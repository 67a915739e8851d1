"""Lists a folder in every way, in turns, and prints each one's cost as JSON: ``listing_client.py FOLDER COUNT URL``."""

from __future__ import annotations

import asyncio
import functools
import gc
import json
import os
import re
import statistics
import sys
import time
import tracemalloc
import urllib.request
from typing import TYPE_CHECKING, Any

from heart import Heart

from aml_provider.blobs.access import ContainerAccess, Location
from aml_provider.blobs.folder import Folder
from aml_provider.blobs.folder_state import FolderState
from aml_provider.blobs.listing import list_request, poll_folder
from aml_provider.blobs.rules import Rules
from aml_provider.blobs.wake_reader import WakeReader
from aml_provider.client.http.clients import AsyncClient, Client
from aml_provider.client.secret import Secret
from aml_provider.client.settings import WorkspaceSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

    from aml_provider.client.http.messages import Request

_RIGHT = ContainerAccess(sas="sv=1&sig=x")
_NEXT = re.compile(rb"<NextMarker>([^<]*)</NextMarker>")
# What takes minutes is measured once; of the largest folder, only what this provider costs.
_SLOW = 20_000
_LARGEST = 1_000_000


def _read(folder: Folder) -> Generator[Request, Any, int]:
    """Read the same pages, and look at nothing but where the next one is."""
    marker, size = "", 0
    while True:
        reply = yield list_request(folder, _RIGHT, marker)
        size += len(reply.body)
        found = _NEXT.search(reply.body, max(0, len(reply.body) - 4096))
        if found is None:
            return size
        marker = found[1].decode()


def _cpu(action: Callable[[], Any]) -> float:
    before = time.process_time()
    action()
    return time.process_time() - before


async def _stall(work: Coroutine[Any, Any, Any], **how: Any) -> float:
    """The longest that an event loop stands still meanwhile, in milliseconds."""
    heart = Heart(**how)
    await work
    return await heart.stop()


def _peers(folder: Folder, connection: str, stalls: dict[str, float]) -> dict[str, Callable[[], Any]]:
    from airflow.providers.microsoft.azure.sensors.wasb import WasbPrefixSensor
    from azure.core.credentials import AzureSasCredential
    from azure.storage.blob import ContainerClient
    from azure.storage.blob.aio import ContainerClient as AsyncContainerClient

    os.environ["AIRFLOW_CONN_WASB_DEFAULT"] = connection
    # A new one each time, as in each poke of a rescheduled task.
    sensor = WasbPrefixSensor(task_id="peer", container_name=folder.container_url.rpartition("/")[2], prefix="in/")

    def walk() -> None:
        with ContainerClient.from_container_url(folder.container_url, AzureSasCredential("sv=1&sig=x")) as container:
            assert sum(1 for _ in container.walk_blobs("in/"))

    async def walk_async() -> None:
        stalls["walk stall"] = await _stall(walk_in_loop())

    async def walk_in_loop() -> None:
        async with AsyncContainerClient.from_container_url(
            folder.container_url, AzureSasCredential("sv=1&sig=x")
        ) as container:
            async for _ in container.walk_blobs("in/"):
                pass

    return {
        "walk": walk,
        "walk async": lambda: asyncio.run(walk_async()),
        "WasbPrefixSensor": lambda: sensor.poke({}),
    }


def _kept(folder: Folder, count: int, client: Client) -> dict[str, float]:
    """Bytes for each blob, in memory and as text; the most MiB while listing, beyond these and those of a bare read."""
    tracemalloc.start()
    # What the client itself keeps is not the folder's.
    client.run(_read(folder))
    gc.collect()
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    client.run(_read(folder))
    page = tracemalloc.get_traced_memory()[1] - before
    found: dict[str, float] = {}
    for way, rules in (("remember", Rules()), ("first", Rules(report_first=True))):
        state = FolderState(folder, rules, None)
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        state.accept(client.run(poll_folder(state, _RIGHT)))
        most = tracemalloc.get_traced_memory()[1] - before
        gc.collect()
        memory = tracemalloc.get_traced_memory()[0] - before
        found[f"{way} listing"] = (most - page - memory) / 2**20
        if way == "remember":
            assert state.cursor is not None
            found |= {"memory": memory / count, "text": len(state.cursor.encode()) / count}
        del state
    tracemalloc.stop()
    return found


def _woken(folder: Folder, client: Client, url: str) -> dict[str, float]:
    """Requests, and milliseconds of CPU, of a poll that finds nothing new: with a wake queue, and without one."""
    state = FolderState(folder, Rules(), None)
    reader = WakeReader(f"{url}/account/events", 3600.0, None, lambda *_: None)
    place = Location(folder, _RIGHT)

    def poll(*, with_queue: bool) -> None:
        if with_queue and client.run(reader.ask(place)) is None:
            return
        state.accept(client.run(poll_folder(state, _RIGHT)))
        if with_queue:
            reader.listed(waits=False)

    found: dict[str, float] = {}
    poll(with_queue=True)
    for name, with_queue, times in (("unwoken", False, 3), ("woken", True, 200)):
        before = _asked(url)
        costs = [_cpu(functools.partial(poll, with_queue=with_queue)) for _ in range(times)]
        found[f"{name} requests"] = (_asked(url) - before) / times
        found[f"{name} cpu"] = statistics.median(costs) * 1e3
    return found


def _asked(url: str) -> int:
    with urllib.request.urlopen(f"{url}/_counts") as reply:  # noqa: S310 - our own server
        return int(reply.read())


def measure(name: str, count: int, url: str) -> dict[str, float]:
    """CPU microseconds for each blob by way, and more."""
    settings = WorkspaceSettings(
        subscription_id="s",
        resource_group="g",
        workspace_name="w",
        auth_method="static_token",
        secret=Secret("t"),
        blob_endpoint=f"{url}/account",
    )
    folder = Folder.at(f"{url}/account/{name}", "in")
    # As a sensor does it by default: a thousand at once, the others later.
    everything = Rules(report_first=True)
    at_once = Rules(max_changes=count, report_first=True)
    found: dict[str, list[float]] = {}
    stalls: dict[str, float] = {}
    with Client(settings) as client:
        known = FolderState(folder, Rules(), None)
        known.accept(client.run(poll_folder(known, _RIGHT)))

        async def in_loop(times: int) -> None:
            async with AsyncClient(settings) as loop_client:
                for _ in range(times + 1):
                    for way, flow in (
                        ("read async", lambda: _read(folder)),
                        ("idle async", lambda: poll_folder(known, _RIGHT)),
                        ("remember async", lambda: poll_folder(FolderState(folder, Rules(), None), _RIGHT)),
                        ("first async", lambda: poll_folder(FolderState(folder, everything, None), _RIGHT)),
                    ):
                        before = time.process_time()
                        await loop_client.run(flow())
                        found.setdefault(way, []).append(time.process_time() - before)
                if count >= _LARGEST:
                    return
                looks = [poll_folder(FolderState(folder, everything, None), _RIGHT) for _ in range(3)]
                stalls["stall"] = statistics.median([await _stall(loop_client.run(look), beat=0) for look in looks])

        ours = {
            "read": lambda: client.run(_read(folder)),
            "idle": lambda: client.run(poll_folder(known, _RIGHT)),
            "remember": lambda: client.run(poll_folder(FolderState(folder, Rules(), None), _RIGHT)),
            "first": lambda: client.run(poll_folder(FolderState(folder, everything, None), _RIGHT)),
            "at once": lambda: client.run(poll_folder(FolderState(folder, at_once, None), _RIGHT)),
        }
        if count >= _LARGEST:
            del ours["at once"]
        times = 1 if count >= _LARGEST else max(9, 50_000 // count)
        for _ in range(times + 1):
            for way, action in ours.items():
                found.setdefault(way, []).append(_cpu(action))
        asyncio.run(in_loop(times))
        more = _kept(folder, count, client)
        if count >= _LARGEST:
            return _each(found, count) | more | _woken(folder, client, url)
    string = f"BlobEndpoint={url}/account;SharedAccessSignature=sv=1&sig=x"
    connection = json.dumps({"conn_type": "wasb", "extra": {"connection_string": string}})
    for way, action in _peers(folder, connection, stalls).items():
        for _ in range(1 if count >= _SLOW else 3):
            found.setdefault(way, []).append(_cpu(action))
    return _each(found, count) | more | stalls


def _each(found: dict[str, list[float]], count: int) -> dict[str, float]:
    """Microseconds for each blob. The least: what else a machine does only adds to it; the ways have taken turns."""
    return {way: min(values) / count * 1e6 for way, values in found.items()}


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], int(sys.argv[2]), sys.argv[3])))
