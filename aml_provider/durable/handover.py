"""What a sensor has seen of a folder and to whom it handed it: one record, written at once.

The record holds the cursor, the last batch of changes, the task instance that took it, and the way back to the cursor
without that batch. So whoever comes next can tell whether the batch arrived: its owner gets it again, and when the
owner came to nothing, the batch is to be had again.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from aml_provider.blobs.cursor import Cursor, CursorUnreadable, Difference, damaged
from aml_provider.stored import made, parse, reading

if TYPE_CHECKING:
    from collections.abc import Callable

    from aml_provider.blobs.changes import Change, Detection
    from aml_provider.blobs.folder import Folder


__all__ = [
    "Commit",
    "CursorMoved",
    "CursorStore",
    "Decision",
    "Owner",
    "Proceed",
    "Replay",
    "TakeOver",
    "WaitFor",
    "decide",
    "default_cursor_key",
]

_FORMAT = 1


class Owner(NamedTuple):
    """The task instance that took a batch.

    Attributes:
        map_index: -1 for a task that is not mapped.
        generation: Which clear of the task instance it was; for the log only.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1
    generation: int = 0

    @classmethod
    def of(cls, ti: Any) -> Owner:
        """The task instance of a running task's context."""
        map_index = -1 if ti.map_index is None else ti.map_index
        return cls(ti.dag_id, ti.run_id, ti.task_id, map_index, ti.max_tries or 0)

    def is_same(self, other: Owner) -> bool:
        """Compare the task instances, whatever their try or clear."""
        return self[:4] == other[:4]

    def __str__(self) -> str:
        mapped = f"[{self.map_index}]" if self.map_index >= 0 else ""
        return f"{self.dag_id}.{self.task_id}{mapped} of run {self.run_id}"


class Commit(NamedTuple):
    """The stored record. The cursors are kept as text until somebody needs them.

    Attributes:
        serial: Counts the writes, for the log.
        owner: Who took ``batch``; after a first, silent poll who did that.
        batch: The changes that were handed over last; may be empty.
        cursor_text: The cursor with the batch in it.
        undo_text: The difference to the cursor without the batch.
        arrived: Somebody saw the owner end well; it may be gone by now, since old runs are deleted.
    """

    serial: int
    owner: Owner
    batch: list[Change]
    cursor_text: str
    undo_text: str
    arrived: bool = False

    @classmethod
    def of(cls, detection: Detection, me: Owner, previous: Commit | None) -> Commit:
        """Make the record that follows ``previous`` after a poll.

        A poll that only refused new blobs by their names moves the cursor and leaves batch and owner as they were.
        """
        serial = previous.serial + 1 if previous else 1
        cursor = detection.cursor.encode()
        if previous and not detection.changes:
            return previous._replace(serial=serial, cursor_text=cursor)
        return cls(serial, me, detection.changes, cursor, detection.undo.encode())

    def again(self, me: Owner) -> Commit:
        """Make the record that says that its owner takes the batch once more.

        Writing it lets whoever was about to take the batch over notice.
        """
        return self._replace(serial=self.serial + 1, owner=me, arrived=False)

    def cursor(self) -> Cursor:
        """The cursor to go on from when the batch arrived."""
        return Cursor.decode(self.cursor_text)

    def cursor_without_batch(self) -> Cursor:
        """The cursor to go on from when the batch did not arrive: the next poll finds it again, and what is new."""
        return self.cursor().apply(Difference.decode(self.undo_text))

    def encode(self) -> str:
        """Write as JSON text."""
        record = {
            "format": _FORMAT,
            "serial": self.serial,
            "owner": self.owner._asdict(),
            "batch": self.batch,
            "arrived": self.arrived,
            "undo": self.undo_text,
            "cursor": self.cursor_text,
        }
        return json.dumps(record, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def decode(cls, text: str) -> Commit:
        """Read what :meth:`encode` wrote.

        Raises:
            CursorUnreadable: The text is something else, or of a newer format.
        """
        with reading(damaged):
            record: dict[str, Any] = parse(text)
            form = record["format"]
            if form == _FORMAT:
                owner, batch, arrived = made(Owner, record["owner"]), record["batch"], record.get("arrived", False)
                texts = (record["cursor"], record["undo"])
                if not (isinstance(batch, list) and all(isinstance(one, dict) for one in (*batch, record))):
                    raise TypeError(f"the batch is {batch!r:.80}")
                if type(record["serial"]) is not int or not all(isinstance(text, str) for text in texts):
                    raise TypeError("the serial is no number, or a cursor no text")
                if not all(map(str.isascii, texts)):
                    raise ValueError("a cursor is no base64 text")
                json.dumps([owner, batch], ensure_ascii=False, allow_nan=False).encode()
                return cls(record["serial"], owner, batch, *texts, bool(arrived))
        raise CursorUnreadable(f"The stored record has format {form!r}; this version reads {_FORMAT}")


class Replay(NamedTuple):
    """The batch is the asker's own: it was committed, but may not have arrived."""

    batch: list[Change]


class TakeOver(NamedTuple):
    """The batch's owner came to nothing: go on from :meth:`Commit.cursor_without_batch`."""

    batch: list[Change]
    owner: Owner
    state: str | None


class Proceed(NamedTuple):
    """The last batch arrived, or there is none: go on from the cursor, if there is one."""


class WaitFor(NamedTuple):
    """The batch's owner is still at it."""

    owner: Owner
    state: str


Decision = Replay | TakeOver | Proceed | WaitFor

BEHIND = "cleared, and queued behind this run"
"""The state of a task that was cleared in an ended DAG run and cannot begin before the asker's DAG run has ended."""

# A sensor that took a batch and then ends skipped did not return it: with never_fail or soft_fail, Airflow makes a skip
# of whatever happened in between. One that found nothing has no batch.
# Nor has one that was cleared, and waits for the asker, any part in it for now.
_LOST = frozenset({"failed", "upstream_failed", "removed", "skipped", BEHIND})


def decide(commit: Commit | None, me: Owner, state_of: Callable[[Owner], str | None]) -> Decision:
    """Say what becomes of the stored batch.

    Args:
        commit: The record, or None when there is none yet.
        me: Who asks.
        state_of: Looks up a task instance's state; None when it does not exist. Asked only about somebody else.
    """
    if commit is None or not commit.batch:
        return Proceed()
    if commit.owner.is_same(me):
        return Replay(commit.batch)
    state = state_of(commit.owner)
    # A run that was seen to succeed may be deleted later, or be cleared, and then skipped by a task before it.
    if state == "success" or (commit.arrived and state in {None, "skipped", BEHIND}):
        return Proceed()
    if state is None or state in _LOST:
        return TakeOver(commit.batch, commit.owner, state)
    return WaitFor(commit.owner, state)


class CursorMoved(Exception):
    """Somebody else wrote the record since it was loaded: start over from what is stored now."""


class CursorStore(Protocol):
    """Where the record of one folder is kept. One object serves one wait: it remembers what it loaded.

    Written as text it says what and where the record is, for people.

    Attributes:
        key: The record's name.
    """

    key: str

    def load(self) -> str | None:
        """Read the record; None when there is none, for certain."""

    def save(self, text: str) -> None:
        """Replace the record that :meth:`load` gave.

        Raises:
            CursorMoved: It is not there any more; nothing was written.
        """

    def is_in(self, folder: Folder) -> bool:
        """Whether the record that :meth:`load` gave is a blob of this folder."""


def default_cursor_key(owner: Owner) -> str:
    """Name the cursor of a sensor that was given no ``cursor_key``: its DAG, task and map index."""
    # A slash is in none of the parts, whereas a task in a group has dots.
    mapped = f"/{owner.map_index}" if owner.map_index >= 0 else ""
    return f"{owner.dag_id}/{owner.task_id}{mapped}"
