"""The oracle over the writer's and the workspace's record reports each broken promise, and is silent where none is."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.oracles.blob_promises import Handover, Reader, Version, lost, violations
from support.oracles.promises import Act, Task

SENSOR = Reader("dag", "in", "wait")
WATCHER = Reader("dag", "in", "wait", by_events=True)
CSV = Reader("dag", "in", "wait", pattern="*.csv", by_events=True)

ONE, TWO = Version("in/a.csv", "1", 1.0), Version("in/b.csv", "2", 2.0)
OLD = Version("in/c.csv", "3", 1.0, gone=5.0)
BESIDE = [Version("in/sub/a.csv", "7", 1.0), Version("in-old/a.csv", "8", 1.0), Version("a.csv", "9", 1.0)]
WRITTEN = [ONE, TWO, OLD, *BESIDE]


def task(run_id):
    return Task("dag", run_id, "wait")


def handed(time, run_id, *versions, event=None, run="a run"):
    return Handover(time, task(run_id), tuple(version.key for version in versions), run, event)


def act(time, kind, run_id, *, dag_id="dag", task_id="wait"):
    return Act(time, kind, Task(dag_id, run_id, task_id))


def promises(reader, record, acts=(), versions=WRITTEN):
    return sorted({violation.promise for violation in violations(reader, versions, record, acts)})


BOTH = [handed(10, "r1", ONE, TWO)]
SPLIT = [handed(10, "r1", ONE), handed(20, "r2", TWO)]
TO_TWO = [handed(10, "r1", ONE, TWO), handed(20, "r2", TWO)]
LATER = Version("in/d.csv", "4", 30.0)

KEPT = {
    "one batch": (SENSOR, BOTH, []),
    "two batches": (SENSOR, SPLIT, []),
    "again to the same one": (SENSOR, [*SPLIT, handed(30, "r1", ONE, run="another")], []),
    "one that was gone before it was listed": (SENSOR, BOTH, []),
    "one that was gone after it was listed": (SENSOR, [handed(10, "r1", ONE, TWO, OLD)], []),
    "a failed owner hands its batch on": (SENSOR, TO_TWO, [act(15, "mark_failed", "r1")]),
    "a cleared owner that could not begin": (SENSOR, TO_TWO, [act(15, "clear", "r1")]),
    "marked as failed before its run was submitted": (SENSOR, TO_TWO, [act(9, "mark_failed", "r1")]),
    "the new owner's run came first": (SENSOR, TO_TWO, [act(9, "mark_failed", "r2")]),
    "a sensor that was marked as a success with its batch": (SENSOR, SPLIT[:1], [act(15, "mark_success", "r2")]),
    "a sensor that was marked just before it took its batch": (SENSOR, SPLIT[:1], [act(1.5, "mark_success", "r2")]),
    "one event": (WATCHER, [handed(10, "r1", ONE, TWO, event="e1")], []),
    "an event again": (WATCHER, [handed(time, "r1", ONE, TWO, event="e1") for time in (10, 12)], []),
    "events that were marked away": (WATCHER, [handed(10, "r1", ONE, event="e1")], [act(15, "mark_failed", "r2")]),
    "no result but that of the taker": (SENSOR, [handed(10, "r1", ONE, TWO, run=None)], []),
}

BROKEN = {
    "a change lost": (SENSOR, SPLIT[:1], [], "no version lost"),
    "nothing handed over": (SENSOR, [], [], "no version lost"),
    "an event lost": (WATCHER, [handed(10, "r1", ONE, event="e1")], [], "no version lost"),
    "lost, and somebody cleared": (SENSOR, SPLIT[:1], [act(15, "clear", "r1")], "no version lost"),
    "lost, and marked as failed": (SENSOR, SPLIT[:1], [act(15, "mark_failed", "r2")], "no version lost"),
    "lost before the act": (SENSOR, [handed(10, "r1", TWO)], [act(15, "mark_success", "r2")], "no version lost"),
    "lost with an act on what is behind": (
        SENSOR,
        SPLIT[:1],
        [act(15, "mark_success", "r2", task_id="hand_over")],
        "no version lost",
    ),
    "lost with an act on another DAG": (
        SENSOR,
        SPLIT[:1],
        [act(15, "mark_success", "r2", dag_id="other")],
        "no version lost",
    ),
    "to two": (SENSOR, TO_TWO, [], "each version to one consumer"),
    "to two, and marked as a success": (
        SENSOR,
        TO_TWO,
        [act(15, "mark_success", "r1")],
        "each version to one consumer",
    ),
    "to two, and failed only later": (
        SENSOR,
        TO_TWO,
        [act(25, "mark_failed", "r1")],
        "each version to one consumer",
    ),
    "to two, and a third one was marked": (
        SENSOR,
        TO_TWO,
        [act(15, "mark_failed", "r3")],
        "each version to one consumer",
    ),
    "an event to two": (
        WATCHER,
        [handed(time, run_id, ONE, TWO, event="e1") for time, run_id in ((10, "r1"), (20, "r2"))],
        [act(15, "mark_failed", "r1")],
        "each version to one consumer",
    ),
    "in two events": (
        WATCHER,
        [handed(10, "r1", ONE, TWO, event="e1"), handed(11, "r1", TWO, event="e2")],
        [],
        "each version in one event",
    ),
    "never written": (SENSOR, [*BOTH, handed(20, "r2", ONE._replace(etag="no"))], [], "only what was written"),
    "of a sub-folder": (SENSOR, [*BOTH, handed(20, "r2", BESIDE[0])], [], "only what is directly in the folder"),
    "of a sibling": (SENSOR, [*BOTH, handed(20, "r2", BESIDE[1])], [], "only what is directly in the folder"),
    "of the root": (SENSOR, [*BOTH, handed(20, "r2", BESIDE[2])], [], "only what is directly in the folder"),
}


@pytest.mark.parametrize("case", KEPT)
def test_nothing_is_reported_where_the_promises_are_kept(case):
    reader, record, acts = KEPT[case]
    assert promises(reader, record[::-1], acts) == []


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_promise_is_reported(case):
    reader, record, acts, promise = BROKEN[case]
    assert promises(reader, record, acts) == [promise]


def test_what_was_written_long_after_the_act_is_lost_all_the_same():
    acts = [act(5, "mark_success", "r2")]
    assert [one.path for one in lost(SENSOR, [*WRITTEN, LATER], BOTH, acts)] == ["in/d.csv"]


def test_a_pattern_says_what_is_wanted():
    text = Version("in/a.txt", "5", 1.0)
    assert promises(CSV, [handed(10, "r1", ONE, TWO, event="e")], versions=[*WRITTEN, text]) == []
    assert promises(CSV, [handed(10, "r1", ONE, TWO, text, event="e")], versions=[*WRITTEN, text]) == [
        "only what is directly in the folder"
    ]


def test_a_violation_names_the_version_and_the_runs():
    (violation,) = violations(SENSOR, WRITTEN, [handed(10, "r1", ONE, TWO, run="x"), handed(20, "r2", TWO, run="y")])
    assert violation.runs == ("x", "y")
    assert violation.task == task("r2")
    assert "in/b.csv 2 to r1 at 10.0 (x) and r2 at 20.0 (y)" in str(violation)
    (violation,) = violations(SENSOR, [*WRITTEN, Version("in/c.csv", "6", 8.0)], BOTH)
    assert "in/c.csv 6, written at 8.0, exists" in str(violation)
    assert "of the same name: in/c.csv 3, written at 1.0, gone at 5.0" in str(violation)


class World:
    """A writer, and sensors that keep the promise: what is there and nobody has got goes to one consumer."""

    def __init__(self, dice):
        self.dice = dice
        self.time = 0.0
        self.there = {}
        self.past = []
        self.record = []
        self.acts = []

    @property
    def versions(self):
        return [*self.past, *self.there.values()]

    def write(self):
        path = self.dice.choice(["in/a", "in/b", "in/c", "in/sub/a", "in-old/b"])
        self.remove(path)
        self.there[path] = Version(path, f"e{self.time}", self.time)

    def remove(self, path=None):
        path = path or self.dice.choice(["in/a", "in/b", "in/c"])
        if path in self.there:
            self.past.append(self.there.pop(path)._replace(gone=self.time))

    def look(self, run=""):
        got = {key for one in self.record for key in one.versions}
        found = [one for one in self.there.values() if SENSOR.wants(one.path) and one.key not in got]
        run = run or f"r{len(self.record)}"
        if found:
            self.record.append(handed(self.time, run, *found, run=f"run at {self.time}"))

    def again(self):
        if self.record:
            self.record.append(self.record[-1]._replace(time=self.time, run=f"run at {self.time}"))

    def hand_on(self):
        """A person fails the last owner; the next one gets the batch, and what is new."""
        if self.record:
            last = self.record[-1]
            self.acts.append(Act(self.time, "mark_failed", last.consumer))
            self.record.append(last._replace(time=self.time + 0.5, consumer=task(f"r{len(self.record)}")))

    def play(self, steps):
        for step in self.dice.choices(
            [self.write, self.remove, self.look, self.again, self.hand_on], [6, 2, 4, 1, 1], k=steps
        ):
            self.time += 1.0
            step()
        self.time += 1.0
        self.look("last")
        return self


worlds = st.integers(0, 2**32).map(lambda seed: World(random.Random(seed)).play(30))


@given(worlds)
@settings(max_examples=200)
def test_a_kept_record_is_clean_and_a_broken_one_is_not(world):
    assert violations(SENSOR, world.versions, world.record, world.acts) == []
    got = [(index, key) for index, one in enumerate(world.record) for key in one.versions]
    surviving = {one.key for one in world.there.values()}
    for key in {key for _, key in got} & surviving:
        less = [one._replace(versions=tuple(each for each in one.versions if each != key)) for one in world.record]
        assert promises(SENSOR, less, world.acts, world.versions) == ["no version lost"]
    for _, key in got:
        more = [*world.record, Handover(math.inf, task("nobody"), (key,), "one more")]
        # Whoever was marked as failed has handed on what it had.
        owners = {one.consumer for one in world.record if key in one.versions}
        if not owners & {act.task for act in world.acts}:
            assert promises(SENSOR, more, world.acts, world.versions) == ["each version to one consumer"]
