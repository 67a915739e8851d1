"""Decides from the messages of a wake queue whether a folder has to be listed. No I/O, no clock.

The queue is read like a log: messages are peeked at, so that any number of readers see each of them. A reader knows the
messages of its last page, and the latest of them is its position. Readers delete old messages, the oldest first and
never the latest one; to delete messages, a reader gets them. So if a reader's position is still in the queue and nobody
has got it meanwhile, no later message was deleted. Otherwise the reader lists.
"""

from __future__ import annotations

import math
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

from aml_provider.blobs.wake_event import read_events
from aml_provider.stored import parse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aml_provider.blobs.wake_event import Interest

#: The operations on the queue, in messages and for metrics.
READ_QUEUE, TRIM_QUEUE = "read the wake queue", "delete old messages of the wake queue"
#: The most messages that the service returns in one reply.
MOST_MESSAGES = 32
# From this many messages in a page on that a listing covers, they are deleted.
_TRIM_FROM = 16
# Seconds: the clocks of one service's machines agree to within this time.
_SKEW = 60.0
# Seconds after an insertion in which other messages may still get the same time, which has no fractions.
_SAME_TIME = 2.0
# Seconds until a queue that failed is asked again; the pause doubles with each failure.
_FIRST_PAUSE, _LONGEST_PAUSE = 60.0, 3600.0


#: What a poll logs that has not listed the folder.
NOT_LISTED = "the wake queue has no event for this folder; it was not listed"


def because(reason: str | None) -> str:
    """The end of the line about a listing: why there was one, if a wake queue decides about that."""
    return "" if reason is None else f" ({reason})"


class Message(NamedTuple):
    """One message.

    Attributes:
        id: Its id.
        inserted: When it was inserted, by the queue's clock, in seconds since the epoch.
        text: Its text, as it was written.
        receipt: What deletes it; empty if it was only peeked at.
        gets: How often somebody has got it, in order to delete messages.
    """

    id: str
    inserted: float
    text: str = ""
    receipt: str = ""
    gets: int = 0

    @property
    def stamp(self) -> str:
        """Another text as soon as somebody gets the message."""
        return f"{self.id}@{self.gets}"


class MessagePage(NamedTuple):
    """The messages of one reply.

    Attributes:
        messages: The messages that are visible, the oldest first, at most 32.
        date: The time of the reply by the queue's clock, in seconds since the epoch.
    """

    messages: Sequence[Message]
    date: float


class Reason(Enum):
    """Why a poll lists the folder; the values are for the log."""

    FIRST = "nothing was listed yet"
    RESYNC = "the time of resync has passed"
    WAITING = "the last listing left blobs that wait"
    EVENT = "an event concerns the folder"
    UNREADABLE = "a message of the wake queue cannot be read"
    GAP = "messages of the wake queue may be gone"
    FULL = "the wake queue has more messages than one reply shows"
    FAILED = "the wake queue cannot be read"


class WakeState(NamedTuple):
    """The knowledge of a reader after its last listing and its last page.

    Attributes:
        place: The addresses of the queue and the folder that it is about.
        listed_at: When the last listing that was committed began, in seconds since the epoch; None: there was none.
        waits: Whether that listing left something that no event will announce.
        known: The ids of the last page's messages, each of which a listing covers or does not concern the folder.
        position: The stamp of the latest of them that is a few seconds old; None if there is none.
        covered: Messages inserted before this instant, by the queue's clock, are covered by the last listing.
        failures: How often in a row the queue could not be read.
        ask_from: When it is asked again, in seconds since the epoch.
    """

    place: str = ""
    listed_at: float | None = None
    waits: bool = False
    known: tuple[str, ...] = ()
    position: str | None = None
    covered: float = 0.0
    failures: int = 0
    ask_from: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """The state as JSON data, for a trigger's arguments or a Variable."""
        return {**self._asdict(), "known": list(self.known)}

    @classmethod
    def from_json(cls, data: Any) -> WakeState:
        """Read the result of :meth:`to_json`; anything else is a reader that has not listed yet."""
        try:
            found = cls(**{name: data[name] for name in cls._fields})
            numbers = (found.listed_at or 0.0, found.covered, found.failures, found.ask_from)
            texts = (found.place, "" if found.position is None else found.position, *found.known)
            is_finite = all(map(math.isfinite, numbers))
        except (TypeError, LookupError, OverflowError):
            return cls()
        if (
            not is_finite
            or not all(type(number) in {int, float} for number in numbers)
            or not all(isinstance(one, str) for one in texts)
        ):
            return cls()
        return found._replace(known=tuple(found.known[:MOST_MESSAGES]), waits=bool(found.waits))

    @classmethod
    def from_text(cls, text: str | None) -> WakeState:
        """Read :meth:`to_json` as text."""
        try:
            return cls() if text is None else cls.from_json(parse(text))
        except ValueError:
            return cls()

    def reason(self, page: MessagePage, interest: Interest, resync: float, now: float) -> Reason | None:
        """Why the folder has to be listed after this page was read; None if no listing is needed.

        Args:
            page: The page that was read last.
            interest: The folder.
            resync: The most seconds between two listings.
            now: The time in seconds since the epoch.
        """
        if self.listed_at is None:
            return Reason.FIRST
        # A time in the future is another machine's, whose clock is ahead.
        if not 0.0 <= now - self.listed_at < resync:
            return Reason.RESYNC
        if self.waits:
            return Reason.WAITING
        if len(page.messages) >= MOST_MESSAGES:
            return Reason.FULL
        if (news := self._news(page.messages, interest)) is not None:
            return news
        stamps = {message.stamp for message in page.messages}
        # Messages that one reader has got are hidden, so that another one may delete later ones before them. Without a
        # position, the first messages may have followed others that are deleted already.
        return Reason.GAP if self.position not in stamps and (self.known or stamps) else None

    def _news(self, messages: Sequence[Message], interest: Interest) -> Reason | None:
        for message in messages:
            if message.id in self.known:
                continue
            try:
                events = read_events(message.text)
            except ValueError:
                return Reason.UNREADABLE
            if any(map(interest.concerns, events)):
                return Reason.EVENT
        return None

    def unreadable(self, page: MessagePage) -> list[str]:
        """The ids of the new messages that cannot be read."""
        found = []
        for message in page.messages:
            if message.id not in self.known:
                try:
                    read_events(message.text)
                except ValueError:
                    found.append(message.id)
        return found

    def after(self, page: MessagePage) -> WakeState:
        """The state after a page that needs no listing."""
        # A message of the same time as the reply may be followed by others of this time, of which a reader that
        # deletes messages could keep either.
        old = [message for message in page.messages if message.inserted < page.date - _SAME_TIME]
        latest = max(old, key=lambda message: message.inserted, default=None)
        return self._replace(
            known=tuple(message.id for message in page.messages),
            position=None if latest is None else latest.stamp,
            failures=0,
            ask_from=0.0,
        )

    def listed(self, page: MessagePage | None, began: float, *, waits: bool) -> WakeState:
        """The state after a listing was committed that began after the page was read.

        Args:
            page: The page; None if the queue could not be read.
            began: When the listing began, in seconds since the epoch.
            waits: Whether the listing left something that no event will announce.
        """
        state = self._replace(listed_at=began, waits=waits)
        return state if page is None else state.after(page)._replace(covered=page.date - _SKEW)

    def failed(self, now: float) -> WakeState:
        """The state after the queue could not be read: it is asked again after a pause, which grows."""
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(self.failures, 20))
        return self._replace(failures=self.failures + 1, ask_from=now + pause)

    def can_trim(self, page: MessagePage) -> bool:
        """Whether the page has enough messages that a listing covers to delete them."""
        return sum(map(self.covers, page.messages)) >= _TRIM_FROM

    def covers(self, message: Message) -> bool:
        """Whether a listing that was committed began after the message was inserted, or the message needs none."""
        return message.id in self.known or message.inserted < self.covered
