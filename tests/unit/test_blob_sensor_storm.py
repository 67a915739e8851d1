"""Uploads, crashes, clears and overlapping runs in any order: each version reaches one consumer, and none is lost.

The model is the promise itself. The watch, the record, the cursor and the listing are the real ones; only the wire, the
Variable and the states of task instances are in memory.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from support.folder import Asked, FakeContainer

from aml_provider.blobs.access import ContainerAccess, Location, poll_folder
from aml_provider.blobs.changes import FolderState
from aml_provider.blobs.folder import Folder
from aml_provider.blobs.rules import Rules
from aml_provider.client.errors import AzureMLError
from aml_provider.client.protocol import Reply
from aml_provider.sensors.folder_watch import FolderWatch
from aml_provider.state.cursor import Commit, Owner, VariableCursorStore

FOLDER = Folder("https://a.blob.core.windows.net/c", "in/")
ENDED_WELL = {"success", "skipped"}
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

    @contextmanager
    def open(self):
        yield self, Location(FOLDER, ContainerAccess(sas="x=1"))

    def run(self, flow):
        try:
            request = next(flow)
            while True:
                status, headers, body = self.container.answer(Asked("", dict(request.query), {}))
                request = flow.send(Reply(status, headers, body, ""))
        except StopIteration as stop:
            self.meanwhile()
            return stop.value


class Storm(RuleBasedStateMachine):
    rules_of_the_sensor = Rules.of(max_changes=3)

    def __init__(self):
        super().__init__()
        self.container = FakeContainer(page_size=2)
        self.kept: dict[str, str] = {}
        self.states: dict[str, str | None] = {}
        self.watches: dict[str, FolderWatch] = {}
        self.asleep: dict[str, str] = {}  # the record that a run's trigger compares with
        self.consumers: dict[tuple[str, str], set[str]] = {}
        self.served: set[tuple[str, str]] = set()
        self.number = 0
        self._look(self._start(), "")  # the first look remembers, and nothing is there yet

    # --- what the task instances do ---

    def _start(self):
        self.number += 1
        run = f"run{self.number}"
        self.states[run] = "running"
        return run

    def _waiting(self):
        return [run for run, state in self.states.items() if state in {"running", "up_for_retry", None}]

    def _look(self, run, dies, meanwhile=lambda: None, *, same_process=False):
        """One look of a run's task; it ends with the look's result, or by dying."""
        self.states[run] = "running"
        store = Variable(self.kept, dies)
        watch = self.watches.get(run) if same_process else None
        if watch is None:
            me = Owner("dag", run, "watch")
            watch = FolderWatch(me, Place(self.container), self.rules_of_the_sensor, store, QUIET, self._state_of)
        watch._store.dies = dies
        watch._location.meanwhile = meanwhile
        asleep, slept_well = self.asleep.pop(run, None), self._would_fire(run)
        owner = Commit.decode(self.kept["record"]).owner if self.kept else None
        try:
            taken = watch.look()
        except Killed:
            self.watches.pop(run, None)
            return None
        if taken is None:
            self.watches[run] = watch
            self.states[run] = None if not same_process else "running"
            if not watch._open:
                self.asleep[run] = self.kept["record"]
            return None
        assert asleep is None or slept_well or owner.run_id != Commit.decode(asleep).owner.run_id or self.cleared, (
            "the trigger would have slept on"
        )
        self.watches.pop(run, None)
        self.states[run] = "success"
        for change in taken:
            version = (change["path"], change["etag"])
            self.consumers.setdefault(version, set()).add(run)
            self.served.add(version)
        return taken

    cleared = False

    def _would_fire(self, run):
        if run not in self.asleep:
            return True
        cursor = Commit.decode(self.asleep[run]).cursor()
        state = FolderState(FOLDER, Rules.of(), cursor)
        failures, self.container.failures = self.container.failures, []
        try:
            return bool(Place(self.container).run(poll_folder(state, ContainerAccess(sas="x=1"), ())).changes)
        except AzureMLError:
            return True
        finally:
            self.container.failures = failures

    def _state_of(self, owner):
        state = self.states.get(owner.run_id, "gone")
        return None if state == "gone" else state or "no_status"

    # --- what happens ---

    @rule(name=st.sampled_from("abcde"))
    def upload(self, name):
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
        dies=st.sampled_from(["", "", "", "before the commit", "after the commit"]),
        then=st.sampled_from(["up_for_retry", "failed"]),
        same_process=st.booleans(),
    )
    def look(self, data, dies, then, same_process):
        run = data.draw(st.sampled_from(self._waiting()))
        self._look(run, dies, same_process=same_process)
        if self.states[run] == "running" and run not in self.watches:
            self.states[run] = then

    @precondition(lambda self: len(self._waiting()) > 1)
    @rule(data=st.data(), upload=st.sampled_from("abcde"))
    def two_look_at_the_same_time(self, data, upload):
        """The second lists and commits between the first one's listing and its commit."""
        first, second = data.draw(st.permutations(self._waiting()))[:2]

        def meanwhile():
            self.container.write(f"in/{upload}")
            self._look(second, "")

        self._look(first, "", meanwhile)

    @precondition(lambda self: self._waiting())
    @rule(data=st.data(), page=st.integers(0, 2), status=st.sampled_from([503, 0]))
    def a_page_fails(self, data, page, status):
        self.container.failures = [200] * page + [status]
        before = dict(self.kept)
        run = data.draw(st.sampled_from(self._waiting()))
        if self._look(run, "") is None and not self.container.failures:
            assert self.kept == before
        self.container.failures = []

    @precondition(lambda self: set(self.states.values()) & {"success", "failed"})
    @rule(data=st.data())
    def clear(self, data):
        run = data.draw(st.sampled_from([r for r, state in self.states.items() if state in {"success", "failed"}]))
        self.states[run] = None
        self.cleared = True
        # A clear means: this run shall do its part again.
        for runs in self.consumers.values():
            runs.discard(run)

    @precondition(lambda self: "failed" in self.states.values())
    @rule(data=st.data())
    def delete_a_run(self, data):
        run = data.draw(st.sampled_from([r for r, state in self.states.items() if state == "failed"]))
        del self.states[run]

    @precondition(lambda self: self.kept and Commit.decode(self.kept["record"]).arrived)
    @rule()
    def clean_up_old_runs(self):
        """As ``airflow db clean`` does, after somebody looked since the last batch."""
        for run in [r for r, state in self.states.items() if state == "success"]:
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
        for _ in range(2 * len(self.states) + 20):
            for run in self._waiting() or [self._start()]:
                self._look(run, "")
        self.each_version_has_one_consumer()
        there = {(name, blob.etag) for name, blob in self.container.blobs.items() if name.count("/") == 1}
        assert {version for version in there if version[0].startswith("in/")} <= self.served


@pytest.mark.timeout(120)
def test_every_version_reaches_exactly_one_consumer():
    run_state_machine_as_test(
        Storm,
        settings=settings(
            max_examples=120,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
