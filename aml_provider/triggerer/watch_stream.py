"""The polls of one source, shared by its watchers with the same key in an event loop.

The modules of the streams are imported at run time only, and in a thread, because they import everything that a client
needs.
"""

from __future__ import annotations

import asyncio
import logging
import random
from abc import ABC, abstractmethod
from collections import deque
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

from aml_provider import metrics
from aml_provider.client.errors import AzureMLError
from aml_provider.client.help import text_of
from aml_provider.client.poll_log import PollLog
from aml_provider.client.trouble import Troubles, pause_after
from aml_provider.compat import AirflowException, AirflowFailException, AirflowNotFoundException

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aml_provider.watching.outbox import Watcher, WatcherRecord
    from aml_provider.watching.shared import SharedPoll, SharedSource

log = logging.getLogger(__name__)

# Watchers begin one by one, each when it has read its record; a poll that waits a little serves them all.
_GATHERING = 1.0
# Seconds until the next poll if there were more changes than one poll may return.
_REST = 5.0
# A triggerer stores events every second. If Airflow does not confirm this, events count as stored after this many
# seconds.
_STORING = 10.0
# Seconds with one connection; after that, its settings and the place of what is polled are read again.
_SESSION = 3600.0
# The most seconds until a source that could not be polled is tried again. If a watcher ends, Airflow starts it again
# without a pause. So a watcher does not end, even if a person has to fix something.
_LONGEST_PAUSE = 600.0
_LONGEST_PAUSE_IF_PERMANENT = 3600.0


class StreamKey(Protocol):
    """Identifies the watchers that share a stream; its text form names the source in the log."""

    @property
    def azureml_conn_id(self) -> str:
        """The connection."""

    @property
    def poll_interval(self) -> float:
        """Seconds between two polls."""

    def __hash__(self) -> int: ...


K = TypeVar("K", bound=StreamKey)
S = TypeVar("S", bound="SharedSource")
C = TypeVar("C")


class WatchStream(ABC, Generic[K, S, C]):
    """Polls a source for ever.

    Args:
        key: The key of the watchers that share it.
        source: What these watchers have decided.
    """

    def __init__(self, key: K, source: S) -> None:
        self._key = key
        self._source = source
        self._clock = asyncio.get_running_loop().time
        self._soon = min(_GATHERING, key.poll_interval)
        self._due = self._clock() + self._soon
        self._wake = asyncio.Event()
        self._has_news = False
        self._failures = 0
        self._troubles = Troubles()
        self._lines = PollLog()
        self._session: _Session[C] | None = None

    def join(self, rules: Any, record: WatcherRecord) -> Watcher:
        """Add a watcher. It takes part from the next poll, which begins soon and not after a whole interval.

        Args:
            rules: What the watcher wants.
            record: Its stored record.

        Raises:
            CursorUnreadable: The watcher record's cursor is damaged, or has a newer format.
        """
        watcher = self._watcher(rules, record)
        if not self._failures:
            self._due = min(self._due, self._clock() + self._soon)
            self._wake.set()
        return watcher

    async def polls(self) -> AsyncIterator[SharedPoll]:
        """Poll for ever; a poll that fails is tried again later.

        Yields:
            Each poll, for all watchers, and an empty poll after :meth:`confirm`.
        """
        while True:
            await self._sleep()
            if self._has_news:
                self._has_news = False
                yield self._source.empty_poll()
            elif (poll := await self._poll()) is not None:
                yield poll

    async def unconfirmed_polls(self) -> AsyncIterator[SharedPoll]:
        """Poll for ever where Airflow does not confirm stored events: they count as stored after some seconds."""
        fired: deque[tuple[float, SharedPoll]] = deque()
        async for poll in self.polls():
            while fired and self._clock() - fired[0][0] > _STORING:
                fired.popleft()[1].is_stored = True
            yield poll
            if poll.has_fired:
                fired.append((self._clock(), poll))

    def confirm(self, poll: SharedPoll) -> None:
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

    @abstractmethod
    def _watcher(self, rules: Any, record: WatcherRecord) -> Watcher:
        """Make a watcher of the source."""

    @abstractmethod
    async def _open(self, resources: AsyncExitStack) -> C:
        """Open a connection to the source; ``resources`` closes it."""

    @abstractmethod
    async def _read(self, connection: C) -> SharedPoll:
        """Poll the source once, for all its watchers.

        Raises:
            AzureMLError: The poll failed, and nothing has changed.
        """

    async def _sleep(self) -> None:
        """Sleep until a poll is due, or until there is news for watchers."""
        while not self._has_news and (left := self._due - self._clock()) > 0:
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._wake.wait()

    async def _poll(self) -> SharedPoll | None:
        """Poll once; None if that failed."""
        try:
            poll = await self._read(await self._connect()) if self._source else self._source.empty_poll()
        except Exception as error:  # noqa: BLE001 - a watcher that ends is started again without a pause
            await self._fail(error)
            return None
        if (text := self._troubles.over(self._key, self._clock())) is not None:
            log.info("%s: %s", self._key, text)
        self._failures = 0
        self._due = self._clock() + (
            min(_REST, self._key.poll_interval) if poll.is_partial else self._key.poll_interval
        )
        return poll

    async def _connect(self) -> C:
        if self._session is not None and self._clock() - self._session.began > _SESSION:
            await self.close()
        if self._session is None:
            resources = AsyncExitStack()
            connection = await self._open(resources)
            self._session = _Session(connection, self._clock(), resources)
        return self._session.connection

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
        metrics.failed(error, self._key.azureml_conn_id)
        self._failures += 1
        self._due = self._clock() + pause
        # Each is logged: their pauses grow.
        self._troubles.failed(self._key, error, None, self._clock())
        log.log(
            logging.ERROR if is_permanent else logging.WARNING,
            "%s: This poll failed and was discarded; the next one is in %.0f s. %s",
            self._key,
            pause,
            # A person has to act on a permanent error, and nothing else reports it.
            error if is_permanent else text_of(error),
            exc_info=None if isinstance(error, (AirflowException, AzureMLError)) else error,
        )


class _Session(NamedTuple, Generic[C]):
    connection: C
    began: float
    resources: AsyncExitStack
