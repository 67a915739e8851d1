"""What one watcher of a shared folder decides, fires and has to store. No I/O, no clock.

A watcher's record is stored before anything that it says is fired: the cursor together with the events that follow from
it (an outbox). Events leave the outbox only when they are known to be stored. So whatever dies in between, the next
watcher fires the same events again, with the same ids, and then goes on from the cursor.
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
    from aml_provider.blobs.shared_listing import Look, SharedFolder

__all__ = ["Watcher", "WatcherRecord"]

_FORMAT = 1
# Seconds for which a watcher may know more than its record does, when nothing of it was its own: names that its pattern
# refuses. It would refuse them again. Else each blob in a folder with a thousand watchers would cost a thousand writes.
_UNSAVED = 600.0


class WatcherRecord(NamedTuple):
    """What is stored of a watcher.

    Attributes:
        cursor_text: What was decided; None before the first look.
        outbox: Events of which it is not known that they are stored, in the order in which they are fired.
    """

    cursor_text: str | None = None
    outbox: tuple[ChangeEvent, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The record as JSON data."""
        return {"format": _FORMAT, "cursor": self.cursor_text, "outbox": list(self.outbox)}

    @classmethod
    def from_json(cls, data: Any) -> WatcherRecord:
        """Read what :meth:`to_json` made.

        Raises:
            CursorUnreadable: It is something else, or of a newer format.
        """
        with reading(damaged):
            form = data["format"]
            if form == _FORMAT:
                events = [(event["id"], changes_of(event["changes"])) for event in data["outbox"]]
                if not all(isinstance(text, str) for text in (data["cursor"], *(name for name, _ in events))):
                    raise TypeError("the cursor, or the id of an event, is no text")
                return cls(data["cursor"], tuple(ChangeEvent(id=name, changes=changes) for name, changes in events))
        raise CursorUnreadable(f"The stored record has format {form!r}; this version reads {_FORMAT}")


class Watcher:
    """Turns looks at a folder into one watcher's events.

    Args:
        folder: The folder that is looked at.
        rules: Which changes are fired; with this watcher's own pattern.
        record: What is stored.
        now: Seconds of any clock that :meth:`take` is told too.

    Attributes:
        record: What has to be stored before the events of the last :meth:`take` may be fired.
        must_save: It is not what is stored.

    Raises:
        CursorUnreadable: The record's cursor is damaged, or of a newer format.
    """

    def __init__(self, folder: SharedFolder, rules: Rules, record: WatcherRecord, now: float) -> None:
        self._knowledge = folder.join(rules._replace(patterns=None), record.cursor_text)
        self._since = folder.looks
        self._wanted = re.compile("|".join(map(fnmatch.translate, rules.patterns))).match if rules.patterns else None
        # The same text, but once for all who read it.
        self.record = record._replace(cursor_text=self._knowledge.cursor_text)
        self.must_save = False
        self._saved_at = now
        self._knows_more = False
        self._is_resumed = not record.outbox
        self._fired: list[tuple[Look, int]] = []  # how many of the outbox, from its beginning, were fired at which look

    def take(self, look: Look, now: float) -> list[ChangeEvent]:
        """Take in a look; each one, in order.

        Returns:
            The events to fire now, once the record is stored if it must be.
        """
        outbox = self.record.outbox
        # What a process before this one may have fired goes first.
        events = [] if self._is_resumed else [*outbox]
        self._is_resumed = True
        while self._fired and self._fired[0][0].is_stored:
            outbox = outbox[self._fired.pop(0)[1] :]
        step = look.steps.get(self._knowledge) if look.number > self._since else None
        if step is not None:
            found = step.detection.changes
            new = split([change for change in found if self._wants(change["name"])]) if found else []
            self._knows_more |= bool(found)
            outbox += tuple(new)
            events += new
            self._knowledge = look.heirs.get(self._knowledge, self._knowledge)
        self.must_save = outbox != self.record.outbox
        if step is not None:
            self.must_save |= step.detection.first or (self._knows_more and now - self._saved_at >= _UNSAVED)
        if self.must_save:
            cursor_text = self.record.cursor_text if step is None else step.cursor_text
            self.record = WatcherRecord(cursor_text, outbox)
            self._knows_more &= step is None
            self._saved_at = now
        if events:
            look.has_fired = True
            self._fired.append((look, len(events)))
        return events

    def _wants(self, name: str) -> bool:
        return self._wanted is None or self._wanted(name) is not None
