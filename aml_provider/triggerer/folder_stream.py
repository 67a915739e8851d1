"""One folder, looked at for all watchers of it in this event loop.

It loads at run time only, in a thread: with it comes all that a client needs.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
from collections import deque
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakKeyDictionary, WeakValueDictionary

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, AirflowNotFoundException

from aml_provider.blobs.nearest import nothing_there
from aml_provider.blobs.outbox import Watcher
from aml_provider.blobs.shared_listing import FolderPoll, SharedFolder
from aml_provider.client.errors import AzureMLError
from aml_provider.client.trouble import Troubles

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aml_provider.blobs.access import Location
    from aml_provider.blobs.outbox import WatcherRecord
    from aml_provider.blobs.rules import Rules
    from aml_provider.client.http.clients import AsyncClient
    from aml_provider.hooks.blob_location import FolderKey

__all__ = ["FolderStream", "stream_of"]

log = logging.getLogger(__name__)

# Watchers begin one by one, each when it has read its record; a look that waits a little has them all.
_GATHERING = 1.0
# Seconds until the rest of more changes than one look may give.
_REST = 5.0
# A triggerer hands events on every second. Without its word, those that are so much older are taken for stored.
_STORING = 10.0
# Seconds with one connection; after that, what it says and where the datastore is are read anew.
_SESSION = 3600.0
# The longest seconds until a folder that could not be listed is tried again. Nobody starts a watcher anew, so it goes
# on even where a person has to mend something.
_LONGEST_PAUSE = 600.0
_LONGEST_PAUSE_IF_PERMANENT = 3600.0


_STREAMS: WeakKeyDictionary[asyncio.AbstractEventLoop, WeakValueDictionary[FolderKey, FolderStream]] = (
    WeakKeyDictionary()
)
# A process may have several loops, each in a thread of its own.
_LOCK = threading.Lock()


def stream_of(key: FolderKey) -> FolderStream:
    """Take this event loop's stream of a folder; it lasts for as long as somebody holds it."""
    with _LOCK:
        streams = _STREAMS.setdefault(asyncio.get_running_loop(), WeakValueDictionary())
    return streams.get(key) or streams.setdefault(key, FolderStream(key))


class FolderStream:
    """Looks at a folder again and again.

    Args:
        key: Which, and how often.
    """

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
        """Take part from the next look on; whoever is new need not wait a whole interval for it.

        Args:
            rules: Which changes are wanted.
            record: What is stored of this watcher.

        Raises:
            CursorUnreadable: The record's cursor is damaged, or of a newer format.
        """
        watcher = Watcher(self._folder, rules, record, self._clock())
        if not self._failures:
            self._due = min(self._due, self._clock() + self._soon)
            self._wake.set()
        return watcher

    async def looks(self) -> AsyncIterator[FolderPoll]:
        """Look for ever; what cannot be listed is tried again later.

        Yields:
            Each look, for all watchers; also an empty one when :meth:`stored` has news for them.
        """
        while True:
            await self._sleep()
            if self._has_news:
                self._has_news = False
                yield FolderPoll(self._folder.polls)
            elif (look := await self._look()) is not None:
                yield look

    async def unconfirmed_looks(self) -> AsyncIterator[FolderPoll]:
        """Look for ever where Airflow does not say when events are stored: they have so many seconds for it."""
        fired: deque[tuple[float, FolderPoll]] = deque()
        async for look in self.looks():
            while fired and self._clock() - fired[0][0] > _STORING:
                fired.popleft()[1].is_stored = True
            yield look
            if look.has_fired:
                fired.append((self._clock(), look))

    def stored(self, look: FolderPoll) -> None:
        """Take note that what watchers have made of a look is stored safely, and let them know at once."""
        look.is_stored = True
        if look.has_fired:
            self._has_news = True
            self._wake.set()

    async def close(self) -> None:
        """Close the connection; the next look opens another one."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.resources.aclose()

    async def _sleep(self) -> None:
        """Sleep until a look is due, or until there is news for watchers."""
        while not self._has_news and (left := self._due - self._clock()) > 0:
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._wake.wait()

    async def _look(self) -> FolderPoll | None:
        """Look once; None when that failed."""
        try:
            look = await self._list() if self._folder else FolderPoll(self._folder.polls)
        except Exception as error:  # noqa: BLE001 - nobody would start the watchers anew
            await self._fail(error)
            return None
        if (text := self._troubles.over(self._key, self._clock())) is not None:
            log.info("%s/%s: %s", self._key.location.name, self._key.location.path, text)
        self._failures = 0
        self._due = self._clock() + (
            min(_REST, self._key.poll_interval) if look.is_partial else self._key.poll_interval
        )
        return look

    async def _list(self) -> FolderPoll:
        session = await self._connect()
        location = session.location
        # Some 150 ms for the first import, when the right is an account key.
        await asyncio.to_thread(location.access.signature, location.folder.container_url)
        look = await session.client.run(self._folder.poll(location.folder, location.access))
        for step in look.steps.values():
            log.info("%s/%s: %s", self._key.location.name, location.folder.prefix, step.detection.counts)
            if not self._has_warned:
                hint = nothing_there(location.folder, location.access, step.detection)
                if warning := await session.client.run(hint):
                    self._has_warned = True
                    log.warning("%s: %s", self._key.location.name, warning)
        return look

    async def _connect(self) -> _Session:
        if self._session is not None and self._clock() - self._session.began > _SESSION:
            await self.close()
        if self._session is None:
            resources = AsyncExitStack()
            client, location = await resources.enter_async_context(self._key.location.async_open())
            self._session = _Session(client, location, self._clock(), resources)
        return self._session

    async def _fail(self, error: Exception) -> None:
        """Say what is wrong and when it is tried again: ever later, with jitter."""
        # What the connection says may be what is wrong.
        with suppress(Exception):
            await self.close()
        is_permanent = isinstance(error, (AirflowFailException, AirflowNotFoundException)) or (
            isinstance(error, AzureMLError) and error.permanent
        )
        interval = self._key.poll_interval
        longest = max(interval, _LONGEST_PAUSE_IF_PERMANENT if is_permanent else _LONGEST_PAUSE)
        pause = min(longest, interval * 2.0 ** min(self._failures, 20)) * random.uniform(0.8, 1.0)  # noqa: S311
        if isinstance(error, AzureMLError):
            pause = max(pause, min(error.retry_after or 0.0, _LONGEST_PAUSE_IF_PERMANENT))
        self._failures += 1
        self._due = self._clock() + pause
        # Told with each look: their pauses grow.
        self._troubles.failed(self._key, error, None, self._clock())
        log.log(
            logging.ERROR if is_permanent else logging.WARNING,
            "%s/%s could not be looked at; this counts for nothing, and its watchers look again in %.0f s. %s",
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
