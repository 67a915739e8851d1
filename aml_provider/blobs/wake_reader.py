"""One reader of a wake queue, for the polls of one folder in one process."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from aml_provider.blobs.access import PROCESS
from aml_provider.blobs.wake_event import Interest
from aml_provider.blobs.wake_queue import WakeQueue, ask_queue
from aml_provider.blobs.wake_state import WakeState
from aml_provider.client.help import text_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from aml_provider.blobs.access import Location
    from aml_provider.blobs.wake_pages import Sharing
    from aml_provider.blobs.wake_queue import Answer
    from aml_provider.client.http.messages import Flow


class WakeReader:
    """Decides before each poll whether it lists the folder.

    Args:
        queue: The queue's address, or its name in the folder's account.
        resync: The most seconds between two listings.
        patterns: The globs of the blobs that count; None: all blobs count.
        state: What an earlier process knew; by default nothing, so that the first poll lists.
        log: Called with a level and a line.
        sharing: How it shares pages with other readers of this process; None: it reads each page itself.
        now: The time in seconds since the epoch.

    Attributes:
        state: What is known after the last page and the last listing.
    """

    def __init__(
        self,
        queue: str,
        resync: float,
        patterns: tuple[str, ...] | None,
        log: Callable[[int, str], None],
        *,
        state: WakeState | None = None,
        sharing: Sharing | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._name = queue
        self._resync = resync
        self._patterns = patterns
        self._log = log
        self._sharing = sharing
        self._now = now
        self.state = state or WakeState()
        self._answer: Answer | None = None
        self._began = 0.0
        self._has_kept = False
        # Of the calls of forget(): all, those before the last ask(), those that a stored listing has followed.
        self._wanted = self._asked = self._served = 0

    def forget(self) -> None:
        """Let the next poll list the folder, whatever the queue holds; also if a poll is under way."""
        self._wanted += 1

    def prepare(self, location: Location) -> None:
        """Sign for the queue. The first time takes some 150 ms, so event loops do this in a thread.

        Raises:
            InvalidArgument: The queue cannot be used with the folder's credential.
        """
        queue = WakeQueue.at(self._name, location)
        queue.access.signature(queue.url, PROCESS)

    def ask(self, location: Location) -> Flow[str | None]:
        """Ask the queue.

        Returns:
            Why the folder has to be listed, in words; None: it need not be listed, and nothing has changed there as far
            as the queue says.

        Raises:
            InvalidArgument: The queue cannot be used with the folder's credential.
        """
        queue = WakeQueue.at(self._name, location)
        began = self._now()
        interest = Interest.of(location.folder, self._patterns)
        self._asked = self._wanted
        # A datastore can be moved while a task waits, and its queue with it.
        place = f"{queue.url} {location.folder.container_url}/{location.folder.prefix}"
        state = self.state if self.state.place == place else WakeState(place=place)
        if self._served != self._wanted:
            state = state._replace(listed_at=None)
        answer = yield from self._shared(state, queue, interest, began)
        self._report(queue.url, answer, began)
        self._answer, self._began = answer, began
        # If the listing fails, or its result is not stored, the next poll must decide the same again.
        if answer.reason is None or answer.trouble is not None:
            self.state = answer.state
        return None if answer.reason is None else answer.reason.value

    def _shared(self, state: WakeState, queue: WakeQueue, interest: Interest, now: float) -> Flow[Answer]:
        if self._sharing is None:
            return (yield from ask_queue(state, queue, interest, self._resync, now))
        pages, identity, seconds = self._sharing
        key = (queue.url, identity)
        page = pages.get(key, seconds)
        answer = yield from ask_queue(state, queue, interest, self._resync, now, page)
        if answer.page is None or answer.is_trimmed:
            pages.drop(key)
        elif page is None:
            pages.put(key, answer.page)
        return answer

    def listed(self, *, waits: bool) -> None:
        """Continue from a listing that began after :meth:`ask`, and whose result is stored.

        Args:
            waits: Whether it left versions that no event will announce.
        """
        assert self._answer is not None
        self.state = self._answer.listed(self._began, waits=waits)
        self._served = self._asked

    def _report(self, url: str, answer: Answer, now: float) -> None:
        if answer.trouble is not None:
            level = logging.WARNING if answer.state.failures == 1 else logging.INFO
            pause = answer.state.ask_from - now
            self._log(
                level,
                f"The wake queue could not be read. Each poll lists the folder, as without a wake queue; the queue is "
                f"asked again in {pause:.0f} s. {text_of(answer.trouble)}",
            )
        if answer.works_again:
            self._log(logging.INFO, f"The wake queue {url} can be read again.")
        if answer.unreadable:
            self._log(
                logging.WARNING,
                f"{len(answer.unreadable)} messages of the wake queue {url} are not events of Event Grid, such as "
                f"{answer.unreadable[0]!r}; because of them the folder is listed once.",
            )
        if answer.kept is not None and not self._has_kept:
            self._has_kept = True
            self._log(
                logging.WARNING,
                f"Old messages of the wake queue stay there, so each poll may list the folder. {text_of(answer.kept)}",
            )
