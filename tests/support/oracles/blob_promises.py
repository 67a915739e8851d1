"""Whether each version of a blob reached exactly one consumer, judged by what was written and what was delivered.

Pure functions over two sources: the writer, which knows each version and when it was gone, and the workspace, whose
runs name the versions that they were given. Our own logs are not used as evidence.
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
#: The acts after which another task may take a sensor's batch over. After a clear it may if the task then fails, or
#: cannot begin before the task that waits for it has ended.
_TAKE_OVER_AFTER = frozenset({"mark_failed", "clear"})

Key = tuple[str, str]
"""The key of a version: the blob's path in the container, and its ETag."""


class Version(NamedTuple):
    """A version, as the writer knows it.

    Args:
        path: The blob's path in the container.
        etag: Its ETag.
        written: When, in seconds of the workspace's clock, or a little before.
        gone: When it was overwritten or deleted, or a little after; infinite while it exists.
    """

    path: str
    etag: str
    written: float
    gone: float = math.inf

    @property
    def key(self) -> Key:
        """The version's key."""
        return self.path, self.etag

    def __str__(self) -> str:
        state = "exists" if self.gone == math.inf else f"gone at {self.gone:.1f}"
        return f"{self.path} {self.etag}, written at {self.written:.1f}, {state}"


class Reader(NamedTuple):
    """A consumer of a folder's blobs. Several may read one folder; each gets every version.

    Args:
        name: The DAG.
        folder: The folder, without a slash at its end.
        taker: The task that takes a batch or an event.
        pattern: The blobs that it wants, as a glob over their names.
        by_events: It gets asset events. These stay with the DAG run that they started, whereas the batch of a failed
            sensor is taken over.
    """

    name: str
    folder: str
    taker: str
    pattern: str = "*"
    by_events: bool = False

    def wants(self, path: str) -> bool:
        """Whether a blob is directly in the folder, and its name matches the pattern."""
        folder, _, name = path.rpartition("/")
        return folder == self.folder and fnmatchcase(name, self.pattern)


class Handover(NamedTuple):
    """A consumer was given versions.

    Args:
        time: When that was seen, in seconds of the workspace's clock.
        consumer: The task instance that took them: a sensor, or a task that reads the events.
        versions: The versions.
        run: The pipeline run that got them; None if a person prevented its submission, and only the taker's result
            shows them.
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
    """Find every broken promise to one reader, once all existing versions could be delivered.

    Args:
        reader: The reader.
        versions: All versions that were ever written, anywhere in the container.
        handed: The handovers to this reader's consumers.
        acts: The acts of people.
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
    """The existing versions that a reader wants, and that no consumer has got or may have got.

    If a person marks a sensor as success, its batch may be gone with it. If a person marks a reader of events as
    anything, its events may be gone (``docs/reference/blob-sensor.md``, ``docs/reference/blob-watcher.md``). A batch
    holds everything that existed; so a version was not in it if a later version was delivered before that act.
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
            if reader.by_events or not any(act.kind in _TAKE_OVER_AFTER for act in earlier):
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
        yield Violation("no version lost", None, (), f"{version}, was delivered to nobody{others}")


def _violation(promise: str, handovers: Sequence[Handover], detail: str) -> Violation:
    runs = tuple(one.run for one in handovers if one.run is not None)
    return Violation(promise, handovers[-1].consumer, runs, detail)
