"""A watcher record in one asset's state store, which only its latest reader can replace.

The store cannot compare and swap. If a triggerer stalls in the middle of a write (its machine was paused), the write
may arrive after another triggerer has read the previous record and continued from it. So each reader first stores a
claim. The claim says that this reader owns the record now, and under which key it will write. That key neither contains
the record, nor is it the key to which the previous owner writes. A late write of the previous owner goes to a key that
nobody reads, and since each writer checks the claim after its write, the previous owner notices.

If a reader stalls before it stores its claim, it then finds what others have saved meanwhile, and starts again. There
are two known limitations: a write that is so late that several others have taken over since, and a write by one of two
readers that read at the same moment. In these cases some versions may be reported again, in another event.
"""

from __future__ import annotations

import uuid
from typing import Any

from aml_provider.compat import in_thread
from aml_provider.durable.handover import CursorMoved

_EPOCH, _OWNER, _PLACE = "epoch", "owner", "place"


class AssetRecord:
    """One watcher record of one asset. One object serves one watcher.

    Args:
        store: The asset's state store, as Airflow gives it to a trigger.
        key: The record's name. The record and the claim are stored under keys that begin with it.
    """

    def __init__(self, store: Any, key: str) -> None:
        self._store = store
        self._places = (key, f"{key} 2", f"{key} 3")
        self._claim = f"{key} {_OWNER}"
        self._me: dict[str, Any] = {}

    def __repr__(self) -> str:
        return repr(self._store)

    async def load(self) -> Any:
        """Claim the record for this reader, and read it.

        Returns:
            JSON data; None if nothing was saved before.
        """
        while True:
            claim = await self._get(self._claim)
            previous = claim if isinstance(claim, dict) else {}
            stored = await self._stored()
            taken = (_latest(stored, previous), previous.get(_PLACE))
            epoch = 1 + max(map(_epoch, (previous, *stored.values())))
            # The least recently used one: its writer is most likely no longer writing.
            place = min(
                (place for place in self._places if place not in taken), key=lambda place: _epoch(stored[place])
            )
            self._me = {_EPOCH: epoch, _OWNER: uuid.uuid4().hex, _PLACE: place}
            await self._set(self._claim, self._me)
            # Others do not act on what they save from now on, but may have acted on what they saved until now.
            stored = await self._stored()
            if max(map(_epoch, stored.values())) < epoch:
                latest = _latest(stored, previous)
                return None if latest is None else stored[latest]

    async def save(self, data: dict[str, Any]) -> None:
        """Replace the record; when this returns, the next reader finds it.

        Raises:
            CursorMoved: Another watcher has claimed it, or somebody deleted it; the caller must not act on the save.
        """
        await self._check()
        await self._set(self._me[_PLACE], data | self._me)
        await self._check()

    async def _check(self) -> None:
        if await self._get(self._claim) != self._me:
            key = self._places[0]
            raise CursorMoved(
                f"The watcher record {key} of {self} was taken over by another watcher since it was read. That happens "
                "when a triggerer has stalled. If it happens again and again, two watchers of this asset share one "
                "record: give each its own state_key"
            )

    async def _stored(self) -> dict[str, Any]:
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
    # Records of earlier versions of this package have no epoch.
    return epoch if isinstance(epoch, int) else 0


def _latest(stored: dict[str, Any], claim: dict[str, Any]) -> str | None:
    """The key of the latest record. If two readers at once got the same epoch, the owner in the claim decides."""

    def rank(place: str) -> tuple[bool, int, bool]:
        data = stored[place]
        # A damaged record must not be skipped in favour of an older one.
        is_damaged = not isinstance(data, dict)
        return is_damaged, _epoch(data), not is_damaged and data.get(_OWNER) == claim.get(_OWNER)

    return max((place for place, data in stored.items() if data is not None), key=rank, default=None)
