"""Uploads, crashes, clears and overlapping runs in any order: each version reaches one consumer, and none is lost.

The model is the promise itself. The watch, the record, the cursor and the listing are the real ones; only the wire, the
Variable and the states of task instances are in memory.
"""

from __future__ import annotations

import contextlib
import logging
import random
from datetime import timedelta
from typing import NamedTuple

import pytest
from support.drivers.breaths import answer
from support.services.folder import Asked, FakeContainer

from aml_provider.blobs.access import ContainerAccess, Location
from aml_provider.blobs.cursor import Cursor, undone
from aml_provider.blobs.folder import Folder
from aml_provider.blobs.folder_state import FolderState
from aml_provider.blobs.listing import poll_folder
from aml_provider.blobs.rules import Rules
from aml_provider.client.http.reply import Reply
from aml_provider.durable.handover import Commit, Handover, Owner
from aml_provider.state.cursor_stores import VariableCursorStore
from aml_provider.worker.poke_folder import FolderPoke

FOLDER = Folder("https://a.blob.core.windows.net/c", "in/")
RIGHT = ContainerAccess(sas="x=1")
QUIET = logging.getLogger("storm")
QUIET.disabled = True
NAMES = "abcde"
ENDED = frozenset({"success", "failed", "skipped"})
# Where a process may die, in the order of one poll.
DEATHS = (
    "before the record is read",
    "before the listing",
    "between two pages",
    "before the commit",
    "after the commit",
    "before the result",
)
FAULTS = (503, 429, 408, 0, -200, 403)


class Killed(BaseException):
    """The process is gone: nothing catches it."""


class Variable(VariableCursorStore):
    """Airflow's Variable in memory; the process may die on either side of each access."""

    def __init__(self, kept):
        super().__init__("record")
        self.kept = kept
        self.dies = ""

    def _read(self):
        if self.dies == "before the record is read":
            raise Killed
        return self.kept.get("record")

    def _write(self, text):
        if self.dies == "before the commit":
            raise Killed
        self.kept["record"] = text
        if self.dies == "after the commit":
            raise Killed


class Place:
    """A location whose client lists the fake container; between two pages, and before the commit, others may act."""

    name = "store"
    azureml_conn_id = "azureml_default"

    def __init__(self, container):
        self.container = container
        self.dies = ""
        self.meanwhile = None

    @contextlib.contextmanager
    def open(self, patience):
        if self.dies == "before the listing":
            raise Killed
        yield self, Location(FOLDER, RIGHT)

    def run(self, flow):
        try:
            request = next(flow)
            while True:
                status, headers, body = self.container.answer(Asked("", dict(request.query), {}))
                if self.dies == "between two pages":
                    raise Killed
                request = answer(flow, Reply(status, headers, body, ""))
        except StopIteration as stop:
            if self.meanwhile is not None:
                self.meanwhile()
            return stop.value


class Asleep(NamedTuple):
    """A deferred run: the record that its worker knew, the one that its trigger found, how other runs had ended."""

    serial: int
    record: str
    world: dict[str, str]


class Storm:
    """One history, drawn from a seed.

    Attributes:
        rules: The sensor's arguments.
        consumers: Which runs took each version; a clear removes the run, since it should take its batch again.
        served: The versions that any run has taken, ever.
        story: What happened, to be read after a failure.
    """

    def __init__(self, seed, rules):
        self.random = random.Random(seed)
        self.rules = rules
        self.container = FakeContainer(page_size=2)
        self.kept: dict[str, str] = {}
        self.states: dict[str, str] = {}
        self.watches: dict[str, FolderPoke] = {}
        self.asleep: dict[str, Asleep] = {}
        self.consumers: dict[tuple[str, str], set[str]] = {}
        self.served: set[tuple[str, str]] = set()
        self.ever: set[tuple[str, str]] = set()
        self.calm = False  # somebody has polled since the last batch
        self.number = 0
        self.story: list[str] = []
        self.poll(self.start())  # the first poll remembers, and nothing is there yet

    # --- what the task instances do ---

    def start(self):
        self.number += 1
        run = f"run{self.number}"
        self.states[run] = "running"
        return run

    def waiting(self):
        return [run for run, state in self.states.items() if state not in ENDED]

    def ended(self, *states):
        return [run for run, state in self.states.items() if state in states]

    def watch(self, run, *, same_process):
        if not (same_process and run in self.watches):
            # Two sensors share one cursor_key.
            me = Owner("dag", run, "watch" if int(run[3:]) % 2 else "other_watch")
            handover = Handover(me, Variable(self.kept), lambda o: self.states.get(o.run_id), undone)
            self.watches[run] = FolderPoke(handover, Place(self.container), self.rules, QUIET, deadline=float("inf"))
        return self.watches[run]

    def poll(self, run, *, dies="", then="failed", meanwhile=None, same_process=False, faults=()):
        """One poll of a run's task, and its effect on the task."""
        self.story.append(f"{run} polls {dies and f'and dies {dies}, then {then}'} {list(faults)}")
        self.states[run] = "running"
        watch = self.watch(run, same_process=same_process)
        watch._handover.store.dies = watch._location.dies = dies
        watch._location.meanwhile = meanwhile
        asleep = self.asleep.pop(run, None)
        # What is written during this listing its trigger has not seen.
        unforeseen = asleep is None or self.container.arrivals or self.world() != asleep.world
        awake = unforeseen or self.fires(asleep)
        before = dict(self.kept)
        self.container.failures = list(faults)
        try:
            taken = watch.poll()
            if dies == "before the result" and taken is not None:
                raise Killed  # noqa: TRY301 - as the process that has it would be
        except Killed:
            del self.watches[run]
            self.states[run] = then
            self.calm = False
            return None
        finally:
            watch._handover.store.dies = watch._location.dies = ""
            void = any(fault != 200 for fault in faults) and not self.container.failures
            self.container.failures = []
        self.calm = taken is None and not void and not watch._handover.is_open and not same_process
        if void:
            assert (taken, self.kept) == (None, before)
        if taken is None:
            self.states[run] = "up_for_reschedule"
            if not (watch._handover.is_open or same_process):
                assert watch._handover.serial
                self.asleep[run] = Asleep(watch._handover.serial, self.kept["record"], self.world())
            return None
        assert awake, "there was something to take, and the trigger slept on"
        del self.watches[run]
        self.states[run] = "success"
        for change in taken:
            version = (change["path"], change["etag"])
            self.consumers.setdefault(version, set()).add(run)
            self.served.add(version)
        self.story.append(f"  it takes {[(change['name'], change['etag']) for change in taken]}")
        return taken

    def world(self):
        """What a trigger cannot know of: other tasks."""
        return {run: state for run, state in self.states.items() if state in ENDED}

    def fires(self, asleep):
        """Whether the trigger wakes the worker, even if it was restarted just now."""
        for record in {asleep.record, self.kept["record"]}:
            commit = Commit.decode(record)
            state = FolderState(FOLDER, self.rules._replace(max_changes=1000), Cursor.decode(commit.cursor_text))
            if commit.serial == asleep.serial and not Place(self.container).run(poll_folder(state, RIGHT)).changes:
                return False
        return True

    # --- what happens ---

    def write(self, name, size=1):
        self.ever.add((name, self.container.write(name, size=size)))

    def upload(self):
        """Also again within the same second: the service's clock only moves when a test moves it."""
        for name in self.random.sample(NAMES, self.random.randint(1, 3)):
            self.write(f"in/{name}", size=self.random.choice((0, 1, 1, 1)))
            self.container.write(f"in/sub/{name}")
            self.container.write(f"in-old/{name}")

    def change_metadata(self):
        if there := self.mine():
            name = self.random.choice(there)
            self.write(name, size=self.container.blobs[name].size)

    def rename(self):
        """Into, out of or within the folder; dates and ETag stay, so that only the name is new."""
        old = self.random.choice(sorted(self.container.blobs) or [""])
        new = f"{self.random.choice(['in', 'in-old'])}/{self.random.choice(NAMES)}"
        if old and old != new and (new, self.container.blobs[old].etag) not in self.ever:
            self.container.rename(old, new)
            self.ever.add((new, self.container.blobs[new].etag))

    def remove(self):
        self.container.blobs.pop(f"in/{self.random.choice(NAMES)}", None)

    def time_passes(self):
        self.container.now += timedelta(seconds=max(1.0, self.rules.settle / 2))

    def begin(self):
        if len(self.waiting()) < 3:
            self.start()

    def any_poll(self):
        if waiting := self.waiting():
            faults = [200] * self.random.randint(0, 1) + [self.random.choice(FAULTS)]
            if faults == [403]:
                faults = []  # refused from the start: that fails the task, and is a death before the commit
            self.poll(
                self.random.choice(waiting),
                same_process=self.random.random() < 0.3,
                faults=faults if self.random.random() < 0.4 else (),
            )

    def poll_while_somebody_writes(self):
        """Before the listing's position, at it or behind it."""
        if waiting := self.waiting():
            name = f"in/{self.random.choice(NAMES)}"
            number = len(self.container.asked) + self.random.randint(1, 3)
            self.container.arrivals = {number: name}
            self.poll(self.random.choice(waiting))
            self.container.arrivals = {}
            if name in self.container.blobs:
                self.ever.add((name, self.container.blobs[name].etag))

    def upload_and_die(self):
        if waiting := self.waiting():
            self.upload()
            then = self.random.choice(("failed", "up_for_retry", "skipped"))
            self.poll(self.random.choice(waiting), dies=self.random.choice(DEATHS), then=then)

    def two_poll_at_the_same_time(self):
        """The second lists and commits between the first one's listing and its commit."""
        if len(waiting := self.waiting()) > 1:
            first, second = self.random.sample(waiting, 2)

            def meanwhile():
                if self.random.random() < 0.5:
                    self.upload()
                self.poll(second)

            self.poll(first, meanwhile=meanwhile)
            self.calm = False

    def clear(self):
        if ended := self.ended(*ENDED):
            run = self.random.choice(ended)
            self.states[run] = "no_status"
            self.calm = False
            # A clear means that this run should take its batch again.
            for runs in self.consumers.values():
                runs.discard(run)
            if self.random.random() < 0.2:
                self.states[run] = "skipped"  # by a task before it

    def delete_a_run_that_failed(self):
        if ended := self.ended("failed"):
            del self.states[self.random.choice(ended)]

    def delete_old_runs(self):
        """As ``airflow db clean`` does, some time after another run polled."""
        if self.calm:
            for run in self.ended("success", "skipped"):
                del self.states[run]

    # --- the promise ---

    def mine(self):
        return [name for name in self.container.blobs if name.startswith("in/") and name.count("/") == 1]

    def check(self):
        for version, runs in self.consumers.items():
            assert len(runs) <= 1, f"{version} went to {sorted(runs)}"
        assert all(path.count("/") == 1 and path.startswith("in/") for path, _ in self.served)

    def calm_down(self):
        """Nothing more happens and no process dies: every version must have reached a run."""
        quiet = 0
        while quiet < 3:
            self.container.now += timedelta(seconds=self.rules.settle)
            polls = [self.poll(run) for run in self.waiting() or [self.start()]]
            quiet = 0 if any(polls) else quiet + 1
        self.check()
        blobs = [(name, self.container.blobs[name]) for name in self.mine()]
        there = {(name, blob.etag) for name, blob in blobs if blob.size or not self.rules.ignore_empty}
        assert there <= self.served, f"lost: {sorted(there - self.served)}"


ACTIONS = (
    Storm.upload,
    Storm.upload,
    Storm.change_metadata,
    Storm.rename,
    Storm.remove,
    Storm.time_passes,
    Storm.begin,
    Storm.begin,
    Storm.any_poll,
    Storm.any_poll,
    Storm.any_poll,
    Storm.poll_while_somebody_writes,
    Storm.upload_and_die,
    Storm.upload_and_die,
    Storm.two_poll_at_the_same_time,
    Storm.clear,
    Storm.delete_a_run_that_failed,
    Storm.delete_old_runs,
)
RULES = (
    Rules.of(max_changes=3, ignore_empty=False),
    Rules.of(max_changes=3),
    Rules.of(max_changes=1),
    Rules.of(settle=4.0),
)


def play(seed, steps):
    storm = Storm(seed, RULES[seed % len(RULES)])
    try:
        for action in storm.random.choices(ACTIONS, k=steps):
            storm.story.append(action.__name__)
            action(storm)
            storm.check()
        storm.calm_down()
    except AssertionError as error:
        story = "\n".join(storm.story)
        raise AssertionError(f"seed {seed}, {storm.rules}: {error}\n{story}") from error
    return storm


@pytest.mark.parametrize("part", range(4))
def test_every_version_reaches_exactly_one_consumer(part):
    """Ten thousand histories; each is the same in every run, so a seed that fails can be played again."""
    taken = sum(len(play(seed, steps=20).served) for seed in range(part * 2500, (part + 1) * 2500))
    assert taken > 2500, "the histories have to be about something"
