"""Events lie: they are lost, doubled, late, forged, out of order, and readers die. No version is lost or found twice.

Several readers share one queue, each for a cursor of its own, and all of them delete old messages.
"""

from __future__ import annotations

import json
import logging
import random
from collections import Counter

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.drivers.listed_folder import FOLDER, Container, watch
from support.models.queue_model import QueueModel
from support.services.wake_queue import as_text, event

from aml_provider.blobs.access import ContainerAccess, Location
from aml_provider.blobs.cursor import Cursor
from aml_provider.blobs.wake_pages import Sharing, WakePages
from aml_provider.blobs.wake_reader import WakeReader
from aml_provider.blobs.wake_state import WakeState

URL = "https://acct.queue.core.windows.net/events"
RESYNC = 3600.0
POLL = 60.0
NAMES = ["a.csv", "b c.csv", "ü.csv", "{{ d }}.csv", "e.csv"]


class Process:
    """Polls for one consumer: a watcher, or the tries of a sensor. It may die, and another one continues.

    Args:
        stores: Whether it stores what it knows of the queue, as a sensor does whose polls are processes of their own.
    """

    def __init__(self, world, *, stores, settle=0.0):
        self.world, self.stores, self.settle = world, stores, settle
        self.found = Counter()
        self.listings = 0
        self.cursor_text = self.stored = None
        self.start()

    def start(self):
        cursor = None if self.cursor_text is None else Cursor.decode(self.cursor_text)
        self.folder = watch(self.world.container, cursor, on_first_poll="report", settle=self.settle)
        known = WakeState.from_json(json.loads(self.stored)) if self.stored else None
        self.reader = WakeReader(
            URL, self.world.resync, None, self.world.lines.append_line, state=known, now=lambda: self.world.queue.now
        )

    def poll(self, *, dies=""):
        """Poll once.

        Args:
            dies: ``listing``: the listing fails; ``commit``: it dies before it stores the result; ``after``: it dies
                afterwards.
        """
        self.go_on(self.world.queue.run(self.ask()), dies)

    def ask(self):
        return self.reader.ask(Location(FOLDER, ContainerAccess(sas="sig=x")))

    def go_on(self, reason, dies=""):
        """List if the queue gives a reason, and store the result."""
        if reason is not None and dies != "listing":
            self.listings += 1
            detection = self.world.container.poll(self.folder)
            if dies == "commit":
                self.start()
                return
            self.cursor_text = detection.cursor.encode()
            self.found.update((change["path"], change["etag"]) for change in detection.changes)
            self.folder.accept(detection)
            self.reader.listed(waits=detection.waits)
            if self.stores:
                self.stored = json.dumps(self.reader.state.to_json())
        if dies == "after" or self.stores:
            self.start()


class Lines(list):
    def append_line(self, level, line):
        self.append((level, line))


class World:
    """A folder, a queue that somebody fills with events, and three consumers."""

    def __init__(self, seed, resync=RESYNC, settle=0.0):
        self.random = random.Random(seed)
        self.resync = resync
        self.container, self.queue, self.lines = Container(page_size=2), QueueModel(), Lines()
        self.late = []
        self.processes = [Process(self, stores=stores, settle=settle) for stores in (False, True, False)]
        for process in self.processes:
            process.poll()

    def pass_time(self, seconds):
        self.queue.now += seconds
        self.container.now += seconds

    def write(self, *, lies):
        """Write a blob. Its event arrives, or does not."""
        name = self.random.choice(NAMES)
        self.container.write(name)
        schema, plain = self.random.choice(["cloud", "grid"]), self.random.random() < 0.3
        text = as_text(event(f"in/{name}", account="acct", schema=schema), plain=plain)
        fate = self.random.choice(lies)
        if fate == "late":
            self.late.append(text)
        elif fate != "lost":
            for _ in range(2 if fate == "doubled" else 1):
                self.queue.put(text)

    def write_elsewhere(self):
        """Events of another folder, many at a time, that push the others out of the page."""
        for number in range(self.random.choice([1, 5, 20, 45])):
            self.queue.put(as_text(event(f"other/{number}", account="acct")))

    def forge(self):
        """Somebody writes events about nothing, and nonsense."""
        path = self.random.choice(["in/never.csv", "in/a.csv", "other/x", "in/deep/x"])
        for _ in range(self.random.choice([1, 1, 3, 40])):
            self.queue.put(self.random.choice(["", "nonsense", as_text(event(path, account="acct")), as_text([{}])]))

    def deliver_late(self):
        """Late events arrive in any order."""
        self.random.shuffle(self.late)
        while self.late:
            self.queue.put(self.late.pop())

    def step(self, lies):
        action = self.random.choice(
            ["write", "write", "delete", "forge", "poll", "poll", "poll", "die", "outage", "late"]
        )
        process = self.random.choice(self.processes)
        if action == "write":
            self.write(lies=lies)
        elif action == "delete" and self.container.blobs:
            del self.container.blobs[self.random.choice(list(self.container.blobs))]
        elif action == "forge":
            self.forge()
        elif action == "poll":
            process.poll()
        elif action == "die":
            process.poll(dies=self.random.choice(["listing", "commit", "after"]))
        elif action == "outage":
            self.queue.failure = self.random.choice([0, 0, 403, 404, 503])
        elif action == "late":
            self.deliver_late()
        self.pass_time(self.random.choice([0, 1, 10, POLL]))

    def share(self):
        """A step in which some readers poll often, also at the same moment, and one seldom."""
        action = self.random.choice(["write", "elsewhere", "elsewhere", *["poll"] * 3, *["together"] * 3, "any", "die"])
        process = self.processes[self.random.choice([0, 0, 1])]
        if action == "write":
            self.write(lies=TRUTH)
        elif action == "elsewhere":
            self.write_elsewhere()
        elif action == "poll":
            process.poll()
        elif action == "together":
            self.poll_together(self.processes[:2])
        elif action == "any":
            self.random.choice(self.processes).poll()
        elif action == "die":
            process.poll(dies=self.random.choice(["listing", "commit"]))
        self.pass_time(self.random.choice([0, 3, POLL, 2 * POLL]))

    def poll_together(self, processes):
        """Poll in several processes, whose requests alternate by chance."""
        reasons = self.queue.run_together([process.ask() for process in processes], self.random.choice)
        for process, reason in zip(processes, reasons, strict=True):
            process.go_on(reason)

    def missed(self):
        """Of each consumer: the present versions that it has not found."""
        there = {(f"in/{name}", etag) for name, (etag, *_) in self.container.blobs.items()}
        return [there - process.found.keys() for process in self.processes]

    def twice(self):
        return [key for process in self.processes for key, times in process.found.items() if times > 1]

    def poll_all(self, times=1):
        for _ in range(times):
            self.pass_time(POLL)
            for process in self.processes:
                process.poll()


LIES = ["arrives", "doubled", "late", "lost"]
TRUTH = ["arrives", "doubled"]


@given(st.integers(0, 2**32), st.sampled_from([0.0, 45.0]))
@settings(max_examples=60, deadline=None)
def test_whatever_events_say_no_version_is_lost_and_none_is_found_twice(seed, settle):
    world = World(seed, settle=settle)
    for _ in range(40):
        world.step(LIES)
    world.queue.failure = 0
    world.pass_time(RESYNC)
    world.poll_all(times=3)
    assert world.missed() == [set()] * 3
    assert world.twice() == []


# A reader that knew an empty queue polled while all messages were hidden.
@example(21247)
@given(st.integers(0, 2**32))
@settings(max_examples=100, deadline=None)
def test_what_others_delete_from_a_shared_queue_does_not_make_a_reader_wait_for_the_resync(seed):
    world = World(seed, resync=1e9)
    for _ in range(40):
        world.share()
    world.poll_all(times=2)
    assert world.missed() == [set()] * 3
    assert world.twice() == []


@given(st.integers(0, 2**32), st.sampled_from([0.0, 45.0]))
@settings(max_examples=60, deadline=None)
def test_no_version_whose_event_arrives_waits_for_the_resync(seed, settle):
    """Whatever other readers of the queue do, and whoever dies."""
    world = World(seed, resync=1e9, settle=settle)
    for _ in range(40):
        world.step(TRUTH)
    world.poll_all(times=3)
    assert world.missed() == [set()] * 3
    assert world.twice() == []


def test_without_the_resync_a_lost_event_would_cost_a_version():
    """The first storm would notice."""
    missed = False
    for seed in range(20):
        world = World(seed, resync=1e12)
        for _ in range(40):
            world.step(LIES)
        world.queue.failure = 0
        world.pass_time(RESYNC)
        world.poll_all(times=3)
        missed |= world.missed() != [set()] * 3
    assert missed


def test_idle_polls_list_nothing_in_any_process():
    world = World(1)
    world.write(lies=["arrives"])
    world.poll_all(times=3)
    listings = [process.listings for process in world.processes]
    world.poll_all(times=30)
    assert [process.listings for process in world.processes] == listings
    assert world.missed() == [set()] * 3


@pytest.mark.parametrize("forged", ["other/x", "in/never.csv"])
def test_a_forged_event_costs_one_listing_at_most(forged):
    world = World(1)
    world.poll_all(times=3)
    before = [process.listings for process in world.processes]
    world.queue.put(as_text(event(forged, account="acct")))
    world.pass_time(POLL)
    world.poll_all(times=10)
    assert [process.listings - listings for process, listings in zip(world.processes, before, strict=True)] in (
        [[1, 1, 1]] if forged.startswith("in/") else [[0, 0, 0], [1, 1, 1]]
    )
    assert all(not process.found for process in world.processes)


def test_a_watcher_that_joins_while_the_folder_is_listed_is_not_forgotten():
    world = World(1)
    reader, location = world.processes[0].reader, Location(FOLDER, ContainerAccess(sas="sig=x"))
    world.pass_time(POLL)
    assert world.queue.run(reader.ask(location)) is None
    reader.forget()
    assert world.queue.run(reader.ask(location)) is not None
    reader.forget()
    reader.listed(waits=False)
    assert world.queue.run(reader.ask(location)) is not None
    reader.listed(waits=False)
    assert world.queue.run(reader.ask(location)) is None


@pytest.mark.parametrize("stored", [True, False])
def test_a_datastore_that_is_moved_while_a_task_waits_is_listed_in_its_new_place(stored):
    world = World(1)
    moved = FOLDER._replace(container_url="https://acct.blob.core.windows.net/elsewhere")
    reader = world.processes[0].reader
    if stored:
        state = WakeState.from_json(json.loads(json.dumps(reader.state.to_json())))
        reader = WakeReader(URL, RESYNC, None, world.lines.append_line, state=state, now=lambda: world.queue.now)
    assert world.queue.run(reader.ask(Location(FOLDER, ContainerAccess(sas="sig=x")))) is None
    location = Location(moved, ContainerAccess(sas="sig=x"))
    assert world.queue.run(reader.ask(location)) is not None
    reader.listed(waits=False)
    assert world.queue.run(reader.ask(location)) is None


def test_a_listing_that_fails_is_repeated_whatever_the_queue_says():
    world = World(1)
    reader, location = world.processes[0].reader, Location(FOLDER, ContainerAccess(sas="sig=x"))
    reader.forget()
    assert world.queue.run(reader.ask(location)) is not None
    assert world.queue.run(reader.ask(location)) is not None


def test_troubles_are_logged_once_with_the_next_step():
    world = World(1)
    world.queue.failure = 404
    world.processes[0].poll()
    world.pass_time(POLL)
    world.processes[0].poll()
    world.queue.failure = 0
    world.pass_time(10 * POLL)
    world.processes[0].poll()
    (first, warning), (second, _), (third, again) = world.lines
    assert (first, second, third) == (logging.WARNING, logging.INFO, logging.INFO)
    assert "Is there a queue https://acct.queue.core.windows.net/events?" in warning
    assert "Each poll lists the folder" in warning
    assert "can be read again" in again


def test_readers_of_one_process_share_a_page():
    world = World(1)
    pages = WakePages(lambda: world.queue.now)
    location = Location(FOLDER, ContainerAccess(sas="sig=x"))

    def reader(identity):
        sharing = Sharing(pages, identity, POLL / 2)
        return WakeReader(URL, RESYNC, None, world.lines.append_line, sharing=sharing, now=lambda: world.queue.now)

    readers, other = [reader("one") for _ in range(20)], reader("other")
    world.queue.asked.clear()
    for one in (*readers, other):
        assert world.queue.run(one.ask(location))
        one.listed(waits=False)
    assert world.queue.asked == ["peek", "peek"]
    world.queue.put(as_text(event("in/a", account="acct")))
    # It is found with the next page, which is half an interval younger at most.
    world.pass_time(POLL / 2)
    assert {world.queue.run(one.ask(location)) for one in readers} == {None}
    world.pass_time(POLL / 2)
    assert None not in {world.queue.run(one.ask(location)) for one in readers}
    assert world.queue.asked == ["peek"] * 3


def test_a_page_whose_messages_were_deleted_is_not_shared():
    world = World(1)
    pages = WakePages(lambda: world.queue.now)
    location = Location(FOLDER, ContainerAccess(sas="sig=x"))
    sharing = Sharing(pages, "one", POLL)
    one, two = (
        WakeReader(URL, RESYNC, None, world.lines.append_line, sharing=sharing, now=lambda: world.queue.now)
        for _ in range(2)
    )
    for number in range(3000):
        world.queue.put(as_text(event(f"other/{number}", account="acct")))
    for _ in range(3):
        world.pass_time(2 * POLL)
        assert world.queue.run(one.ask(location))
        one.listed(waits=False)
        assert world.queue.run(two.ask(location)), "more messages follow than are shown"
        two.listed(waits=False)
