"""Uploads, crashes, clears and overlapping runs in any order: each version reaches one consumer, and none is lost.

The model is the promise itself. The watch, the record, the cursor and the listing are the real ones; only the wire, the
Variable and the states of task instances are in memory.
"""

from __future__ import annotations

import contextlib
import logging
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from support.folder import Asked, FakeContainer

from aml_provider.blobs.access import ContainerAccess, Location, poll_folder
from aml_provider.blobs.changes import FolderState
from aml_provider.blobs.folder import Folder
from aml_provider.blobs.rules import Rules
from aml_provider.client.protocol import Reply
from aml_provider.sensors.folder_watch import FolderWatch
from aml_provider.state.cursor import Commit, Owner, VariableCursorStore

FOLDER = Folder("https://a.blob.core.windows.net/c", "in/")
RIGHT = ContainerAccess(sas="x=1")
QUIET = logging.getLogger("storm")
QUIET.disabled = True


class Killed(BaseException):
    """The process is gone: nothing catches it."""


class Variable(VariableCursorStore):
    """Airflow's Variable in memory; the process may die on either side of the write."""

    def __init__(self, kept, dies=""):
        super().__init__("record")
        self.kept = kept
        self.dies = dies

    def _read(self):
        return self.kept.get("record")

    def _write(self, text):
        if self.dies == "before the commit":
            raise Killed
        self.kept["record"] = text
        if self.dies == "after the commit":
            raise Killed


class Place:
    """A location whose client lists the fake container; between list and commit others may act."""

    name = "store"

    def __init__(self, container, meanwhile=lambda: None):
        self.container = container
        self.meanwhile = meanwhile

    @contextlib.contextmanager
    def open(self):
        yield self, Location(FOLDER, RIGHT)

    def run(self, flow):
        try:
            request = next(flow)
            while True:
                status, headers, body = self.container.answer(Asked("", dict(request.query), {}))
                request = flow.send(Reply(status, headers, body, ""))
        except StopIteration as stop:
            self.meanwhile()
            return stop.value


class Asleep(NamedTuple):
    """A deferred run: the record that its worker knew, the one that its trigger found, how other runs had ended."""

    serial: int
    record: str
    world: dict[str, str]


class Storm(RuleBasedStateMachine):
    arguments = Rules.of(max_changes=3)

    def __init__(self):
        super().__init__()
        self.container = FakeContainer(page_size=2)
        self.kept: dict[str, str] = {}
        self.states: dict[str, str] = {}
        self.watches: dict[str, FolderWatch] = {}
        self.asleep: dict[str, Asleep] = {}
        self.consumers: dict[tuple[str, str], set[str]] = {}
        self.served: set[tuple[str, str]] = set()
        self.calm = False  # somebody has looked since the last batch
        self.number = 0
        self._look(self._start())  # the first look remembers, and nothing is there yet

    # --- what the task instances do ---

    def _start(self):
        self.number += 1
        run = f"run{self.number}"
        self.states[run] = "running"
        return run

    def _waiting(self):
        return [run for run, state in self.states.items() if state not in {"success", "failed"}]

    def _ended(self, *states):
        return [run for run, state in self.states.items() if state in states]

    def _state_of(self, owner):
        return self.states.get(owner.run_id)

    def _watch(self, run, *, same_process):
        if not (same_process and run in self.watches):
            me = Owner("dag", run, "watch")
            store = Variable(self.kept)
            self.watches[run] = FolderWatch(me, Place(self.container), self.arguments, store, QUIET, self._state_of)
        return self.watches[run]

    def _look(self, run, *, dies="", then="failed", meanwhile=lambda: None, same_process=False, faults=()):
        """One look of a run's task, and what becomes of the task."""
        self.states[run] = "running"
        watch = self._watch(run, same_process=same_process)
        watch._store.dies = dies
        watch._location.meanwhile = meanwhile
        asleep = self.asleep.pop(run, None)
        awake = asleep is None or self._world() != asleep.world or self._fires(asleep)
        before = dict(self.kept)
        self.container.failures = list(faults)
        try:
            taken = watch.look()
        except Killed:
            del self.watches[run]
            self.states[run] = then
            self.calm = False
            return None
        void = any(fault != 200 for fault in faults) and not self.container.failures
        self.container.failures = []
        self.calm = taken is None and not void and not watch._open and not same_process
        if void:
            assert (taken, self.kept) == (None, before)
        if taken is None:
            self.states[run] = "up_for_reschedule"
            if not (watch._open or same_process):
                assert watch._commit is not None
                self.asleep[run] = Asleep(watch._commit.serial, self.kept["record"], self._world())
            return None
        assert awake, "there was something to take, and the trigger slept on"
        del self.watches[run]
        self.states[run] = "success"
        for change in taken:
            version = (change["path"], change["etag"])
            self.consumers.setdefault(version, set()).add(run)
            self.served.add(version)
        return taken

    def _world(self):
        """What a trigger cannot know of: other tasks."""
        return {run: state for run, state in self.states.items() if state in {"success", "failed"}}

    def _fires(self, asleep):
        """Whether the trigger wakes the worker, also if it was started anew just now."""
        for record in {asleep.record, self.kept["record"]}:
            commit = Commit.decode(record)
            state = FolderState(FOLDER, Rules.of(), commit.cursor())
            if commit.serial == asleep.serial and not Place(self.container).run(poll_folder(state, RIGHT, ())).changes:
                return False
        return True

    # --- what happens ---

    @rule(names=st.sets(st.sampled_from("abcde"), min_size=1))
    def upload(self, names):
        for name in sorted(names):
            self.container.write(f"in/{name}")
            self.container.write(f"in/sub/{name}")
            self.container.write(f"in-old/{name}")

    @rule(name=st.sampled_from("abcde"))
    def remove(self, name):
        self.container.blobs.pop(f"in/{name}", None)

    @precondition(lambda self: len(self._waiting()) < 3)
    @rule()
    def start(self):
        self._start()

    @precondition(lambda self: self._waiting())
    @rule(
        data=st.data(),
        same_process=st.sampled_from([False, False, True]),
        page=st.integers(0, 1),
        fault=st.sampled_from([200, 503, 0]),
    )
    def look(self, data, same_process, page, fault):
        run = data.draw(st.sampled_from(self._waiting()))
        self._look(run, same_process=same_process, faults=[200] * page + [fault])

    @precondition(lambda self: self._waiting())
    @rule(
        data=st.data(),
        names=st.sets(st.sampled_from("abcde"), min_size=1),
        dies=st.sampled_from(["after the commit", "after the commit", "before the commit"]),
        then=st.sampled_from(["failed", "failed", "up_for_retry"]),
    )
    def upload_and_die(self, data, names, dies, then):
        self.upload(names)
        self._look(data.draw(st.sampled_from(self._waiting())), dies=dies, then=then)

    @precondition(lambda self: len(self._waiting()) > 1)
    @rule(data=st.data(), names=st.sets(st.sampled_from("abcde")))
    def two_look_at_the_same_time(self, data, names):
        """The second lists and commits between the first one's listing and its commit."""
        first, second = data.draw(st.permutations(self._waiting()))[:2]

        def meanwhile():
            self.upload(names)
            self._look(second)

        self._look(first, meanwhile=meanwhile)
        self.calm = False

    @precondition(lambda self: self._ended("success", "failed"))
    @rule(data=st.data())
    def clear(self, data):
        run = data.draw(st.sampled_from(self._ended("success", "failed")))
        self.states[run] = "no_status"
        self.calm = False
        # A clear means that this run shall do its part again.
        for runs in self.consumers.values():
            runs.discard(run)

    @precondition(lambda self: self._ended("failed"))
    @rule(data=st.data())
    def delete_a_run_that_failed(self, data):
        del self.states[data.draw(st.sampled_from(self._ended("failed")))]

    @precondition(lambda self: self._ended("success") and self.calm)
    @rule()
    def delete_old_runs(self):
        """As ``airflow db clean`` does, some time after another run looked."""
        for run in self._ended("success"):
            del self.states[run]

    # --- the promise ---

    @invariant()
    def each_version_has_one_consumer(self):
        for version, runs in self.consumers.items():
            assert len(runs) <= 1, f"{version} went to {sorted(runs)}"

    @invariant()
    def nothing_of_a_sub_folder_or_a_sibling_is_taken(self):
        assert all(path.count("/") == 1 and path.startswith("in/") for path, _ in self.served)

    def teardown(self):
        """Nothing more happens and nobody dies: whatever is there has reached somebody."""
        quiet = 0
        while quiet < 3:
            looks = [self._look(run) for run in self._waiting() or [self._start()]]
            quiet = 0 if any(looks) else quiet + 1
        self.each_version_has_one_consumer()
        blobs = self.container.blobs.items()
        there = {(name, blob.etag) for name, blob in blobs if name.startswith("in/") and name.count("/") == 1}
        assert there <= self.served


@pytest.mark.timeout(120)
def test_every_version_reaches_exactly_one_consumer():
    run_state_machine_as_test(
        Storm,
        settings=settings(
            max_examples=200,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
