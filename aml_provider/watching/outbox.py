"""One watcher of a shared source: the events that it fires, and the record that it stores first. No I/O, no clock.

The watcher record holds the cursor and an outbox: the events that follow from the cursor. It is stored before these
events are fired, and events leave the outbox only when they are known to be stored. So if a process dies in between,
the next watcher fires the same events again, with the same ids, and then continues from the cursor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from aml_provider.stored import CursorUnreadable, damaged, reading

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aml_provider.watching.shared import Knowledge, SharedPoll

    #: The payload of an asset event: JSON data with a key ``id``, which is the same whenever the event is repeated.
    Event = dict[str, Any]
    #: Checks the stored payload of an event; raises an error for anything else.
    ReadEvent = Callable[[Any], Event]

_FORMAT = 1
# For this many seconds a watcher need not store what it found and did not want: after a restart it would leave it out
# again. Otherwise each blob in a folder with a thousand watchers would cost a thousand writes.
_UNSAVED = 600.0


class WatcherRecord(NamedTuple):
    """The stored record of a watcher.

    Attributes:
        cursor_text: The cursor: what was decided; None before the first poll.
        outbox: The events that are not known to be stored, in the order in which they are fired.
    """

    cursor_text: str | None = None
    outbox: tuple[Event, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The record as JSON data."""
        return {"format": _FORMAT, "cursor": self.cursor_text, "outbox": list(self.outbox)}

    @classmethod
    def from_json(cls, data: Any, read_event: ReadEvent) -> WatcherRecord:
        """Read the result of :meth:`to_json`.

        Raises:
            CursorUnreadable: It is something else, or of a newer format.
        """
        with reading(damaged):
            form = data["format"]
            if form == _FORMAT:
                events = [read_event(event) for event in data["outbox"]]
                if not all(isinstance(text, str) for text in (data["cursor"], *(event["id"] for event in events))):
                    raise TypeError("the cursor, or the id of an event, is not text")
                return cls(data["cursor"], tuple(events))
        raise CursorUnreadable(f"The stored record has format {form!r}; this version reads {_FORMAT}")


class Watcher:
    """Turns polls of a shared source into one watcher's events.

    Args:
        knowledge: What this watcher and others have decided so far.
        polls: How many polls there were before it joined.
        record: The stored record.
        events_of: Makes events of what a poll has found; without anything that this watcher wants, there are none.
        now: The time in seconds, by the same clock as in :meth:`take`.

    Attributes:
        record: The record to store before the events of the last :meth:`take` may be fired.
        must_save: Whether it differs from the stored record.
        repeated: How many events of the last :meth:`take`, the first ones, may have been fired by an earlier process.
    """

    def __init__(
        self,
        knowledge: Knowledge,
        polls: int,
        record: WatcherRecord,
        events_of: Callable[[Sequence[Any]], Sequence[Event]],
        now: float,
    ) -> None:
        self._knowledge = knowledge
        self._since = polls
        self._events_of = events_of
        # The same text as the record's, but one object for all watchers.
        self.record = record._replace(cursor_text=knowledge.cursor_text)
        self.must_save = False
        self.repeated = 0
        self._saved_at = now
        self._knows_more = False
        self._is_resumed = not record.outbox
        self._fired: list[tuple[SharedPoll, int]] = []  # with each poll, how many events at the beginning of the outbox

    def take(self, poll: SharedPoll, now: float) -> list[Event]:
        """Process a poll. Every poll must be passed, in order.

        Returns:
            The events to fire now. If ``must_save`` is true, store the record before.
        """
        outbox = self.record.outbox
        # First the events that a previous process may have fired already.
        events = [] if self._is_resumed else [*outbox]
        self.repeated = len(events)
        self._is_resumed = True
        while self._fired and self._fired[0][0].is_stored:
            outbox = outbox[self._fired.pop(0)[1] :]
        step = poll.steps.get(self._knowledge) if poll.number > self._since else None
        if step is not None:
            found = step.detection.changes
            new = self._events_of(found) if found else []
            self._knows_more |= bool(found)
            outbox += tuple(new)
            events += new
            self._knowledge = poll.merged_into.get(self._knowledge, self._knowledge)
        self.must_save = outbox != self.record.outbox
        if step is not None:
            self.must_save |= step.detection.first or (self._knows_more and now - self._saved_at >= _UNSAVED)
        if self.must_save:
            cursor_text = self.record.cursor_text if step is None else step.cursor_text
            self.record = WatcherRecord(cursor_text, outbox)
            self._knows_more &= step is None
            self._saved_at = now
        if events:
            poll.has_fired = True
            self._fired.append((poll, len(events)))
        return events
