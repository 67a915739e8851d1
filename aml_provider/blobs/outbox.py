"""One watcher of a shared folder: the events that it fires, and the record that it stores first. No I/O, no clock.

The watcher record holds the cursor and an outbox: the events that follow from the cursor. It is stored before these
events are fired, and events leave the outbox only when they are known to be stored. So if a process dies in between,
the next watcher fires the same events again, with the same ids, and then continues from the cursor.
"""

from __future__ import annotations

import fnmatch
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from aml_provider.blobs.cursor import CursorUnreadable, damaged
from aml_provider.blobs.events import ChangeEvent, changes_of, split
from aml_provider.stored import reading

if TYPE_CHECKING:
    from aml_provider.blobs.rules import Rules
    from aml_provider.blobs.shared_listing import FolderPoll, SharedFolder

_FORMAT = 1
# For this many seconds a watcher need not store names that its pattern refused: after a restart it would refuse them
# again. Otherwise each blob in a folder with a thousand watchers would cost a thousand writes.
_UNSAVED = 600.0


class WatcherRecord(NamedTuple):
    """The stored record of a watcher.

    Attributes:
        cursor_text: The cursor: what was decided; None before the first poll.
        outbox: The events of which it is not known whether they are stored, in the order in which they are fired.
    """

    cursor_text: str | None = None
    outbox: tuple[ChangeEvent, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The record as JSON data."""
        return {"format": _FORMAT, "cursor": self.cursor_text, "outbox": list(self.outbox)}

    @classmethod
    def from_json(cls, data: Any) -> WatcherRecord:
        """Read the result of :meth:`to_json`.

        Raises:
            CursorUnreadable: It is something else, or of a newer format.
        """
        with reading(damaged):
            form = data["format"]
            if form == _FORMAT:
                events = [(event["id"], changes_of(event["changes"])) for event in data["outbox"]]
                if not all(isinstance(text, str) for text in (data["cursor"], *(name for name, _ in events))):
                    raise TypeError("the cursor, or the id of an event, is not text")
                return cls(data["cursor"], tuple(ChangeEvent(id=name, changes=changes) for name, changes in events))
        raise CursorUnreadable(f"The stored record has format {form!r}; this version reads {_FORMAT}")


class Watcher:
    """Turns polls of a folder into one watcher's events.

    Args:
        folder: The folder that is polled.
        rules: Which changes are fired, with this watcher's own pattern.
        record: The stored record.
        now: The time in seconds, by the same clock as in :meth:`take`.

    Attributes:
        record: The record to store before the events of the last :meth:`take` may be fired.
        must_save: Whether it differs from the stored record.
        repeated: How many events of the last :meth:`take`, the first ones, may have been fired by an earlier process.

    Raises:
        CursorUnreadable: The record's cursor is damaged, or of a newer format.
    """

    def __init__(self, folder: SharedFolder, rules: Rules, record: WatcherRecord, now: float) -> None:
        self._knowledge = folder.join(rules._replace(patterns=None), record.cursor_text)
        self._since = folder.polls
        self._wanted = re.compile("|".join(map(fnmatch.translate, rules.patterns))).match if rules.patterns else None
        # The same text as the record's, but one object for all watchers.
        self.record = record._replace(cursor_text=self._knowledge.cursor_text)
        self.must_save = False
        self.repeated = 0
        self._saved_at = now
        self._knows_more = False
        self._is_resumed = not record.outbox
        self._fired: list[tuple[FolderPoll, int]] = []  # with each poll, how many events at the beginning of the outbox

    def take(self, poll: FolderPoll, now: float) -> list[ChangeEvent]:
        """Process a poll. Every poll must be passed, in order.

        Returns:
            The events to fire now, after the record is stored, if it must be stored.
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
            new = split([change for change in found if self._wants(change["name"])]) if found else []
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

    def _wants(self, name: str) -> bool:
        return self._wanted is None or self._wanted(name) is not None
