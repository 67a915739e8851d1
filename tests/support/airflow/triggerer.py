"""Airflow 3.3's triggerer for asset watchers: Airflow's own shared streams, with a database in memory.

It follows ``run_trigger`` and ``handle_events`` of ``airflow.jobs.triggerer_job_runner``.
"""

from __future__ import annotations

import asyncio
import copy
import importlib
import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self

from airflow.sdk import Asset
from airflow.sdk.exceptions import ErrorType
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import (
    AssetStateStoreResult,
    ErrorResponse,
    GetAssetStateStoreByName,
    SetAssetStateStoreByName,
)
from airflow.sdk.execution_time.context import AssetStateStoreAccessors
from airflow.triggers.shared_stream import SharedStreamManager

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pytest

    from aml_provider.triggers.asset_watcher import AssetWatcherTrigger


class Database:
    """The state that outlives a triggerer.

    Attributes:
        kept: The state store of assets, by asset and key.
        events: The events that watchers fired, by asset.
        writes: How often a watcher record was written.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.kept: dict[tuple[str, str], str] = {}
        self.events: dict[str, list[Any]] = {}
        self.writes = 0
        monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", SimpleNamespace(asend=self._answer), raising=False)

    @property
    def states(self) -> dict[tuple[str, str], str]:
        """The latest record of each watcher, by asset and the record's name."""
        return latest_records(self.kept)

    def changed(self, asset: str = "asset") -> list[str]:
        """The names in an asset's events."""
        return [change["name"] for event in self.events.get(asset, ()) for change in event["changes"]]

    async def _answer(self, message: Any) -> Any:
        # No answer comes in the same turn of the loop.
        await asyncio.sleep(0)
        if isinstance(message, SetAssetStateStoreByName):
            self.writes += not message.key.endswith(" owner")
            self.kept[message.name, message.key] = json.dumps(message.value)
            return None
        assert isinstance(message, GetAssetStateStoreByName)
        found = self.kept.get((message.name, message.key))
        if found is None:
            return ErrorResponse(error=ErrorType.ASSET_STORE_NOT_FOUND, detail={"key": message.key})
        return AssetStateStoreResult(value=json.loads(found))


def latest_records(kept: Mapping[tuple[str, str], str]) -> dict[tuple[str, str], str]:
    """The latest watcher records in a state store, which is by asset and key."""
    found: dict[tuple[str, str], list[str]] = {}
    for (asset, key), text in kept.items():
        record, _, place = key.partition(" ")
        if place != "owner":
            found.setdefault((asset, record), []).append(text)
    return {name: max(texts, key=lambda text: json.loads(text).get("epoch", 0)) for name, texts in found.items()}


class Triggerer:
    """Runs watchers, each of which serves some assets; a context manager that ends with a kill.

    Args:
        database: The state of earlier triggerers.
        storing: Store events by itself; otherwise :meth:`store` does.
        ack_timeout: Seconds until Airflow fails a watcher whose events are not stored.
        pause: Seconds between two times of storing; Airflow's own triggerer takes one.
    """

    def __init__(
        self, database: Database, *, storing: bool = True, ack_timeout: float = 300.0, pause: float = 0.02
    ) -> None:
        self.database = database
        self.storing = storing
        self._pause = pause
        self.tasks: list[asyncio.Task[None]] = []
        self._streams = SharedStreamManager(ack_timeout=ack_timeout)
        self._outgoing: list[tuple[tuple[str, ...], Any, int | None]] = []

    async def __aenter__(self) -> Self:
        self._syncing = asyncio.create_task(self._sync())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._outgoing.clear()
        for task in [self._syncing, *self.tasks]:
            task.cancel()
        await asyncio.wait([self._syncing, *self.tasks])
        await self._streams.stop_all()

    def start(self, trigger: AssetWatcherTrigger, *assets: str) -> asyncio.Task[None]:
        """Run a trigger as Airflow reads it from its database."""
        path, arguments = trigger.serialize()
        module, _, name = path.rpartition(".")
        made = getattr(importlib.import_module(module), name)(**json.loads(json.dumps(arguments)))
        assets = assets or ("asset",)
        made.asset_state_store = AssetStateStoreAccessors(inlets=[Asset(name=name) for name in assets])
        self.tasks.append(asyncio.create_task(self._run(len(self.tasks), made, assets)))
        return self.tasks[-1]

    def store(self) -> None:
        """Store the events that were fired, and confirm it."""
        for assets, payload, seq in self._outgoing:
            for asset in assets:
                self.database.events.setdefault(asset, []).append(payload)
            if seq is not None:
                self._streams.confirm_persisted([seq])
        self._outgoing.clear()

    @property
    def fired(self) -> list[Any]:
        """The events that are not stored yet."""
        return [payload for _, payload, _ in self._outgoing]

    async def until(self, condition: Callable[[], Any]) -> Any:
        """Wait until a condition holds; the error of a watcher ends the wait."""
        async with asyncio.timeout(120):
            while not (result := condition()):
                for task in self.tasks:
                    if task.done():
                        task.result()
                await asyncio.sleep(0.005)
        return result

    async def _run(self, trigger_id: int, trigger: AssetWatcherTrigger, assets: tuple[str, ...]) -> None:
        key = trigger.shared_stream_key()
        stream = self._streams.subscribe(trigger_id=trigger_id, trigger=trigger, key=key)
        try:
            async for event in trigger.filter_shared_stream(stream):
                seq = self._streams.bind_pending_event(trigger_id=trigger_id, key=key)
                self._outgoing.append((assets, copy.deepcopy(event.payload), seq))
        finally:
            await self._streams.unsubscribe(trigger_id, key)

    async def _sync(self) -> None:
        while True:
            await asyncio.sleep(self._pause)
            if self.storing:
                self.store()
