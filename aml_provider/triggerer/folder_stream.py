"""The polls of one folder, shared by its watchers with the same key in this event loop.

This module is imported at run time only, and in a thread, because it imports everything that a client needs.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakValueDictionary

from aml_provider import metrics
from aml_provider.blobs.nearest import nothing_there
from aml_provider.blobs.outbox import Watcher
from aml_provider.blobs.shared_listing import FolderPoll, SharedFolder
from aml_provider.client.errors import AzureMLError
from aml_provider.client.trouble import Troubles, pause_after
from aml_provider.compat import AirflowException, AirflowFailException, AirflowNotFoundException
from aml_provider.triggerer.per_loop import PerLoop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aml_provider.blobs.access import Location
    from aml_provider.blobs.outbox import WatcherRecord
    from aml_provider.blobs.rules import Rules
    from aml_provider.client.http.clients import AsyncClient
    from aml_provider.hooks.blob_location import FolderKey

__all__ = ["FolderStream", "stream_of"]

log = logging.getLogger(__name__)

# Watchers begin one by one, each when it has read its record; a poll that waits a little serves them all.
_GATHERING = 1.0
# Seconds until the next poll if there were more changes than one poll may return.
_REST = 5.0
# A triggerer stores events every second. Where it does not confirm that, events that are this much older count as
# stored.
_STORING = 10.0
# Seconds with one connection; after that, its settings and the place of the datastore are read again.
_SESSION = 3600.0
# The most seconds until a folder that could not be listed is tried again. Airflow starts a watcher that has ended
# again, and without a pause. So a watcher does not end, even if a person has to fix something.
_LONGEST_PAUSE = 600.0
_LONGEST_PAUSE_IF_PERMANENT = 3600.0

_STREAMS: PerLoop[WeakValueDictionary[FolderKey, FolderStream]] = PerLoop(WeakValueDictionary)


def stream_of(key: FolderKey) -> FolderStream:
    """Find or make this event loop's stream of a folder; the stream exists as long as something refers to it."""
    streams = _STREAMS.here
    return streams.get(key) or streams.setdefault(key, FolderStream(key))


class FolderStream:
    """Polls a folder for ever."""

    def __init__(self, key: FolderKey) -> None:
        self._key = key
        self._folder = SharedFolder()
        self._clock = asyncio.get_running_loop().time
        self._soon = min(_GATHERING, key.poll_interval)
        self._due = self._clock() + self._soon
        self._wake = asyncio.Event()
        self._has_news = False
        self._failures = 0
        self._has_warned = False
        self._troubles = Troubles()
        self._session: _Session | None = None

    def join(self, rules: Rules, record: WatcherRecord) -> Watcher:
        """Add a watcher. It takes part from the next poll, which begins soon and not after a whole interval.

        Raises:
            CursorUnreadable: The watcher record's cursor is damaged, or has a newer format.
        """
        watcher = Watcher(self._folder, rules, record, self._clock())
        if not self._failures:
            self._due = min(self._due, self._clock() + self._soon)
            self._wake.set()
        return watcher

    async def polls(self) -> AsyncIterator[FolderPoll]:
        """Poll for ever; a poll that fails is tried again later.

        Yields:
            Each poll, for all watchers, and an empty poll after :meth:`confirm`.
        """
        while True:
            await self._sleep()
            if self._has_news:
                self._has_news = False
                yield FolderPoll(self._folder.polls)
            elif (poll := await self._poll()) is not None:
                yield poll

    async def unconfirmed_polls(self) -> AsyncIterator[FolderPoll]:
        """Poll for ever where Airflow does not confirm stored events: they count as stored after some seconds."""
        fired: deque[tuple[float, FolderPoll]] = deque()
        async for poll in self.polls():
            while fired and self._clock() - fired[0][0] > _STORING:
                fired.popleft()[1].is_stored = True
            yield poll
            if poll.has_fired:
                fired.append((self._clock(), poll))

    def confirm(self, poll: FolderPoll) -> None:
        """Note that the events of a poll are stored, and notify the watchers immediately."""
        poll.is_stored = True
        if poll.has_fired:
            self._has_news = True
            self._wake.set()

    async def close(self) -> None:
        """Close the connection; the next poll opens another one."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.resources.aclose()

    async def _sleep(self) -> None:
        """Sleep until a poll is due, or until there is news for watchers."""
        while not self._has_news and (left := self._due - self._clock()) > 0:
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._wake.wait()

    async def _poll(self) -> FolderPoll | None:
        """Poll once; None if that failed."""
        try:
            poll = await self._list() if self._folder else FolderPoll(self._folder.polls)
        except Exception as error:  # noqa: BLE001 - a watcher that ends is started again without a pause
            await self._fail(error)
            return None
        if (text := self._troubles.over(self._key, self._clock())) is not None:
            log.info("%s/%s: %s", self._key.location.name, self._key.location.path, text)
        self._failures = 0
        self._due = self._clock() + (
            min(_REST, self._key.poll_interval) if poll.is_partial else self._key.poll_interval
        )
        return poll

    async def _list(self) -> FolderPoll:
        session = await self._connect()
        location = session.location
        # Some 150 ms for the first import, when the right is an account key.
        await asyncio.to_thread(location.access.signature, location.folder.container_url)
        began = self._clock()
        poll = await session.client.run(self._folder.poll(location.folder, location.access))
        listed = max((step.detection.counts.listed for step in poll.steps.values()), default=0)
        metrics.listed(listed, self._clock() - began, self._key.location.azureml_conn_id)
        for step in poll.steps.values():
            log.info("%s/%s: %s", self._key.location.name, location.folder.prefix, step.detection.counts)
            if not self._has_warned:
                hint = nothing_there(location.folder, location.access, step.detection)
                if warning := await session.client.run(hint):
                    self._has_warned = True
                    log.warning("%s: %s", self._key.location.name, warning)
        return poll

    async def _connect(self) -> _Session:
        if self._session is not None and self._clock() - self._session.began > _SESSION:
            await self.close()
        if self._session is None:
            resources = AsyncExitStack()
            client, location = await resources.enter_async_context(self._key.location.async_open())
            self._session = _Session(client, location, self._clock(), resources)
        return self._session

    async def _fail(self, error: Exception) -> None:
        """Log the error and the time of the next poll; the pauses grow, with jitter."""
        # The connection's settings may be the cause.
        with suppress(Exception):
            await self.close()
        is_permanent = isinstance(error, (AirflowFailException, AirflowNotFoundException)) or (
            isinstance(error, AzureMLError) and error.permanent
        )
        interval = self._key.poll_interval
        longest = max(interval, _LONGEST_PAUSE_IF_PERMANENT if is_permanent else _LONGEST_PAUSE)
        pause = min(longest, interval * 2.0 ** min(self._failures, 20)) * random.uniform(0.8, 1.0)  # noqa: S311
        if isinstance(error, AzureMLError):
            pause = pause_after(error, pause)
        metrics.failed(error, self._key.location.azureml_conn_id)
        self._failures += 1
        self._due = self._clock() + pause
        # Each is logged: their pauses grow.
        self._troubles.failed(self._key, error, None, self._clock())
        log.log(
            logging.ERROR if is_permanent else logging.WARNING,
            "%s/%s: This poll failed and was discarded; the next one is in %.0f s. %s",
            self._key.location.name,
            self._key.location.path,
            pause,
            error,
            exc_info=None if isinstance(error, (AirflowException, AzureMLError)) else error,
        )


class _Session(NamedTuple):
    client: AsyncClient
    location: Location
    began: float
    resources: AsyncExitStack
