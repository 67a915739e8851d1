"""Where a watcher's record is kept: with the asset that it watches for, or below Airflow 3.3 in a Variable."""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Protocol

from aml_provider.blobs.cursor import CursorUnreadable
from aml_provider.blobs.watcher import WatcherRecord
from aml_provider.state import variables
from aml_provider.state.cursor import CursorMoved, VariableCursorStore
from aml_provider.state.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Sequence

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
            CursorMoved: Somebody else has written meanwhile; nothing was written.
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
        self._stores: Sequence[Any] = [*accessors._by_name.values(), *accessors._by_uri.values()]  # noqa: SLF001
        # Not the records themselves: a thousand watchers of a large folder would keep a thousand of them.
        self._seen: list[bytes] = []

    def __str__(self) -> str:
        return f"key {self._key} of {' and '.join(map(repr, self._stores))}"

    async def load(self) -> WatcherRecord:
        """Read what is stored with each asset; see :meth:`WatcherRecords.load`."""
        found = [await self._read(store) for store in self._stores]
        self._seen = [_stamp(data) for data in found]
        return WatcherRecord.united([WatcherRecord.from_json(data) for data in found if data is not None])

    async def save(self, record: WatcherRecord) -> None:
        """Write it with each asset; see :meth:`WatcherRecords.save`."""
        data = record.to_json()
        for number, store in enumerate(self._stores):
            if _stamp(await self._read(store)) != self._seen[number]:
                raise CursorMoved(f"The {self} was changed by somebody else since it was read")
            if hasattr(store, "aset"):
                await store.aset(self._key, data)
            else:  # before 3.3.2
                await in_thread(store.set, self._key, data)
            self._seen[number] = _stamp(data)

    async def _read(self, store: Any) -> Any:
        if hasattr(store, "aget"):
            return await store.aget(self._key)
        found: Any = await in_thread(store.get, self._key)
        return found


def _stamp(data: Any) -> bytes:
    return blake2b(json.dumps(data, sort_keys=True).encode(), digest_size=16).digest()


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
        try:
            return WatcherRecord() if text is None else WatcherRecord.from_json(json.loads(text))
        except json.JSONDecodeError as error:
            raise CursorUnreadable(f"The stored record is damaged: {error}") from None

    async def save(self, record: WatcherRecord) -> None:
        """Write the Variable; see :meth:`WatcherRecords.save`."""
        text = json.dumps(record.to_json(), ensure_ascii=False, separators=(",", ":"))
        await in_thread(self._store.save, text)


class _Variable(VariableCursorStore):
    def _write(self, text: str) -> None:
        variables.write(self.key, text, "What an AzureBlobChangeTrigger has seen; delete it to start anew")
