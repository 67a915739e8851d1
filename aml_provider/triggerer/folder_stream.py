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
from aml_provider.blobs.wake_state import NOT_LISTED, because
from aml_provider.triggerer.per_loop import PerLoop
from aml_provider.triggerer.wake_pages import sharing
from aml_provider.triggerer.watch_stream import WatchStream

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from aml_provider.blobs.access import Location
    from aml_provider.blobs.rules import Rules
    from aml_provider.blobs.wake_reader import WakeReader
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

    _reader: WakeReader | None = None

    def _watcher(self, rules: Rules, record: WatcherRecord) -> Watcher:
        if self._reader is not None:
            # The new watcher may know less than the others.
            self._reader.forget()
        return watch_folder(self._source, rules, record, self._clock())

    async def _open(self, resources: AsyncExitStack) -> tuple[AsyncClient, Location]:
        return await resources.enter_async_context(self._key.location.async_open())

    async def _read(self, connection: tuple[AsyncClient, Location]) -> SharedPoll:
        client, location = connection
        reason = None
        if self._key.waking is not None:
            if self._reader is None:
                # The watchers have different patterns.
                self._reader = self._key.waking.reader(
                    None, self._log, sharing=sharing(self._key.location, self._key.poll_interval)
                )
            await asyncio.to_thread(self._reader.prepare, location)
            reason = await client.run(self._reader.ask(location))
            if reason is None:
                metrics.saved(self._key.azureml_conn_id)
                self._log_poll(location, NOT_LISTED)
                return self._source.empty_poll()
        # Some 150 ms for the first import, when the right is an account key.
        await asyncio.to_thread(location.access.signature, location.folder.container_url)
        began = self._clock()
        poll = await client.run(self._source.poll(location.folder, location.access))
        listed = max((step.detection.counts.listed for step in poll.steps.values()), default=0)  # type: ignore[attr-defined]
        metrics.listed(listed, self._clock() - began, self._key.azureml_conn_id)
        steps = list(poll.steps.values())
        # Watchers with different rules or records see different counts in the same listing.
        counts = "; ".join(dict.fromkeys(str(step.detection.counts) for step in steps))  # type: ignore[attr-defined]
        if steps:
            self._log_poll(location, f"{counts}{because(reason)}")
        if self._reader is not None:
            # A watcher that cannot store its record ends, and the one that follows it makes the next poll list.
            self._reader.listed(waits=any(step.detection.waits for step in steps))  # type: ignore[attr-defined]
        for step in steps:
            if not self._has_warned:
                hint = nothing_there(location.folder, location.access, step.detection)  # type: ignore[arg-type]
                if warning := await client.run(hint):
                    self._has_warned = True
                    log.warning("%s: %s", self._key.location.name, warning)
        return poll

    def _log_poll(self, location: Location, found: str) -> None:
        line = self._lines.line(f"{self._key.location.name}/{location.folder.prefix}: {found}", self._clock())
        if line is not None:
            log.info("%s", line)

    def _log(self, level: int, line: str) -> None:
        log.log(level, "%s: %s", self._key.location.name, line)
