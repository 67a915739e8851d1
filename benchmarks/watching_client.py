"""Watches a folder in one event loop, and says as JSON what that costs; started by ``watching.py``.

``python watching_client.py many WATCHERS URL`` or ``python watching_client.py start WAY URL``
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import logging
import os
import sys
import time
import urllib.request
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from airflow.sdk._shared.module_loading import import_string
from heart import Heart

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

_INTERVAL = 2.0
_INTERVALS = 7


def _listings(url: str) -> int:
    with urllib.request.urlopen(f"{url}/_counts") as reply:  # noqa: S310 - our own server
        return int(reply.read())


async def many(watchers: int, url: str) -> dict[str, float]:
    """So many watchers of one folder with nothing new in it, over Airflow's own shared streams."""
    from support.airflow.triggerer import Database, Triggerer

    from aml_provider.triggers.blob import AzureBlobChangeTrigger

    patch: Any = SimpleNamespace(setattr=lambda target, name, value, **_: setattr(target, name, value))
    async with Triggerer(Database(patch), pause=1.0) as triggerer:
        for number in range(watchers):
            trigger = AzureBlobChangeTrigger(
                container_url=f"{url}/account/n1000", path="in", poll_interval=_INTERVAL, pattern=f"{number}-*"
            )
            triggerer.start(trigger, f"asset-{number}")
            await asyncio.sleep(0)
        # Their first look stores what is there, with each asset.
        async with asyncio.timeout(300):
            while triggerer.database.writes < watchers:  # noqa: ASYNC110 - only written, never told
                await asyncio.sleep(0.1)
        await asyncio.sleep(2 * _INTERVAL)
        gc.collect()
        before, began, costs = await asyncio.to_thread(_listings, url), time.monotonic(), []
        for _ in range(_INTERVALS):
            spent = time.process_time()
            await asyncio.sleep(_INTERVAL)
            costs.append(time.process_time() - spent)
        listings, took = await asyncio.to_thread(_listings, url) - before, time.monotonic() - began
        heart = Heart()
        await asyncio.sleep(_INTERVAL * 1.5)
        stall = await heart.stop()
        assert not any(task.done() for task in triggerer.tasks)
    return {
        "listings": listings / (took / _INTERVAL),
        # The least: what else a machine does only adds to it.
        "cpu": min(costs) / watchers * 1e6,
        "stall": stall,
    }


def _sensor(url: str) -> tuple[str, dict[str, Any]]:
    """The trigger of a deferred sensor that has seen nothing yet."""
    from aml_provider.blobs.folder import Folder
    from aml_provider.blobs.folder_state import FolderState
    from aml_provider.blobs.rules import Rules
    from aml_provider.durable.handover import Commit, Owner

    finishing = FolderState(Folder("", ""), Rules(), None).scan().finish()
    try:
        next(finishing)
    except StopIteration as stop:
        seen = stop.value
        commit = Commit(1, Owner("dag", "run", "task"), seen.changes, seen.cursor.encode(), seen.undo.encode())
        os.environ["AIRFLOW_VAR_SEEN"] = commit.encode()
    return "aml_provider.triggers.blob.AzureBlobLookTrigger", {
        "container_url": f"{url}/account/n1000",
        "path": "in",
        "cursor_variable": "seen",
        "serial": 1,
        "poll_interval": 0.1,
    }


def _peer(url: str) -> tuple[str, dict[str, Any]]:
    string = f"BlobEndpoint={url}/account;SharedAccessSignature=sv=1&sig=x"
    os.environ["AIRFLOW_CONN_WASB_DEFAULT"] = json.dumps({"conn_type": "wasb", "extra": {"connection_string": string}})
    return "airflow.providers.microsoft.azure.triggers.wasb.WasbPrefixSensorTrigger", {
        "container_name": "n1000",
        "prefix": "in/",
        "poke_interval": 0.1,
    }


async def start(way: str, url: str) -> dict[str, float]:
    """The first trigger of a kind: from the import of its class, which Airflow does in the loop, to its event."""
    path, arguments = {"sensor": _sensor, "peer": _peer}[way](url)
    for module in [name for name in sys.modules if name.startswith("aml_provider")]:
        del sys.modules[module]
    importlib.import_module("airflow.triggers.base")  # which any triggerer has loaded
    # On the wall: other threads import meanwhile, and take turns with the loop.
    heart = Heart(clock=time.perf_counter)
    await asyncio.sleep(0.1)
    trigger = import_string(path)(**arguments)
    event = await anext(trigger.run())
    assert event.payload, event
    return {"stall": await heart.stop()}


def main() -> None:
    """Measure once."""
    what, how, url = sys.argv[1:]
    extra = {"subscription_id": "s", "resource_group": "g", "workspace_name": "w", "auth_method": "static_token"}
    connection = {"conn_type": "azureml", "password": "t", "extra": extra | {"blob_endpoint": url}}
    os.environ["AIRFLOW_CONN_AZUREML_DEFAULT"] = json.dumps(connection)
    logging.disable(logging.INFO)
    print(json.dumps(asyncio.run(many(int(how), url) if what == "many" else start(how, url))))


if __name__ == "__main__":
    main()
