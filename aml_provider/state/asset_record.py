"""A watcher's record in one asset's state store, which its latest reader replaces and no earlier one.

The store cannot compare and swap. A triggerer that stands still in the middle of a write (its machine was paused) may
carry it out when another one has long gone on from the record before. So each reader says first that the record is its
own and where it will write it: neither where the record is, nor where the reader before it writes. A late write of that
one lands where nobody looks, and as it asks after each write whose the record is, it notices.

A reader that stands still before its own claim finds afterwards what others have saved meanwhile, and begins again.
What is left: a write that is so late that several others have taken over since, or that comes from one of two who have
read at the same moment. Versions may come again in another event then.
"""

from __future__ import annotations

import uuid
from typing import Any

from aml_provider.durable.handover import CursorMoved
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
        while True:
            claim = await self._get(self._claim)
            before = claim if isinstance(claim, dict) else {}
            kept = await self._kept()
            taken = (_latest(kept, before), before.get(_PLACE))
            epoch = 1 + max(map(_epoch, (before, *kept.values())))
            # The one that was used longest ago: who wrote there is hardly writing still.
            place = min((place for place in self._places if place not in taken), key=lambda place: _epoch(kept[place]))
            self._me = {_EPOCH: epoch, _OWNER: uuid.uuid4().hex, _PLACE: place}
            await self._set(self._claim, self._me)
            # What others save from now on they will not act upon; what they have saved until now, they may have.
            kept = await self._kept()
            if max(map(_epoch, kept.values())) < epoch:
                latest = _latest(kept, before)
                return None if latest is None else kept[latest]

    async def save(self, data: dict[str, Any]) -> None:
        """Replace the record; when this returns, the next reader finds it.

        Raises:
            CursorMoved: Somebody has made it its own since, or deleted it; nothing may be made of what was written.
        """
        await self._check()
        await self._set(self._me[_PLACE], data | self._me)
        await self._check()

    async def _check(self) -> None:
        if await self._get(self._claim) != self._me:
            key = self._places[0]
            raise CursorMoved(
                f"The record {key} of {self} was taken over by another watcher since it was read. That happens when a "
                "triggerer stood still. If it goes on, two watchers of this asset have one record: give each a "
                "state_key of its own"
            )

    async def _kept(self) -> dict[str, Any]:
        return {place: await self._get(place) for place in self._places}

    async def _get(self, name: str) -> Any:
        if hasattr(self._store, "aget"):
            return await self._store.aget(name)
        return await in_thread(self._store.get, name)  # before 3.3.2

    async def _set(self, name: str, data: dict[str, Any]) -> None:
        if hasattr(self._store, "aset"):
            await self._store.aset(name, data)
        else:
            await in_thread(self._store.set, name, data)


def _epoch(data: Any) -> int:
    epoch = data.get(_EPOCH) if isinstance(data, dict) else None
    # A record of an earlier version has none.
    return epoch if isinstance(epoch, int) else 0


def _latest(kept: dict[str, Any], before: dict[str, Any]) -> str | None:
    """Where the latest record is; of two readers at once, with the same epoch, the one before is who claimed last."""

    def rank(place: str) -> tuple[bool, int, bool]:
        data = kept[place]
        # What is no record at all must not be passed over for one that is older.
        is_damaged = not isinstance(data, dict)
        return is_damaged, _epoch(data), not is_damaged and data.get(_OWNER) == before.get(_OWNER)

    return max((place for place, data in kept.items() if data is not None), key=rank, default=None)
