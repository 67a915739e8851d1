"""Hands changes of a folder over to task instances, by one stored record that is always written as a whole.

The record holds the cursor, the last batch of changes, the task instance that took the batch, and the difference back
to the cursor without that batch. So the next task instance can find out whether the batch arrived. The owner of the
batch gets it again; if the owner has failed, another task instance takes the batch over.
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
        generation: The task instance's ``max_tries``, which a clear raises; for the log only.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1
    generation: int = 0

    @classmethod
    def of(cls, ti: Any) -> Owner:
        """The owner for the task instance of a running task's context."""
        map_index = -1 if ti.map_index is None else ti.map_index
        return cls(ti.dag_id, ti.run_id, ti.task_id, map_index, ti.max_tries or 0)

    def is_same(self, other: Owner) -> bool:
        """Whether both are the same task instance, perhaps in another try or after a clear."""
        return self[:4] == other[:4]

    def __str__(self) -> str:
        mapped = f"[{self.map_index}]" if self.map_index >= 0 else ""
        return f"{self.dag_id}.{self.task_id}{mapped} of run {self.run_id}"


class Commit(NamedTuple):
    """The stored record. The cursors stay encoded until they are needed.

    Attributes:
        serial: Counts the writes, for the log.
        owner: The task instance that took ``batch``; after a first, silent poll the one that made that poll.
        batch: The changes that were handed over last; may be empty.
        cursor_text: The cursor including the batch.
        undo_text: The difference to the cursor without the batch.
        arrived: The owner was seen to succeed. It may be gone by now, since old DAG runs are deleted.
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

        A poll that found only new blobs that the pattern refuses moves the cursor, but keeps batch and owner.
        """
        serial = previous.serial + 1 if previous else 1
        cursor = detection.cursor.encode()
        if previous and not detection.changes:
            return previous._replace(serial=serial, cursor_text=cursor)
        return cls(serial, me, detection.changes, cursor, detection.undo.encode())

    def again(self, me: Owner) -> Commit:
        """Make the record for an owner that takes its batch again.

        Writing it makes a task that was about to take the batch over notice.
        """
        return self._replace(serial=self.serial + 1, owner=me, arrived=False)

    def cursor(self) -> Cursor:
        """The cursor to go on from if the batch arrived."""
        return Cursor.decode(self.cursor_text)

    def cursor_without_batch(self) -> Cursor:
        """The cursor to go on from if the batch did not arrive: the next poll finds its changes again."""
        return self.cursor().apply(Difference.decode(self.undo_text))

    def encode(self) -> str:
        """Encode as JSON text."""
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
        """Read the result of :meth:`encode`.

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
                    raise TypeError("the serial is not a number, or a cursor is not text")
                if not all(map(str.isascii, texts)):
                    raise ValueError("a cursor is not base64 text")
                json.dumps([owner, batch], ensure_ascii=False, allow_nan=False).encode()
                return cls(record["serial"], owner, batch, *texts, bool(arrived))
        raise CursorUnreadable(f"The stored record has format {form!r}; this version reads {_FORMAT}")


class Replay(NamedTuple):
    """The batch belongs to the caller: it was committed, but may not have arrived."""

    batch: list[Change]


class TakeOver(NamedTuple):
    """The batch's owner did not succeed: go on from :meth:`Commit.cursor_without_batch`."""

    batch: list[Change]
    owner: Owner
    state: str | None


class Proceed(NamedTuple):
    """The last batch arrived, or there is none: go on from the cursor, if there is one."""


class WaitFor(NamedTuple):
    """The batch's owner has not ended yet."""

    owner: Owner
    state: str


Decision = Replay | TakeOver | Proceed | WaitFor

BEHIND = "cleared, and queued behind this run"
"""The state of a task that was cleared in an ended DAG run and cannot begin before the caller's DAG run has ended."""

# A sensor that took a batch and then ends as skipped has not returned the batch: with never_fail or soft_fail, Airflow
# turns any error in between into a skip. (A sensor that found nothing has no batch.) A task that was cleared, and waits
# for the caller, has not returned it either.
_LOST = frozenset({"failed", "upstream_failed", "removed", "skipped", BEHIND})


def decide(commit: Commit | None, me: Owner, state_of: Callable[[Owner], str | None]) -> Decision:
    """Decide what to do with the stored batch.

    Args:
        commit: The record, or None if there is none yet.
        me: The caller.
        state_of: Looks up a task instance's state; None if it does not exist. Never called with the caller itself.
    """
    if commit is None or not commit.batch:
        return Proceed()
    if commit.owner.is_same(me):
        return Replay(commit.batch)
    state = state_of(commit.owner)
    # A task that was seen to succeed may be deleted later with its DAG run, or be cleared, or be skipped after a clear.
    if state == "success" or (commit.arrived and state in {None, "skipped", BEHIND}):
        return Proceed()
    if state is None or state in _LOST:
        return TakeOver(commit.batch, commit.owner, state)
    return WaitFor(commit.owner, state)


class CursorMoved(Exception):
    """Somebody else has written the record since it was loaded: start again from the stored record."""


class CursorStore(Protocol):
    """Stores the record of one folder. One object serves one wait: it remembers what it loaded.

    Unlike a :class:`~aml_provider.stored.Slot`, it replaces only the text that it loaded. Converted to text it names
    the place of the record, for people.

    Attributes:
        key: The record's name.
    """

    key: str

    def load(self) -> str | None:
        """Read the record; None only if there is certainly none."""

    def save(self, text: str) -> None:
        """Replace the record that :meth:`load` returned.

        Raises:
            CursorMoved: It has changed since; the caller must not act on the save.
        """

    def is_in(self, folder: Folder) -> bool:
        """Whether the record that :meth:`load` returned is a blob of this folder."""


def default_cursor_key(owner: Owner) -> str:
    """The cursor key of a sensor without ``cursor_key``: its DAG, task and map index."""
    # None of the parts can contain a slash; the id of a task in a group contains dots.
    mapped = f"/{owner.map_index}" if owner.map_index >= 0 else ""
    return f"{owner.dag_id}/{owner.task_id}{mapped}"
