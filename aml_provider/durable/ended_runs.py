"""Recognises runs that have ended since a watcher's previous poll, each run once. No I/O, no clock.

The order in which runs end is of no use: the run history is a copy, so a run can appear in it late, or end in it after
a run that ended later, and only the order of creation can be asked for. So each poll reads all runs that were created
in a window before the newest one, and those older runs that were still active. A run that ended is reported unless it
was decided before. See decision 40.
"""

from __future__ import annotations

import json
import struct
from base64 import b64decode, b64encode
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple
from zlib import crc32

from aml_provider.stored import CursorUnreadable, damaged, parse, reading

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

    from aml_provider.client.entities import PipelineRun

#: The window, in seconds before the creation of the newest run: a run is found if the service lists it before a run
#: that was created this much later.
WINDOW = 24 * 3600
#: Where more than :data:`FULL` runs were created in that time, the window is shorter, but never shorter than this.
LEAST_WINDOW = 3600
#: As many runs as one page has.
FULL = 500
#: The most ended runs that one poll reports; the rest follows within seconds.
MOST_ENDED = 200
#: The most runs, besides those, that one poll tries to report again after a failure.
MOST_AGAIN = 20
#: The most active runs that a cursor holds.
MOST_ACTIVE = 2000

_FORMAT = "1"
_ENTRY = struct.Struct("<QI")


class SeenRuns(NamedTuple):
    """The cursor: the runs that were decided, and those that are still active. Times are whole seconds since the epoch.

    Attributes:
        floor: Runs that were created before are ignored, unless they are in ``active``.
        active: The id and creation of each run that had not ended, or could not be reported, whenever it was created.
        decided: The hash and creation of each run that has ended and was created at ``floor`` or later.
    """

    floor: int
    active: Mapping[str, int]
    decided: Mapping[int, int]

    def encode(self) -> str:
        """Encode as text: format, checksum, floor, decided runs in 16 bytes each, and active runs with their ids.

        Equal cursors have the same text.
        """
        pairs = sorted((created, key) for key, created in self.decided.items())
        packed = b"".join([_ENTRY.pack(key, created) for created, key in pairs])
        active = json.dumps(dict(sorted(self.active.items())), separators=(",", ":"))
        body = f"{self.floor}.{b64encode(packed).decode()}.{active}"
        return f"{_FORMAT}.{crc32(body.encode()):08x}.{body}"

    @classmethod
    def decode(cls, text: str) -> SeenRuns:
        """Read the result of :meth:`encode`.

        Raises:
            CursorUnreadable: The text is something else.
        """
        form, _, rest = text.partition(".")
        if form != _FORMAT:
            raise CursorUnreadable(f"The stored cursor has format {form[:20]!r}; this version reads {_FORMAT!r}")
        with reading(damaged):
            checksum, body = rest.split(".", 1)
            if checksum != f"{crc32(body.encode()):08x}":
                raise ValueError("its checksum does not match")
            floor, packed, active = body.split(".", 2)
            waiting = parse(active)
            if not all(isinstance(created, int) for created in waiting.values()):
                raise TypeError("the creation of a run is not a number")
            decided = dict(_ENTRY.iter_unpack(b64decode(packed, validate=True)))
        return cls(int(floor), waiting, decided)


class Endings(NamedTuple):
    """The result of one poll.

    Attributes:
        changes: The runs that have ended, in the order of their ends.
        cursor: The cursor after these are delivered.
        first: Whether there was no cursor before.
        running: How many runs have not ended.
        held: How many have ended too, and are reported by the next polls, within seconds.
        unread: How many have ended too, and are reported when their facts can be read.
        forgotten: Active runs that are no longer waited for, because there are too many.
    """

    changes: tuple[Any, ...]
    cursor: SeenRuns
    first: bool
    running: int = 0
    held: int = 0
    unread: int = 0
    forgotten: tuple[str, ...] = ()

    def __str__(self) -> str:
        later = f" ({self.held} more wait for the next polls)" if self.held else ""
        if self.unread:
            later = f"{later} ({self.unread} wait until they can be read)"
        lost = (
            f". There are more than {MOST_ACTIVE:,} active runs; these are not waited for: {', '.join(self.forgotten)}"
            if self.forgotten
            else ""
        )
        ended = f"{len(self.changes)} newly ended{later}"
        if self.first:
            ended = f"first poll, {len(self.changes)} ended runs reported{later}"
        return f"{ended}, {self.running} active, {len(self.cursor.decided)} decided in the window{lost}"

    @property
    def is_partial(self) -> bool:
        """Whether there are more ended runs than one poll may report."""
        return bool(self.held)

    def without(self, unread: Container[str]) -> Endings:
        """Leave runs whose facts could not be read to later polls: they stay active, so the window may pass them."""
        left = [run for run in self.changes if run.id in unread]
        if not left:
            return self
        floor, active, decided = self.cursor
        hashes = {run_hash(run.id) for run in left}
        return self._replace(
            changes=tuple(run for run in self.changes if run.id not in unread),
            cursor=SeenRuns(
                floor,
                {**active, **{run.id: created_at(run) or floor for run in left}},
                {key: created for key, created in decided.items() if key not in hashes},
            ),
            unread=self.unread + len(left),
        )


def find_endings(
    seen: SeenRuns | None,
    runs: Iterable[PipelineRun],
    *,
    now: float,
    report_first: bool,
    tried: Sequence[str] = (),
    most: int = MOST_ENDED,
) -> Endings:
    """Compare a poll with the cursor.

    Args:
        seen: The cursor; None at the very first poll.
        runs: The runs that the poll has read, in any order: those created since the cursor's floor, its active runs,
            and perhaps others; at the very first poll all active runs, and those created since :func:`first_floor`.
        now: The time of this machine, in seconds since the epoch. At the very first poll it decides how far back runs
            are read. Later it only keeps a run with a creation in the future from moving the window there.
        report_first: Whether the very first poll reports the runs that have ended.
        tried: Runs whose facts earlier polls could not read, in the order in which they are tried again.
        most: The most runs to report, besides :data:`MOST_AGAIN` of those that were tried.
    """
    floor = first_floor(now) if seen is None else seen.floor
    active = {} if seen is None else dict(seen.active)
    decided = {} if seen is None else dict(seen.decided)
    ended: list[PipelineRun] = []
    for run in _latest(runs).values():
        if run.id not in active:
            created = created_at(run)
            if created is None or run_hash(run.id) in decided:
                # A run without a date has only just begun: the service will set the date.
                continue
            if created < floor and (seen is not None or run.state.is_final):
                continue
            active[run.id] = created
        if run.state.is_final:
            ended.append(run)
    ended.sort(key=_end_of)
    reported = ended if seen is not None or report_first else []
    is_tried = frozenset(tried)
    failed = {run.id: run for run in reported if run.id in is_tried}
    again = [failed[run_id] for run_id in tried if run_id in failed]
    new = [run for run in reported if run.id not in failed]
    held, unread = new[most:], again[MOST_AGAIN:]
    running = len(active) - len(ended)
    later = {run.id for run in (*held, *unread)}
    for run in ended:
        if run.id not in later:
            decided[run_hash(run.id)] = active.pop(run.id)
    # The window does not pass what is held, so the next polls find it there. What is older stays in ``active``, as does
    # all that may take longer.
    inside = [active.pop(run.id) for run in held if active[run.id] >= floor]
    given_up = sorted(active.keys() - {run.id for run in held}, key=lambda run_id: (active[run_id], run_id))
    forgotten = given_up[: max(0, len(given_up) - MOST_ACTIVE)]
    for run_id in forgotten:
        del active[run_id]
    floor = min([_moved(floor, [*decided.values(), *active.values(), *inside], int(now)), *inside])
    decided = {key: created for key, created in decided.items() if created >= floor}
    return Endings(
        tuple(sorted([*new[:most], *again[:MOST_AGAIN]], key=_end_of)),
        SeenRuns(floor, active, decided),
        seen is None,
        running,
        len(held),
        len(unread),
        tuple(forgotten),
    )


def first_floor(now: float) -> int:
    """The creation of the oldest runs that have ended and matter at the very first poll."""
    return int(now) - WINDOW


def run_hash(run_id: str) -> int:
    """A 64-bit hash of a run's id: it hides another run of the window with probability n / 2^64."""
    return int.from_bytes(blake2b(run_id.encode(), digest_size=8).digest(), "little")


def created_at(run: PipelineRun) -> int | None:
    """The whole second in which a run was created; None if the service has not set it."""
    return None if run.created is None else min(max(int(run.created.timestamp()), 0), 0xFFFF_FFFF)


def _latest(runs: Iterable[PipelineRun]) -> dict[str, PipelineRun]:
    """One row for each run: pages overlap while runs are added, and a run may end between two requests."""
    found: dict[str, PipelineRun] = {}
    for run in runs:
        known = found.get(run.id)
        if known is None or not known.state.is_final:
            found[run.id] = run
    return found


def _end_of(run: PipelineRun) -> tuple[float, str]:
    end = run.ended or run.created
    return (0.0 if end is None else end.timestamp(), run.id)


def _moved(floor: int, creations: list[int], now: int) -> int:
    """The floor after a poll: it never goes back."""
    newest = sorted(creations, reverse=True)
    if not newest:
        return floor
    latest = min(newest[0], now)
    wanted = latest - WINDOW
    if len(newest) > FULL:
        wanted = max(wanted, min(newest[FULL - 1], latest - LEAST_WINDOW))
    return max(floor, wanted)
