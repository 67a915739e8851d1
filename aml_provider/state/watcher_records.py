"""Where a watcher's record is kept: with the asset that it watches for, or below Airflow 3.3 in a Variable."""

from __future__ import annotations

import json
from typing import Any, Protocol

from aml_provider.blobs.cursor import damaged
from aml_provider.blobs.outbox import WatcherRecord
from aml_provider.state.asset_record import AssetRecord
from aml_provider.state.cursor_stores import VariableCursorStore
from aml_provider.state.threads import in_thread
from aml_provider.stored import parse, reading

__all__ = ["AssetRecords", "SeveralAssets", "VariableRecords", "WatcherRecords"]

_WRITER = "AzureBlobChangeTrigger"


class SeveralAssets(RuntimeError):
    """One watcher serves several assets, each of which would need a record of its own."""


class WatcherRecords(Protocol):
    """Keeps the record of one watcher. One object serves one watcher: it remembers what it loaded.

    Written as text it says what and where the record is, for people.
    """

    async def load(self) -> WatcherRecord:
        """Read the record; an empty one when there is none, for certain.

        Raises:
            CursorUnreadable: It is damaged, or of a newer format.
        """

    async def save(self, record: WatcherRecord) -> None:
        """Replace what :meth:`load` gave; when this returns, it is stored.

        Raises:
            CursorMoved: Somebody else has taken it over, or has written; nothing may be made of what was written.
        """


class AssetRecords:
    """Keeps the record in Airflow's asset state store, with each asset that the watcher serves.

    Args:
        accessors: What the triggerer gave the trigger.
        key: The record's name.
    """

    def __init__(self, accessors: Any, key: str) -> None:
        self._key = key
        # Airflow 3.3 has no public way to all of them, only to one that can be named, and no trigger knows the names.
        self._stores = [*accessors._by_name.values(), *accessors._by_uri.values()]  # noqa: SLF001
        self._record = AssetRecord(self._stores[0], key)

    def __str__(self) -> str:
        return f"keys that begin with {self._key} of {self._record!r}"

    async def load(self) -> WatcherRecord:
        """Read what is stored with the asset; see :meth:`WatcherRecords.load`.

        Raises:
            SeveralAssets: Airflow takes the watchers of several assets for one.
        """
        if len(self._stores) > 1:
            raise SeveralAssets(
                f"This watcher serves several assets: {', '.join(map(repr, self._stores))}. Airflow makes one of "
                "watchers with the same arguments, and an asset of which the DAG is paused would then miss what the "
                "others see. So nothing is fired, and nothing lost. This ends when their DAG files have been read by "
                "this version of the provider; if it does not, give one of the watchers a state_key"
            )
        data = await self._record.load()
        return WatcherRecord() if data is None else WatcherRecord.from_json(data)

    async def save(self, record: WatcherRecord) -> None:
        """Write it with the asset; see :meth:`WatcherRecords.save`."""
        await self._record.save(record.to_json())


class VariableRecords:
    """Keeps the record in an Airflow Variable.

    Args:
        key: The Variable's key.
        before: Where it was kept by an earlier version, which several assets shared.
    """

    def __init__(self, key: str, before: str | None = None) -> None:
        self._store = VariableCursorStore(key, _WRITER)
        self._before = None if before is None else VariableCursorStore(before, _WRITER)

    def __str__(self) -> str:
        return f"Variable {self._store.key}"

    async def load(self) -> WatcherRecord:
        """Read the Variable; see :meth:`WatcherRecords.load`."""
        text = await in_thread(self._store.load)
        if text is None and self._before is not None:
            text = await in_thread(self._before.load)
        with reading(damaged):
            return WatcherRecord() if text is None else WatcherRecord.from_json(parse(text))

    async def save(self, record: WatcherRecord) -> None:
        """Write the Variable; see :meth:`WatcherRecords.save`."""
        text = json.dumps(record.to_json(), ensure_ascii=False, separators=(",", ":"))
        await in_thread(self._store.save, text)
