"""A watcher's record in one asset's state store, which only its latest reader can replace.

The store cannot compare and swap. A triggerer that stands still in the middle of a write (its machine was paused) may
carry it out when another one has long gone on from the record before. So each reader says first that the record is its
own and where it will write it: neither where the record is, nor where the reader before it writes. A late write of that
one lands where nobody looks, and as it asks after each write whose the record is, it notices.

Left are a reader that stands still between its look at the claim and its own claim, and one whose late write comes when
two others have taken over: then versions may come again in another event. None is lost.
"""

from __future__ import annotations

import uuid
from typing import Any

from aml_provider.state.cursor import CursorMoved
from aml_provider.state.threads import in_thread

_EPOCH, _OWNER, _PLACE = "epoch", "owner", "place"


class AssetRecord:
    """One record of one asset. One object serves one watcher.

    Args:
        store: The asset's state store, as Airflow gives it to a trigger.
        key: The record's name; where it is, and whose, is kept under names that begin with it.
    """

    def __init__(self, store: Any, key: str) -> None:
        self._store = store
        self._places = (key, f"{key} 2", f"{key} 3")
        self._claim = f"{key} {_OWNER}"
        self._me: dict[str, Any] = {}

    def __repr__(self) -> str:
        return repr(self._store)

    async def load(self) -> Any:
        """Make the record this reader's own, and read it.

        Returns:
            JSON data; None where nothing was saved before.
        """
        before = await self._get(self._claim) or {}
        kept = {place: await self._get(place) for place in self._places}
        theirs = before.get(_PLACE)
        free = (place for place in self._places if place not in {_latest(kept, before), theirs})
        self._me = {_EPOCH: before.get(_EPOCH, 0) + 1, _OWNER: uuid.uuid4().hex, _PLACE: next(free)}
        await self._set(self._claim, self._me)
        if theirs is not None:
            # What the one before saves from now on, it will not act upon; what it has saved until now, it may have.
            kept[theirs] = await self._get(theirs)
        latest = _latest(kept, before)
        return None if latest is None else kept[latest]

    async def save(self, data: dict[str, Any]) -> None:
        """Replace the record; when this returns, the next reader finds it.

        Raises:
            CursorMoved: Somebody has made it its own since; nothing may be made of what was written.
        """
        await self._set(self._me[_PLACE], data | self._me)
        if await self._get(self._claim) != self._me:
            key = self._places[0]
            raise CursorMoved(
                f"The record {key} of {self} was taken over by another watcher since it was read. That happens when a "
                "triggerer stood still. If it goes on, two watchers of this asset have one record: give each a "
                "state_key of its own"
            )

    async def _get(self, name: str) -> Any:
        if hasattr(self._store, "aget"):
            return await self._store.aget(name)
        return await in_thread(self._store.get, name)  # before 3.3.2

    async def _set(self, name: str, data: dict[str, Any]) -> None:
        if hasattr(self._store, "aset"):
            await self._store.aset(name, data)
        else:
            await in_thread(self._store.set, name, data)


def _latest(kept: dict[str, Any], before: dict[str, Any]) -> str | None:
    """Where the latest record is; of two readers at once, with the same epoch, the one before is who claimed last."""

    def rank(place: str) -> tuple[int, bool]:
        fields = kept[place] if isinstance(kept[place], dict) else {}
        return fields.get(_EPOCH, 0), fields.get(_OWNER) == before.get(_OWNER)

    return max((place for place, data in kept.items() if data is not None), key=rank, default=None)
