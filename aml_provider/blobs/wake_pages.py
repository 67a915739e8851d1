"""The last pages of wake queues, for all readers of one process."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from aml_provider.blobs.wake_state import MessagePage

# The most queues; more than one process reads at a time.
_MOST = 1000


class WakePages:
    """Lets readers share a page of their queue: one that was read recently serves all of them.

    A listing that begins now also covers the messages of a page that was read some time ago.

    Args:
        now: The time in seconds, by a clock that does not jump.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._pages: dict[Hashable, tuple[float, MessagePage]] = {}

    def get(self, key: Hashable, seconds: float) -> MessagePage | None:
        """The page that was read at most this many seconds ago; None if there is none."""
        began, page = self._pages.get(key, (float("-inf"), None))
        return page if self._now() - began <= seconds else None

    def put(self, key: Hashable, page: MessagePage) -> None:
        """Keep a page for other readers."""
        if len(self._pages) >= _MOST:
            self._pages.clear()
        self._pages[key] = self._now(), page

    def drop(self, key: Hashable) -> None:
        """Let the next reader read the queue itself."""
        self._pages.pop(key, None)


class Sharing(NamedTuple):
    """How one reader shares pages with others.

    Attributes:
        pages: The pages of this process.
        identity: Whose right reads the queue. Only readers with the same right share pages.
        seconds: The greatest age of a page that this reader uses.
    """

    pages: WakePages
    identity: Hashable
    seconds: float
