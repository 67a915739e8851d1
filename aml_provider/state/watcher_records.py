"""Where a watcher's record is kept: with the asset that it watches for, or below Airflow 3.3 in a Variable."""

from __future__ import annotations

import json
from typing import Any, Protocol

from aml_provider.blobs.cursor import damaged
from aml_provider.blobs.watcher import WatcherRecord
from aml_provider.state import variables
from aml_provider.state.asset_record import AssetRecord
from aml_provider.state.cursor import VariableCursorStore
from aml_provider.state.threads import in_thread
from aml_provider.stored import parse, reading

__all__ = ["AssetRecords", "VariableRecords", "WatcherRecords"]


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
        accessors: What the triggerer gave the trigger. Watchers with the same arguments are one for Airflow, which then
            serves several assets.
        key: The record's name.
    """

    def __init__(self, accessors: Any, key: str) -> None:
        self._key = key
        # Airflow 3.3 has no public way to all of them, only to one that can be named, and no trigger knows the names.
        stores = [*accessors._by_name.values(), *accessors._by_uri.values()]  # noqa: SLF001
        self._records = [AssetRecord(store, key) for store in stores]

    def __str__(self) -> str:
        return f"keys that begin with {self._key} of {' and '.join(map(repr, self._records))}"

    async def load(self) -> WatcherRecord:
        """Read what is stored with each asset; see :meth:`WatcherRecords.load`."""
        found = [await record.load() for record in self._records]
        return WatcherRecord.united([WatcherRecord.from_json(data) for data in found if data is not None])

    async def save(self, record: WatcherRecord) -> None:
        """Write it with each asset; see :meth:`WatcherRecords.save`."""
        data = record.to_json()
        for kept in self._records:
            await kept.save(data)


class VariableRecords:
    """Keeps the record in an Airflow Variable.

    Args:
        key: The Variable's key.
    """

    def __init__(self, key: str) -> None:
        self._store = _Variable(key)

    def __str__(self) -> str:
        return f"Variable {self._store.key}"

    async def load(self) -> WatcherRecord:
        """Read the Variable; see :meth:`WatcherRecords.load`."""
        text = await in_thread(self._store.load)
        with reading(damaged):
            return WatcherRecord() if text is None else WatcherRecord.from_json(parse(text))

    async def save(self, record: WatcherRecord) -> None:
        """Write the Variable; see :meth:`WatcherRecords.save`."""
        text = json.dumps(record.to_json(), ensure_ascii=False, separators=(",", ":"))
        await in_thread(self._store.save, text)


class _Variable(VariableCursorStore):
    def _write(self, text: str) -> None:
        variables.write(self.key, text, "What an AzureBlobChangeTrigger has seen; delete it to start anew")
