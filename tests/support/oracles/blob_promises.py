"""Whether each version of a blob reached exactly one consumer, told from what was written and what was handed over.

Pure functions over two records: the writer's, which knows each version and when it was gone, and the one of the
workspace, whose runs name the versions that they were given. Our own logs are no witnesses here.
"""

from __future__ import annotations

import math
from collections import defaultdict
from fnmatch import fnmatchcase
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from support.oracles.promises import Act, Task, Violation

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

#: Seconds for which a task may go on after a person marked it: until its next heartbeat, and then until it is killed.
_KILLING = 20.0
#: What makes a sensor's batch another one's. A clear does so if the task then fails, or cannot begin before the one
#: that waits for it has ended.
_HAND_ON = frozenset({"mark_failed", "clear"})

Key = tuple[str, str]
"""A version's name: the blob's path in the container, and its ETag."""


class Version(NamedTuple):
    """What the writer knows of a version.

    Args:
        path: The blob's path in the container.
        etag: Its ETag.
        written: When, in seconds of the workspace's clock, or a little before.
        gone: When it was overwritten or deleted, or a little after; infinite while it is there.
    """

    path: str
    etag: str
    written: float
    gone: float = math.inf

    @property
    def key(self) -> Key:
        """The version's name."""
        return self.path, self.etag

    def __str__(self) -> str:
        there = "is there" if self.gone == math.inf else f"gone at {self.gone:.1f}"
        return f"{self.path} {self.etag}, written at {self.written:.1f}, {there}"


class Reader(NamedTuple):
    """Who is told of a folder's blobs. Several may read one folder; each gets every version.

    Args:
        name: The DAG.
        folder: The folder, without a slash at its end.
        taker: The task that takes a batch or an event.
        pattern: The blobs that it wants, as a glob over their names.
        by_events: It is told by asset events. These stay with the DAG run that they started, whereas the batch of a
            sensor that failed is handed on.
    """

    name: str
    folder: str
    taker: str
    pattern: str = "*"
    by_events: bool = False

    def wants(self, path: str) -> bool:
        """Whether a blob is directly in the folder, and has such a name."""
        folder, _, name = path.rpartition("/")
        return folder == self.folder and fnmatchcase(name, self.pattern)


class Handover(NamedTuple):
    """A consumer was given versions.

    Args:
        time: When that was seen, in seconds of the workspace's clock.
        consumer: The task instance that took them: a sensor, or what reads the events.
        versions: What it was given.
        run: The pipeline run that was given them; None where a person kept it from being submitted, and only the
            taker's result tells.
        event: The id of the asset event that they came in; None for a sensor's batch.
    """

    time: float
    consumer: Task
    versions: tuple[Key, ...]
    run: str | None = None
    event: str | None = None

    def __str__(self) -> str:
        return f"{self.consumer.run_id} at {self.time:.1f} ({self.run or 'no run'})"


def violations(
    reader: Reader, versions: Iterable[Version], handed: Iterable[Handover], acts: Iterable[Act] = ()
) -> list[Violation]:
    """Find every broken promise to one reader, when everything that is there could be handed over.

    Args:
        reader: Who is told.
        versions: All that were ever written, anywhere in the container.
        handed: What this reader's consumers were given.
        acts: What people did.
    """
    known = {version.key: version for version in versions}
    handed = sorted(handed, key=lambda one: one.time)
    on_takers = [act for act in acts if act.task[0] == reader.name and act.task[2] == reader.taker]
    given: dict[Key, list[Handover]] = defaultdict(list)
    for one in handed:
        for key in one.versions:
            given[key].append(one)
    return [
        *_nothing_else(reader, known, given),
        *_one_consumer(reader, given, on_takers),
        *_one_event(given),
        *_none_lost(known, lost(reader, known.values(), handed, on_takers)),
    ]


def lost(
    reader: Reader, versions: Iterable[Version], handed: Sequence[Handover], acts: Iterable[Act] = ()
) -> list[Version]:
    """The versions that a reader wants, that are there, and that nobody has got or may have.

    A sensor that a person marks as a success may have taken its batch with it, and one who reads events may have taken
    these, whatever it is marked as (``docs/blob-sensor.md``, ``docs/blob-watcher.md``). A batch is everything that was
    there; so a version that was passed over, while a later one was handed over before that act, was not in it.
    """
    got = {key for one in handed for key in one.versions}
    missing = [version for version in versions if version.gone == math.inf and version.key not in got]
    missing = [version for version in missing if reader.wants(version.path)]
    if not missing:
        return []
    written = {version.key: version.written for version in versions}
    kinds = {"mark_success", "mark_failed"} if reader.by_events else {"mark_success"}
    ways = [
        (act.time + _KILLING, _latest(written, [one for one in handed if one.time < act.time]))
        for act in acts
        if act.kind in kinds and act.task[0] == reader.name and act.task[2] == reader.taker
    ]
    return [one for one in missing if not any(since < one.written <= until for until, since in ways)]


def _latest(written: Mapping[Key, float], handed: Iterable[Handover]) -> float:
    times = [written[key] for one in handed for key in one.versions if key in written]
    return max(times, default=-math.inf)


def _nothing_else(
    reader: Reader, known: Mapping[Key, Version], given: Mapping[Key, list[Handover]]
) -> Iterable[Violation]:
    for key, handovers in given.items():
        if not reader.wants(key[0]):
            yield _violation("only what is directly in the folder", handovers, f"{key[0]} is not in {reader.folder}")
        elif key not in known:
            yield _violation("only what was written", handovers, f"nobody has written {' '.join(key)}")


def _one_consumer(reader: Reader, given: Mapping[Key, list[Handover]], acts: Sequence[Act]) -> Iterable[Violation]:
    for key, handovers in given.items():
        firsts = {one.consumer: one for one in reversed(handovers)}
        for before, after in pairwise(sorted(firsts.values(), key=lambda one: one.time)):
            pair = {before.consumer, after.consumer}
            earlier = [act for act in acts if act.time < after.time and act.task in pair]
            if reader.by_events or not any(act.kind in _HAND_ON for act in earlier):
                detail = f"{' '.join(key)} to {before} and {after}"
                yield _violation("each version to one consumer", [before, after], detail)


def _one_event(given: Mapping[Key, list[Handover]]) -> Iterable[Violation]:
    for key, handovers in given.items():
        if len(events := {one.event for one in handovers}) > 1:
            yield _violation(
                "each version in one event", handovers, f"{' '.join(key)} in {', '.join(map(str, events))}"
            )


def _none_lost(known: Mapping[Key, Version], versions: Iterable[Version]) -> Iterable[Violation]:
    for version in versions:
        around = [str(one) for one in known.values() if one.path == version.path and one is not version]
        others = f"; of the same name: {'; '.join(around)}" if around else ""
        yield Violation("no version lost", None, (), f"{version}, was handed to nobody{others}")


def _violation(promise: str, handovers: Sequence[Handover], detail: str) -> Violation:
    runs = tuple(one.run for one in handovers if one.run is not None)
    return Violation(promise, handovers[-1].consumer, runs, detail)
