"""The polls of one folder, shared by its watchers with the same key in this event loop.

This module is imported at run time only, and in a thread, because it imports everything that a client needs.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from aml_provider import metrics
from aml_provider.blobs.nearest import nothing_there
from aml_provider.blobs.shared_listing import SharedFolder, watch_folder
from aml_provider.triggerer.per_loop import PerLoop
from aml_provider.triggerer.watch_stream import WatchStream

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from aml_provider.blobs.access import Location
    from aml_provider.blobs.rules import Rules
    from aml_provider.client.http.clients import AsyncClient
    from aml_provider.hooks.blob_location import FolderKey
    from aml_provider.watching.outbox import Watcher, WatcherRecord
    from aml_provider.watching.shared import SharedPoll

__all__ = ["FolderStream", "make_stream", "stream_of"]

log = logging.getLogger(__name__)

_STREAMS: PerLoop[WeakValueDictionary[FolderKey, FolderStream]] = PerLoop(WeakValueDictionary)


def make_stream(key: FolderKey) -> FolderStream:
    """Make a stream for one watcher alone."""
    return FolderStream(key, SharedFolder())


def stream_of(key: FolderKey) -> FolderStream:
    """Find or make this event loop's stream of a folder; the stream exists as long as something refers to it."""
    streams = _STREAMS.here
    return streams.get(key) or streams.setdefault(key, make_stream(key))


class FolderStream(WatchStream["FolderKey", SharedFolder, "tuple[AsyncClient, Location]"]):
    """Lists a folder for ever."""

    _has_warned = False

    def _watcher(self, rules: Rules, record: WatcherRecord) -> Watcher:
        return watch_folder(self._source, rules, record, self._clock())

    async def _open(self, resources: AsyncExitStack) -> tuple[AsyncClient, Location]:
        return await resources.enter_async_context(self._key.location.async_open())

    async def _read(self, connection: tuple[AsyncClient, Location]) -> SharedPoll:
        client, location = connection
        # Some 150 ms for the first import, when the right is an account key.
        await asyncio.to_thread(location.access.signature, location.folder.container_url)
        began = self._clock()
        poll = await client.run(self._source.poll(location.folder, location.access))
        listed = max((step.detection.counts.listed for step in poll.steps.values()), default=0)  # type: ignore[attr-defined]
        metrics.listed(listed, self._clock() - began, self._key.azureml_conn_id)
        steps = list(poll.steps.values())
        # Watchers with different rules or records see different counts in the same listing.
        counts = "; ".join(dict.fromkeys(str(step.detection.counts) for step in steps))  # type: ignore[attr-defined]
        found = f"{self._key.location.name}/{location.folder.prefix}: {counts}"
        if steps and (line := self._lines.line(found, self._clock())) is not None:
            log.info("%s", line)
        for step in steps:
            if not self._has_warned:
                hint = nothing_there(location.folder, location.access, step.detection)  # type: ignore[arg-type]
                if warning := await client.run(hint):
                    self._has_warned = True
                    log.warning("%s: %s", self._key.location.name, warning)
        return poll
