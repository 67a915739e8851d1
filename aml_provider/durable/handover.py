"""Passes batches from a sensor's cursor record to task instances: each batch to only one of them, in all its tries.

The record holds the cursor, the last batch, the task instance that took it, and the data that restores the cursor
without that batch. It is written as a whole. So each task instance can find out what happened to the batch: its owner
gets the same batch again, and if the owner has ended without success, another task instance takes the batch over.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from aml_provider.stored import CursorUnreadable, damaged, made, parse, reading

if TYPE_CHECKING:
    from collections.abc import Callable

    from aml_provider.blobs.folder import Folder


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
        """Make the owner from the task instance (``ti``) in a running task's context."""
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
        serial: Counts the writes. The blob trigger wakes its sensor if this number has changed.
        owner: The task instance that took ``batch``. If ``batch`` is empty: the task instance that made the first poll,
            or that took an earlier batch over.
        batch: The changes, or runs, that were passed to a task instance last; may be empty.
        cursor_text: The cursor including the batch.
        undo_text: The data that takes the batch out of the cursor again; its form depends on the kind of the cursor.
        arrived: Whether another task instance has noticed the owner's success. The owner may have been deleted since.
        wanted: Which changes the writer reports, as a text; None in a record of a version that did not store it.
    """

    serial: int
    owner: Owner
    batch: list[Any]
    cursor_text: str
    undo_text: str
    arrived: bool = False
    wanted: str | None = None

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
            "wanted": self.wanted,
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
                wanted = record.get("wanted")
                if wanted is not None and not isinstance(wanted, str):
                    raise TypeError("the wanted changes are not text")
                json.dumps([owner, batch, wanted], ensure_ascii=False, allow_nan=False).encode()
                return cls(record["serial"], owner, batch, *texts, bool(arrived), wanted)
        raise CursorUnreadable(f"The stored record has format {form!r}; this version reads {_FORMAT}")


class Replay(NamedTuple):
    """The batch belongs to the caller: it was committed, but may not have arrived."""

    batch: list[Any]


class TakeOver(NamedTuple):
    """The batch's owner did not succeed: continue from the cursor without the batch."""

    batch: list[Any]
    owner: Owner
    state: str | None


class Proceed(NamedTuple):
    """The last batch arrived, or there is none: continue from the cursor, if there is one."""


class WaitFor(NamedTuple):
    """The batch's owner has not ended yet."""

    owner: Owner
    state: str


Decision = Replay | TakeOver | Proceed | WaitFor

BEHIND = "cleared, and cannot begin before this one has ended"
"""The state of a cleared task that cannot begin before the caller has ended: the caller must not wait for it."""

# A sensor that took a batch and then ends as skipped has not returned the batch: with never_fail or soft_fail, Airflow
# turns any error in between into a skip. (A sensor that found nothing has no batch.) A task that was cleared, and waits
# for the caller, has not returned it either.
_LOST = frozenset({"failed", "upstream_failed", "removed", "skipped", BEHIND})


def decide(commit: Commit | None, me: Owner, state_of: Callable[[Owner], str | None]) -> Decision:
    """Decide what happens to the stored batch.

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


class Handover:
    """Takes batches for one task instance: loads the record, decides about its batch, and commits the next one.

    Args:
        state_of: As for :func:`decide`.
        take_back: Takes a cursor text and its undo text; returns both without the batch.
        wanted: Which changes this task instance reports, as a text that is stored with the cursor. None: nothing is
            stored.
    """

    def __init__(
        self,
        me: Owner,
        store: CursorStore,
        state_of: Callable[[Owner], str | None],
        take_back: Callable[[str, str], tuple[str, str]],
        wanted: str | None = None,
    ) -> None:
        self.me = me
        self.store = store
        self._state_of = state_of
        self._take_back = take_back
        self._wanted = wanted
        self._commit: Commit | None = None
        #: False until it is decided that the stored batch does not stop this task instance.
        self.is_decided = False
        #: Whether the fate of the stored batch is not decided, or a take-over of it is not stored yet. A trigger, which
        #: only compares, then has nothing to compare with.
        self.is_open = True
        #: Whether the record must be written even if nothing new is found.
        self.is_ahead = False

    @property
    def cursor_text(self) -> str | None:
        """The cursor to continue from; None if there is no record yet."""
        return None if self._commit is None else self._commit.cursor_text

    @property
    def wanted_before(self) -> str | None:
        """Which changes the record's writer reports, as a text; None if there is no record, or no such text in it."""
        return None if self._commit is None else self._commit.wanted

    @property
    def serial(self) -> int:
        """The serial of the record; 0 if there is no record yet."""
        return 0 if self._commit is None else self._commit.serial

    def begin(self) -> Decision:
        """Load the record and decide about its batch.

        After :class:`TakeOver` and :class:`Proceed` the record is not read again before :meth:`restart`: with a secrets
        backend each read of a Variable asks that backend first. :meth:`CursorStore.save` notices other writers.
        """
        self.restart()
        text = self.store.load()
        commit = self._commit = None if text is None else Commit.decode(text)
        decision = decide(commit, self.me, self._state_of)
        if isinstance(decision, TakeOver):
            assert commit is not None
            cursor, undo = self._take_back(commit.cursor_text, commit.undo_text)
            # Stored together with what the next poll finds.
            self._commit = commit._replace(owner=self.me, batch=[], cursor_text=cursor, undo_text=undo)
            self.is_decided = self.is_ahead = True
        elif isinstance(decision, Proceed):
            self.is_decided, self.is_open = True, False
            if commit is not None and commit.batch and not commit.arrived:
                # Stored, because the owner's DAG run may be deleted later.
                self._commit = commit._replace(arrived=True)
                self.is_ahead = True
            if commit is not None and commit.wanted != self._wanted:
                # Stored, so that a difference is noticed once.
                self.is_ahead = True
        return decision

    def restart(self) -> None:
        """Forget what was decided: somebody else has written the record."""
        self.is_decided, self.is_open, self.is_ahead = False, True, False

    def replay(self) -> None:
        """Commit this task instance's own batch again, so that a task instance that is taking it over notices.

        Raises:
            CursorMoved: Somebody else has written the record.
        """
        assert self._commit is not None
        self._save(self._commit._replace(serial=self.serial + 1, owner=self.me, arrived=False))

    def commit(self, batch: list[Any], cursor_text: str, undo_text: str) -> None:
        """Write in one step that this task instance takes a batch; only then may it return the batch.

        Args:
            batch: The items. If it is empty, only the cursor has changed, and the last batch and its owner stay.
            cursor_text: The cursor with the batch in it.
            undo_text: The data that takes the batch out of the cursor.

        Raises:
            CursorMoved: Somebody else has written the record.
            BatchReturned: The batch that would be replaced does not count as delivered any more.
        """
        if batch and self._commit is not None:
            self._check_arrival(self._commit)
        if self._commit is not None and not batch:
            self._save(self._commit._replace(serial=self.serial + 1, cursor_text=cursor_text))
        else:
            self._save(Commit(self.serial + 1, self.me, batch, cursor_text, undo_text))
        self.is_open = self.is_ahead = False

    def _check_arrival(self, last: Commit) -> None:
        """Check again that the last batch counts as delivered: a sensor may have waited for days since it was decided.

        Raises:
            BatchReturned: Its owner was cleared meanwhile, and has not succeeded again.
        """
        decision = decide(last, self.me, self._state_of)
        if isinstance(decision, TakeOver | WaitFor):
            raise BatchReturned(f"{last.owner}, which took the last batch, is now {decision.state or 'gone'}")

    def _save(self, commit: Commit) -> None:
        commit = commit._replace(wanted=self._wanted)
        self.store.save(commit.encode())
        self._commit = commit


class BatchReturned(Exception):
    """The last batch does not count as delivered any more: start again from the stored record."""


class CursorMoved(Exception):
    """Somebody else has written the record since it was loaded: start again from the stored record."""


class CursorStore(Protocol):
    """Stores the record of one folder. Each object serves one wait, because it remembers the text that it loaded.

    Unlike a :class:`~aml_provider.stored.Slot`, it writes only if the stored text is still the one that it loaded.
    ``str(store)`` describes the place of the record, for messages.

    Attributes:
        key: The record's name.
    """

    key: str

    def load(self) -> str | None:
        """Read the record. Returns None only if it is certain that none is stored."""

    def save(self, text: str) -> None:
        """Replace the record that :meth:`load` returned.

        Raises:
            CursorMoved: The record has changed since; the caller must behave as if nothing had been saved.
        """

    def is_in(self, folder: Folder) -> bool:
        """Whether the record that :meth:`load` returned is a blob of this folder."""


def default_cursor_key(owner: Owner) -> str:
    """The cursor key of a sensor without ``cursor_key``: its DAG, task and map index."""
    # None of the parts can contain a slash; the id of a task in a group contains dots.
    mapped = f"/{owner.map_index}" if owner.map_index >= 0 else ""
    return f"{owner.dag_id}/{owner.task_id}{mapped}"
