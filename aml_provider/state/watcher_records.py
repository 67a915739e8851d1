"""Stores for a watcher record: the state store of the watcher's asset, or before Airflow 3.3 a Variable."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol

from aml_provider.compat import in_thread
from aml_provider.state.asset_record import AssetRecord
from aml_provider.state.cursor_stores import VariableCursorStore
from aml_provider.stored import damaged, parse, reading
from aml_provider.watching.outbox import WatcherRecord

if TYPE_CHECKING:
    from aml_provider.watching.outbox import ReadEvent


class SeveralAssets(RuntimeError):
    """One watcher serves several assets, each of which would need its own watcher record."""


class WatcherRecords(Protocol):
    """Stores the record of one watcher. Each object serves one watcher, because it remembers what it loaded.

    ``str(records)`` describes the place of the record, for messages.
    """

    async def load(self) -> WatcherRecord:
        """Read the record. Returns an empty record only if it is certain that none is stored.

        Raises:
            CursorUnreadable: It is damaged, or of a newer format.
        """

    async def save(self, record: WatcherRecord) -> None:
        """Replace the record that :meth:`load` returned; when this returns, it is stored.

        Raises:
            CursorMoved: Another watcher has taken it over or written it; the caller must not act on the save.
        """


class AssetRecords:
    """Stores the record in Airflow's asset state store, for the asset that the watcher serves.

    Args:
        accessors: The trigger's ``asset_state_store``, as the triggerer has set it.
        key: The record's name.
        read_event: Checks a stored event.
    """

    def __init__(self, accessors: Any, key: str, read_event: ReadEvent) -> None:
        self._key = key
        self._read_event = read_event
        # Airflow 3.3 gives public access only by name, and a trigger does not know the names.
        self._stores = [*accessors._by_name.values(), *accessors._by_uri.values()]  # noqa: SLF001
        self._record = AssetRecord(self._stores[0], key)

    def __str__(self) -> str:
        return f"keys that begin with {self._key} of {self._record!r}"

    async def load(self) -> WatcherRecord:
        """Read the record of the asset; see :meth:`WatcherRecords.load`.

        Raises:
            SeveralAssets: Airflow has merged the watchers of several assets into one.
        """
        if len(self._stores) > 1:
            raise SeveralAssets(
                f"This watcher serves several assets: {', '.join(map(repr, self._stores))}. Airflow merges watchers "
                "with the same arguments into one, and an asset whose DAG is paused would then miss changes that the "
                "others get. Until that is fixed, the watcher fires no events; it loses no change. It works again when "
                "Airflow has parsed the DAG files of these assets with this version of the provider. If it still does "
                "not, give one of the watchers a state_key"
            )
        data = await self._record.load()
        return WatcherRecord() if data is None else WatcherRecord.from_json(data, self._read_event)

    async def save(self, record: WatcherRecord) -> None:
        """Write the record of the asset; see :meth:`WatcherRecords.save`."""
        await self._record.save(record.to_json())


class VariableRecords:
    """Stores the record in an Airflow Variable.

    Args:
        key: The Variable's key.
        read_event: Checks a stored event.
        writer: The class that writes it, for the Variable's description.
        previous: The key that an earlier version of this package used, shared by several assets.
    """

    def __init__(self, key: str, read_event: ReadEvent, writer: str, previous: str | None = None) -> None:
        self._read_event = read_event
        self._store = VariableCursorStore(key, writer)
        self._previous = None if previous is None else VariableCursorStore(previous, writer)

    def __str__(self) -> str:
        return str(self._store)

    async def load(self) -> WatcherRecord:
        """Read the Variable; see :meth:`WatcherRecords.load`."""
        text = await in_thread(self._store.load)
        if text is None and self._previous is not None:
            text = await in_thread(self._previous.load)
        with reading(damaged):
            return WatcherRecord() if text is None else WatcherRecord.from_json(parse(text), self._read_event)

    async def save(self, record: WatcherRecord) -> None:
        """Write the Variable; see :meth:`WatcherRecords.save`."""
        text = json.dumps(record.to_json(), ensure_ascii=False, separators=(",", ":"))
        await in_thread(self._store.save, text)
