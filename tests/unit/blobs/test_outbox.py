"""Many watchers of one folder share one listing: the events of each, and its record after a crash."""

from __future__ import annotations

import fnmatch
import random

import pytest
from support.drivers.folder_polls import FOLDER, poll_once
from support.services.folder import FakeContainer

from aml_provider.blobs.access import ContainerAccess
from aml_provider.blobs.cursor import Cursor
from aml_provider.blobs.events import event_id, read_change_event, split
from aml_provider.blobs.rules import Rules
from aml_provider.blobs.shared_listing import SharedFolder, watch_folder
from aml_provider.client.errors import CredentialError
from aml_provider.stored import CursorUnreadable
from aml_provider.watching.outbox import WatcherRecord


class Folder:
    """A container, its polls, and the time."""

    def __init__(self):
        self.container = FakeContainer()
        self.shared = SharedFolder()
        self.now = 0.0

    def watch(self, record=WatcherRecord(), **rules):  # noqa: B008 - it is immutable
        return watch_folder(self.shared, Rules.of(**rules), record, self.now)

    def poll(self, *watchers):
        """Poll once; the names in the events of each watcher."""
        taken = poll_once(self.shared, self.container)
        return [names(watcher.take(taken, self.now)) for watcher in watchers]


def names(events):
    return [change["name"] for event in events for change in event["changes"]]


@pytest.fixture
def folder():
    return Folder()


def test_each_watcher_has_its_own_pattern_and_all_share_one_listing(folder):
    texts, numbers = folder.watch(pattern="*.txt"), folder.watch(pattern=["*.csv", "*.json"])
    everything = folder.watch()
    watchers = (texts, numbers, everything)
    folder.container.write("in/old.txt")
    assert folder.poll(*watchers) == [[], [], []]
    for name in ("a.txt", "a.csv", "a.json", "A.TXT"):
        folder.container.write(f"in/{name}")
    assert folder.poll(*watchers) == [["a.txt"], ["a.csv", "a.json"], ["A.TXT", "a.csv", "a.json", "a.txt"]]
    assert len(folder.container.asked) == 2
    assert folder.poll(*watchers) == [[], [], []]


def test_the_error_for_a_missing_token_names_the_identity(folder):
    watcher = folder.watch()
    right = ContainerAccess(identity="the service principal of x")
    flow = folder.shared.poll(FOLDER, right)
    next(flow)
    with pytest.raises(CredentialError, match="the service principal of x"):
        flow.throw(CredentialError("no token"))
    assert folder.poll(watcher) == [[]]


def test_watchers_with_equal_cursors_share_one_knowledge(folder):
    watchers = [folder.watch(pattern=f"{number}.csv") for number in range(50)]
    folder.container.write("in/7.csv")
    folder.poll(*watchers)
    assert len({watcher._knowledge for watcher in watchers}) == 1
    texts = {id(watcher.record.cursor_text) for watcher in watchers}
    assert len(texts) == 1


def test_a_knowledge_that_no_watcher_holds_is_not_polled(folder):
    watcher = folder.watch()
    folder.poll(watcher)
    assert folder.shared
    del watcher
    assert not folder.shared


def test_a_poll_whose_watchers_have_all_ended_meanwhile_lists_nothing(folder):
    """The source is asked for its watchers before the connection is made, and polled after that."""
    taken = poll_once(folder.shared, folder.container)
    assert dict(taken.steps) == {}
    assert folder.container.asked == []


def test_different_rules_share_the_listing(folder):
    eager, patient = folder.watch(), folder.watch(settle=60)
    folder.poll(eager, patient)
    folder.container.write("in/a.csv")
    assert folder.poll(eager, patient) == [["a.csv"], []]
    folder.container.now = folder.container.now.replace(hour=13)
    assert folder.poll(eager, patient) == [[], ["a.csv"]]
    assert len(folder.container.asked) == 3


def test_the_first_poll_remembers_or_reports(folder):
    folder.container.write("in/old.csv")
    remembers, reports = folder.watch(), folder.watch(on_first_poll="report")
    assert folder.poll(remembers, reports) == [[], ["old.csv"]]
    assert remembers.must_save
    assert reports.must_save
    # From now on they share one knowledge.
    folder.container.write("in/new.csv")
    assert folder.poll(remembers, reports) == [["new.csv"], ["new.csv"]]
    assert remembers._knowledge is reports._knowledge


def test_a_watcher_that_joins_late_loses_nothing(folder):
    early, late = folder.watch(), folder.watch()
    folder.poll(early, late)
    record, late = late.record, None
    folder.container.write("in/a.csv")
    assert folder.poll(early) == [["a.csv"]]
    late = folder.watch(record)
    folder.container.write("in/b.csv")
    assert folder.poll(early, late) == [["b.csv"], ["a.csv", "b.csv"]]
    assert early._knowledge is late._knowledge


def test_a_poll_before_it_joined_gives_no_events(folder):
    early = folder.watch()
    folder.poll(early)
    folder.container.write("in/a.csv")
    missed = poll_once(folder.shared, folder.container)
    early.take(missed, 0)
    late = folder.watch(early.record._replace(outbox=()))
    assert late.take(missed, 0) == []
    assert not late.must_save


def test_an_event_leaves_the_outbox_when_it_is_stored(folder):
    watcher = folder.watch()
    folder.poll(watcher)
    folder.container.write("in/a.csv")
    poll = poll_once(folder.shared, folder.container)
    events = watcher.take(poll, 0)
    assert poll.has_fired
    assert watcher.record.outbox == tuple(events)
    folder.container.write("in/b.csv")
    later = poll_once(folder.shared, folder.container)
    watcher.take(later, 0)
    assert names(watcher.record.outbox) == ["a.csv", "b.csv"]

    poll.is_stored = True
    folder.poll(watcher)
    assert names(watcher.record.outbox) == ["b.csv"]
    later.is_stored = True
    folder.poll(watcher)
    assert watcher.record.outbox == ()
    assert watcher.must_save
    folder.poll(watcher)
    assert not watcher.must_save


def test_a_watcher_repeats_the_events_of_a_dead_one_first(folder):
    watcher = folder.watch()
    folder.poll(watcher)
    for name in ("in/a.csv", "in/b.csv"):
        folder.container.write(name)
    (before,) = watcher.take(poll_once(folder.shared, folder.container), 0)
    heir = folder.watch(watcher.record)
    folder.container.write("in/c.csv")
    again, new = heir.take(poll_once(folder.shared, folder.container), 0)
    assert again == before
    assert names([new]) == ["c.csv"]


def test_refused_names_are_stored_only_now_and_then(folder):
    watcher = folder.watch(pattern="*.csv")
    folder.poll(watcher)
    before = watcher.record
    folder.container.write("in/a.txt")
    folder.poll(watcher)
    assert not watcher.must_save
    folder.now = 599
    folder.poll(watcher)
    assert not watcher.must_save
    folder.now = 600
    folder.poll(watcher)
    assert watcher.must_save
    assert len(Cursor.decode(before.cursor_text)) + 1 == len(Cursor.decode(watcher.record.cursor_text))
    folder.poll(watcher)
    assert not watcher.must_save
    # Another pattern later does not bring it back.
    assert folder.poll(folder.watch(watcher.record, pattern="*.txt")) == [[]]


def test_changes_beyond_the_limit_of_one_poll_come_with_the_next(folder):
    watcher = folder.watch(max_changes=2)
    folder.poll(watcher)
    for number in range(5):
        folder.container.write(f"in/{number}", age=100 - number)
    poll = poll_once(folder.shared, folder.container)
    assert poll.is_partial
    assert names(watcher.take(poll, 0)) == ["0", "1"]
    assert folder.poll(watcher) == [["2", "3"]]
    poll = poll_once(folder.shared, folder.container)
    assert not poll.is_partial
    assert names(watcher.take(poll, 0)) == ["4"]


def test_a_failed_page_moves_no_watcher(folder):
    one, other = folder.watch(), folder.watch(settle=1)
    folder.poll(one, other)
    folder.container.write("in/a.csv", age=5)
    folder.container.failures = [503]
    assert poll_once(folder.shared, folder.container) is None
    assert folder.poll(one, other) == [["a.csv"], ["a.csv"]]


@pytest.mark.parametrize("data", [None, [], "text", {}, {"format": 1}, {"format": 1, "cursor": "", "outbox": [{}]}])
def test_a_damaged_record_is_not_taken_for_a_missing_one(data):
    with pytest.raises(CursorUnreadable, match="damaged"):
        WatcherRecord.from_json(data, read_change_event)


def test_a_record_of_a_newer_format_is_not_taken_for_a_missing_one(folder):
    with pytest.raises(CursorUnreadable, match="format 2; this version reads 1"):
        WatcherRecord.from_json({"format": 2}, read_change_event)
    with pytest.raises(CursorUnreadable):
        folder.watch(WatcherRecord("1.00000000.AAAA"))


def test_a_watcher_record_survives_json(folder):
    watcher = folder.watch(on_first_poll="report")
    folder.container.write("in/ü.csv")
    folder.poll(watcher)
    assert WatcherRecord.from_json(watcher.record.to_json(), read_change_event) == watcher.record


class Death(Exception):
    pass


class Storm:
    """Uploads, polls and deaths at random, with what Airflow stores in its database.

    A watcher gets a poll in a triggerer, and may die there at every step: before it stores its record, before
    or while its events are stored, and before it learns of that.
    """

    PATTERNS = (None, "*.csv", ["a*", "*.txt"])
    NAMES = tuple(f"in/{stem}.{ending}" for stem in "abcdef" for ending in ("csv", "txt"))

    def __init__(self, seed):
        self.dice = random.Random(seed)
        self.folder = Folder()
        self.folder.container.page_size = self.dice.choice([3, 5000])
        self.patterns = self.dice.choices(self.PATTERNS, k=3)
        self.settles = self.dice.choices([0, 0, 30], k=3)
        self.records = [WatcherRecord() for _ in self.patterns]
        self.events = [[] for _ in self.patterns]  # as the database has them
        self.known = [None for _ in self.patterns]  # what a first poll was to pass over
        self.alive = [None for _ in self.patterns]
        self.polls = []

    def start(self, i):
        # As a new process does; it does not get polls from before.
        rules = {"pattern": self.patterns[i], "settle": self.settles[i]}
        self.alive[i] = self.folder.watch(
            WatcherRecord.from_json(self.records[i].to_json(), read_change_event)
            if self.records[i].cursor_text
            else WatcherRecord(),
            **rules,
        )

    def upload(self):
        container, dice = self.folder.container, self.dice
        name = dice.choice(self.NAMES)
        act = dice.choice(["write", "write", "write", "delete", "rename"])
        if act == "write":
            container.write(name, size=dice.choice([0, 1, 1, 1]))
        elif act == "delete":
            container.blobs.pop(name, None)
        elif name in container.blobs:
            # As with a hierarchical namespace: the date is kept, and the ETag too.
            ending = name.rpartition(".")[2]
            container.blobs[f"in/a{len(container.asked)}{dice.random()}.{ending}"] = container.blobs.pop(name)

    def poll(self, *, deadly=True):
        container = self.folder.container
        if deadly and self.dice.random() < 0.2:
            container.failures = [200] * self.dice.randrange(2) + [self.dice.choice([503, 403, 0])]
        if deadly and self.dice.random() < 0.3:
            container.arrivals = {len(container.asked) + 2: self.dice.choice(self.NAMES)}
        before = dict(container.blobs)
        poll = poll_once(self.folder.shared, container) if self.folder.shared else None
        container.failures = []
        container.arrivals = {}
        if poll is None:
            return
        listed = {(name, blob.etag) for name, blob in [*before.items(), *container.blobs.items()]}
        self.polls.append(poll)
        for i, watcher in enumerate(self.alive):
            if watcher is None:
                continue
            try:
                self.tell(i, watcher, poll, listed, deadly=deadly)
            except Death:
                self.alive[i] = None
        # A dead watcher's events that are not stored never will be; a poll is stored once no watcher is awaited.
        for earlier in self.polls:
            earlier.is_stored |= not deadly or self.dice.random() < 0.6

    def tell(self, i, watcher, poll, listed, *, deadly):
        def may_die():
            if deadly and self.dice.random() < 0.06:
                raise Death

        events = watcher.take(poll, self.folder.now)
        may_die()
        if watcher.must_save:
            if self.records[i].cursor_text is None:
                self.known[i] = listed
            self.records[i] = watcher.record
            may_die()
        for event in events:
            may_die()
            self.events[i].append(event)

    def calm(self):
        """Let everything arrive, and compare."""
        container = self.folder.container
        for i, watcher in enumerate(self.alive):
            if watcher is None:
                self.start(i)
        container.now = container.now.replace(year=container.now.year + 1)
        for _ in range(3):
            self.poll(deadly=False)
        for i, pattern in enumerate(self.patterns):
            ids = {}
            for event in self.events[i]:
                assert event["id"] == event_id(event["changes"])
                for change in event["changes"]:
                    ids.setdefault((change["path"], change["etag"]), set()).add(event["id"])
            assert all(len(found) == 1 for found in ids.values()), "a version came in two events"
            globs = ["*"] if pattern is None else [pattern] if isinstance(pattern, str) else pattern
            wanted = {
                (name, blob.etag)
                for name, blob in container.blobs.items()
                if blob.size and any(fnmatch.fnmatchcase(name.rpartition("/")[2], glob) for glob in globs)
            }
            assert wanted - (self.known[i] or set()) <= set(ids), "a version was lost"
            assert self.records[i].outbox == (), "an event that is stored stayed in the outbox"


@pytest.mark.parametrize("seeds", [range(start, start + 250) for start in range(0, 2000, 250)], ids=lambda r: str(r[0]))
def test_in_a_storm_each_version_is_fired_in_one_event(seeds):
    """Each version that survives is fired at least once, and always in the same event."""
    fired = 0
    for seed in seeds:
        storm = Storm(seed)
        for step in range(40):
            for i, watcher in enumerate(storm.alive):
                if watcher is None and storm.dice.random() < 0.4:
                    storm.start(i)
            storm.dice.choice([storm.upload, storm.upload, storm.poll])()
            storm.folder.now += storm.dice.choice([1, 700])
            if step % 13 == 12:
                storm.calm()
        storm.calm()
        fired += sum(map(len, storm.events))
    assert fired > 1000


def test_the_storm_notices_a_record_that_is_stored_after_its_events(monkeypatch):
    """A watcher that stores its record after its events, as the obvious one would, repeats versions in other events."""

    def tell(self, i, watcher, poll, listed, *, deadly):
        events = watcher.take(poll, self.folder.now)
        for event in events:
            self.events[i].append(event)
        if deadly and self.dice.random() < 0.06:
            raise Death
        if watcher.must_save:
            self.records[i] = watcher.record

    monkeypatch.setattr(Storm, "tell", tell)
    with pytest.raises(AssertionError, match="a version"):
        test_in_a_storm_each_version_is_fired_in_one_event(range(250))


def test_a_record_that_is_split_is_fired_in_order(folder):
    watcher = folder.watch(max_changes=5000)
    folder.poll(watcher)
    for number in range(2000):
        folder.container.write(f"in/{number:04}-{'n' * 200}")
    events = watcher.take(poll_once(folder.shared, folder.container), 0)
    assert len(events) > 1
    assert events == split([change for event in events for change in event["changes"]])
    assert watcher.record.outbox == tuple(events)
