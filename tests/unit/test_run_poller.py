"""Looking at many waiting runs: who is looked at when, what is asked, and what the answers mean."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.service import a_run

from aml_provider.client.errors import (
    AuthenticationRefused,
    BadRequest,
    CredentialError,
    InvalidArgument,
    MalformedReply,
    NotFound,
    PermissionDenied,
    ReplyLost,
    ServerFault,
    Throttled,
    Unreachable,
)
from aml_provider.client.look import Look
from aml_provider.client.protocol import RetryPolicy
from aml_provider.client.run_queries import Sighting, filter_of
from aml_provider.client.watchlist import WIDTH, Watch, Watchlist

TRANSIENT = [
    Unreachable("away"),
    ReplyLost("lost"),
    ServerFault("x", status=500),
    MalformedReply("x", status=200),
    AuthenticationRefused("x", status=401),
    CredentialError("no token"),
]
FOR_GOOD = [NotFound("x", status=404), PermissionDenied("x", status=403), InvalidArgument("run_id", "bad")]
THROTTLING = [
    Throttled("x", status=429),
    Throttled("x", status=429, retry_after=500.0),
    ServerFault("x", status=503, retry_after=500.0),
]
PAGE = 500


def name(number):
    return f"run-{number:05d}"


class Service:
    """A run history and a pipelines service."""

    def __init__(self):
        self.records = {}
        self.copies = {}
        self.steps = {}
        self.widest = 10**6
        self.query_error = self.record_error = self.steps_error = None
        self.unreadable = {}
        self.spell = str

    def submit(self, run_id, status="Running", steps=()):
        self.records[run_id] = self.copies[run_id] = status
        self.steps[run_id] = tuple(steps)

    def end(self, run_id, status="Finished"):
        self.records[run_id] = status
        self.copies[run_id] = {"Finished": "Completed"}.get(status, status)

    def query(self, run_ids):
        if self.query_error is not None:
            raise self.query_error
        if len(run_ids) > self.widest:
            raise BadRequest("query", status=400, message="The node count limit has been exceeded.")
        return [Sighting(run_id, self.copies[run_id]) for run_id in run_ids if run_id in self.copies]

    def get(self, run_id):
        error = self.unreadable.get(run_id, self.record_error)
        if error is not None:
            raise error
        if run_id not in self.records:
            raise NotFound("get", status=404)
        return a_run(self.records[run_id], Id=self.spell(run_id))


class World:
    """A list, a service, and a clock; carries looks out as the poller does."""

    def __init__(self, *, stagger=0.0, jitter=lambda: 1.0):
        self.list = Watchlist(RetryPolicy(budget=120.0, jitter=jitter), stagger=lambda: stagger)
        self.service = Service()
        self.now = 1000.0
        self.takes = 0.0
        self.asked = []
        self.looks = []
        self.looked = {}
        self.told = {}

    def watch(self, run_id=None, poll_interval=30.0, **how):
        run_id = run_id or name(len(self.service.records))
        if run_id not in self.service.records:
            self.service.submit(run_id, **how)
        told = []
        watch = Watch(run_id, poll_interval, lambda: told.append(self.now))
        self.told[watch] = told
        self.list.join(watch, self.now)
        return watch

    def run(self, seconds):
        """Let time pass."""
        end = self.now + seconds
        while (wake := self.list.wake_at()) is not None and wake <= end:
            self.now = max(self.now, wake)
            self.look()
        self.now = end

    def look(self):
        due = self.list.due(self.now)
        assert due, "it woke up for nothing"
        assert len(self.looks) < 5000, "it does not end"
        self.looks.append(self.now)
        for watch in due:
            self.looked.setdefault(watch, []).append(self.now)
        look = Look(self.list, due, self.now)
        self.now += self.takes
        while look.batches:
            ids = look.batches.pop(0)
            self.asked.append(("query", ids))
            try:
                look.found(self.service.query(ids))
            except Exception as error:  # noqa: BLE001 - as AzureMLError
                look.lost(ids, error, self.now)
        for run_id in look.records():
            if look.is_down:
                break
            self.asked.append(("get", (run_id,)))
            try:
                look.read(run_id, self.service.get(run_id))
            except Exception as error:  # noqa: BLE001 - as AzureMLError
                look.missed(run_id, error, self.now)
        parents = look.parents()
        if parents:
            self.asked.append(("steps", tuple(parents)))
            if self.service.steps_error is not None:
                look.steps_refused(self.service.steps_error, self.now)
            else:
                look.stepped({run_id: self.service.steps.get(run_id, ()) for run_id in parents})
        for watch in look.close(self.now):
            watch.tell()
        assert str(look)

    def counted(self):
        """How much was asked since the last time."""
        counted = Counter(kind for kind, _ in self.asked)
        self.asked.clear()
        return dict(counted)


@pytest.fixture
def world():
    return World()


def statuses(watch):
    return watch.progress and watch.progress.status


# What is asked


def test_the_filter_names_every_run():
    assert filter_of("RunId", ["a", "b"]) == "(RunId eq a or RunId eq b)"
    assert re.fullmatch(r"\(ParentRunId eq a\)", filter_of("ParentRunId", ["a"]))


@pytest.mark.parametrize(("runs", "queries"), [(10, 1), (WIDTH, 1), (WIDTH + 1, 2), (1000, 4), (5000, 20)])
def test_a_round_costs_a_query_for_hundreds_of_runs(world, runs, queries):
    watches = [world.watch() for _ in range(runs)]
    world.run(3)
    assert world.counted() == {"query": queries, "get": 2, "steps": 1}
    world.run(300)
    assert world.counted() == {"query": 10 * queries, "get": 20, "steps": 10}
    assert all(statuses(watch) == "Running" for watch in watches)


def test_a_thousand_waits_are_ten_requests_per_interval_whenever_they_began(world):
    for _ in range(1000):
        world.watch()
        world.run(0.04)
    world.run(60)
    world.counted()
    world.run(300)
    assert sum(world.counted().values()) <= 10 * 10


@pytest.mark.parametrize("takes", [0.0, 0.7, 2.5])
@pytest.mark.parametrize("gap", [0.13, 0.7, 3.1])
def test_waits_that_begin_one_by_one_come_in_step(gap, takes):
    world = World(stagger=0.4)
    world.takes = takes
    for _ in range(300):
        world.watch()
        world.run(gap)
    world.run(90)
    looks = len(world.looks)
    world.run(6 * 31)
    assert len(world.looks) - looks <= 7


def test_what_had_to_be_tried_again_comes_in_step_again(world):
    watches = [world.watch() for _ in range(20)]
    world.run(40)
    for n in (2, 3):
        world.service.unreadable[name(n)] = ServerFault("x", status=500)
    world.run(35)
    world.service.unreadable.clear()
    world.run(60)
    looks = len(world.looks)
    world.run(300)
    assert len(world.looks) - looks == 10
    assert all(watch.failing_since is None for watch in watches)


def test_those_who_were_not_looked_at_when_throttled_come_in_step_again(world):
    for _ in range(600):
        world.watch()
    world.run(40)
    world.service.query_error = Throttled("x", status=429, retry_after=50.0)
    world.run(30)
    world.watch()
    world.service.query_error = None
    world.run(100)
    looks = len(world.looks)
    world.run(300)
    assert len(world.looks) - looks == 10


@pytest.mark.parametrize("runs", [1, 2])
def test_one_or_two_runs_are_simply_read(world, runs):
    for _ in range(runs):
        world.watch(steps=[("work", "Running")])
    world.run(3)
    assert world.counted() == {"get": runs, "steps": 1}


def test_no_query_is_longer_than_another(world):
    for _ in range(600):
        world.watch()
    world.run(3)
    assert [len(ids) for kind, ids in world.asked if kind == "query"] == [250, 250, 100]
    assert {run_id for kind, ids in world.asked if kind == "query" for run_id in ids} == {name(n) for n in range(600)}


def test_one_run_that_two_wait_for_is_asked_for_once(world):
    runs = [world.watch(name(0)), world.watch(name(0)), world.watch(name(1))]
    world.run(3)
    assert world.counted() == {"get": 2, "steps": 1}
    world.service.end(name(0))
    world.run(60)
    assert [watch.run is not None for watch in runs] == [True, True, False]


@pytest.mark.parametrize("odd", ["x or RunId ne null", "null", 'a"b', "a)", "run 1 and more"])
def test_an_id_that_could_mean_something_to_the_filter_is_asked_for_by_itself(world, odd):
    watches = [world.watch(odd), *(world.watch() for _ in range(3))]
    world.run(3)
    (queried,) = [ids for kind, ids in world.asked if kind == "query"]
    assert odd not in queried
    assert ("get", (odd,)) in world.asked
    assert all(odd not in ids for kind, ids in world.asked if kind == "steps")
    assert all(statuses(watch) == "Running" for watch in watches)


# When


def test_newcomers_wait_for_each_other_a_tenth_of_their_interval(world):
    world.watch()
    world.run(1)
    world.watch()
    world.run(1.9)
    assert world.looks == []
    world.run(0.2)
    assert world.looks == [1003.0]
    world.watch(poll_interval=5.0)
    world.run(0.6)
    assert world.looks == [1003.0, pytest.approx(1003.6)]


def test_the_second_look_is_that_of_the_others(world):
    first = world.watch()
    world.run(20)
    second = world.watch()
    world.run(60)
    assert world.looked[first] == [1003, 1033, 1063]
    assert world.looked[second] == [1023, 1033, 1063]


def test_a_long_wait_is_looked_at_less_often(world):
    watch = world.watch(poll_interval=30.0)
    world.run(3 * 3600)
    gaps = [later - sooner for sooner, later in pairwise(world.looked[watch])]
    assert set(gaps) == {30, 60, 120}
    assert gaps == sorted(gaps)
    at = 3.0
    for gap in gaps:
        assert gap == 30 or gap <= at / 20 + 30
        at += gap


def test_lists_do_not_go_in_step():
    for stagger, interval in ((0.0, 30.0), (0.5, 30.75), (0.999, 31.5)):
        world = World(stagger=stagger)
        world.watch()
        world.run(70)
        assert world.looks[1] - world.looks[0] == pytest.approx(interval, abs=0.01)


def test_who_asks_for_a_little_more_is_looked_at_with_the_others(world):
    patient, other = world.watch(poll_interval=33.0), world.watch(poll_interval=30.0)
    world.run(200)
    assert world.looked[patient] == world.looked[other] == world.looks


def test_a_slow_service_is_asked_less_often(world):
    world.takes = 100.0
    world.watch()
    world.run(1000)
    gaps = [later - sooner for sooner, later in pairwise(world.looks)]
    assert min(gaps) >= 115


def test_a_list_without_waits_never_wakes(world):
    assert world.list.wake_at() is None
    watch = world.watch()
    world.list.leave(watch)
    world.list.leave(watch)
    assert world.list.wake_at() is None


@settings(max_examples=150, deadline=None)
@given(
    waits=st.lists(
        st.tuples(st.floats(0, 600), st.sampled_from([5.0, 30.0, 30.0, 30.0, 45.0, 61.0, 300.0]), st.floats(0, 2000)),
        min_size=1,
        max_size=25,
    ),
    stagger=st.floats(0, 0.99),
    takes=st.floats(0, 2),
)
def test_never_sooner_than_asked_for_and_little_later(waits, stagger, takes):
    world = World(stagger=stagger)
    world.takes = takes
    events = []
    for joins, interval, lasts in waits:
        events += [(joins, "join", interval, lasts)]
    open_waits = []
    watches = []
    for joins, _, interval, lasts in sorted(events):
        for leaves, watch in sorted(open_waits, key=lambda item: item[0]):
            if leaves <= joins:
                world.run(max(0.0, 1000 + leaves - world.now))
                world.list.leave(watch)
                open_waits.remove((leaves, watch))
        world.run(max(0.0, 1000 + joins - world.now))
        watch = world.watch(poll_interval=interval)
        watches.append((watch, world.now, interval))
        open_waits.append((joins + lasts, watch))
    world.run(700)
    for watch, begun, interval in watches:
        looked = world.looked.get(watch, [])
        if looked:
            assert looked[0] - begun <= min(3.0, interval / 10) + takes + 0.01
        for sooner, later in pairwise(looked[1:]):
            age = sooner + takes - begun
            # What it was when the next look was planned.
            wanted = interval * (4 if age >= 80 * interval else 2 if age >= 40 * interval else 1)
            assert later - sooner >= wanted - 0.01
            assert later - sooner <= max(wanted * 1.05, takes + wanted / 2) + wanted * 0.25 + takes + 0.01


# What the answers mean


@pytest.mark.parametrize("how", ["Finished", "Failed", "Canceled"])
@pytest.mark.parametrize("runs", [1, 20])
def test_an_end_is_told_with_its_record(world, how, runs):
    watches = [world.watch() for _ in range(runs)]
    world.run(10)
    world.service.end(name(0), how)
    world.run(30)
    ended, *others = watches
    assert (ended.run.status, statuses(ended)) == (how, how)
    assert all(watch.run is None for watch in others)
    looked = len(world.looked[ended])
    world.run(300)
    assert len(world.looked[ended]) == looked


def test_an_end_that_the_record_does_not_confirm_is_none(world):
    watches = [world.watch() for _ in range(20)]
    world.run(10)
    world.service.copies[name(0)] = "Completed"
    world.run(90)
    assert watches[0].run is None
    assert statuses(watches[0]) == "Running"
    world.service.records[name(0)] = "Finished"
    world.run(40)
    assert watches[0].run.status == "Finished"


@pytest.mark.parametrize("runs", [1, 20])
def test_an_id_may_come_back_in_other_letters(world, runs):
    world.service.spell = str.upper
    watches = [world.watch() for _ in range(runs)]
    world.run(100)
    assert len(world.looks) <= 5
    world.service.end(name(0))
    world.run(40)
    assert watches[0].run.status == "Finished"


def test_a_run_that_the_history_does_not_know_is_read_by_itself(world):
    watches = [world.watch() for _ in range(20)]
    del world.service.copies[name(7)]
    world.run(10)
    assert statuses(watches[7]) == "Running"
    world.service.records[name(7)] = "Finished"
    world.run(30)
    assert watches[7].run.status == "Finished"


def test_no_run_waits_for_ever_for_a_history_that_stands_still(world):
    watches = [world.watch() for _ in range(20)]
    world.run(10)
    for n in range(20):
        world.service.records[name(n)] = "Finished"
    world.run(15 * 30)
    assert all(watch.run is not None for watch in watches)


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("Completed", "Running"),
        ("Preparing", "Running"),
        ("CancelRequested", "Running"),
        ("Queued", "Queued"),
        ("Hibernating", "Hibernating"),
    ],
)
def test_the_history_s_words_are_those_of_the_record_and_unknown_is_no_end(world, word, told):
    watches = [world.watch() for _ in range(20)]
    world.service.copies[name(15)] = word
    world.run(100)
    assert statuses(watches[15]) == told
    assert watches[15].run is None


def test_only_what_has_changed_is_told(world):
    watches = [world.watch(steps=[("work", "Running")]) for _ in range(5)]
    world.run(100)
    assert [len(world.told[watch]) for watch in watches] == [1] * 5
    world.service.steps[name(3)] = (("work", "Completed"),)
    world.run(40)
    assert [len(world.told[watch]) for watch in watches] == [1, 1, 1, 2, 1]
    assert str(watches[3].progress) == "Running (work Completed)"


# Steps


def test_steps_of_many_runs_are_listed_in_turn(world):
    watches = [world.watch(steps=[(f"s{n}", "Running") for n in range(20)]) for _ in range(100)]
    world.run(3)
    assert sum(len(watch.steps or ()) for watch in watches) == 50 * 20
    for _ in range(5):
        world.asked.clear()
        world.run(30)
        (parents,) = [ids for kind, ids in world.asked if kind == "steps"]
        assert sum(20 for _ in parents) <= PAGE or len(parents) == 50
    assert all(len(watch.steps) == 20 for watch in watches)


def test_steps_of_what_has_changed_are_listed_first(world):
    for _ in range(200):
        world.watch(steps=[(f"s{n}", "Running") for n in range(20)])
    world.run(400)
    world.asked.clear()
    world.service.end(name(150))
    world.service.copies[name(151)] = "Queued"
    world.run(30)
    (parents,) = [ids for kind, ids in world.asked if kind == "steps"]
    assert set(parents[:2]) == {name(150), name(151)}


def test_no_old_steps_are_told_of_what_has_ended(world):
    watches = [world.watch(steps=[("work", "Running")] * 20) for _ in range(100)]
    world.run(200)
    for n in range(100):
        world.service.end(name(n))
        world.service.steps[name(n)] = (("work", "Completed"),) * 20
    world.run(30)
    assert {str(watch.progress).replace("work Completed, ", "") for watch in watches} == {
        "Finished",
        "Finished (work Completed)",
    }


def test_a_service_that_takes_no_query_for_steps_is_asked_for_one_run_s(world):
    watches = [world.watch(steps=[("work", "Running")]) for _ in range(5)]
    world.service.steps_error = BadRequest("x", status=400)
    world.run(3)
    world.service.steps_error = None
    world.asked.clear()
    world.run(30)
    assert [len(ids) for kind, ids in world.asked if kind == "steps"] == [1]
    world.run(120)
    assert all(watch.steps for watch in watches)


@pytest.mark.parametrize("error", [*TRANSIENT, *FOR_GOOD, *THROTTLING], ids=repr)
def test_steps_that_cannot_be_listed_end_no_wait(world, error):
    watches = [world.watch() for _ in range(5)]
    world.service.steps_error = error
    world.run(2000)
    assert all(watch.error is None and statuses(watch) == "Running" for watch in watches)


# What fails


def test_a_query_that_is_too_long_for_the_service_is_halved_once_and_for_all(world):
    world.service.widest = 20
    watches = [world.watch() for _ in range(250)]
    world.run(3)
    assert all(statuses(watch) == "Running" for watch in watches)
    assert world.list.width <= 20
    world.asked.clear()
    world.run(30)
    assert {len(ids) <= 20 for kind, ids in world.asked if kind == "query"} == {True}
    assert world.counted() == {"query": 16, "get": 2, "steps": 1}


@pytest.mark.parametrize("error", [BadRequest("x", status=400), *FOR_GOOD, *TRANSIENT], ids=repr)
def test_without_the_history_every_run_is_read_by_itself(world, error):
    watches = [world.watch() for _ in range(50)]
    world.run(10)
    world.service.query_error = error
    world.run(1000)
    assert all(watch.error is None for watch in watches)
    world.service.records[name(40)] = "Failed"
    world.run(31)
    assert watches[40].run.status == "Failed"


@pytest.mark.parametrize("error", TRANSIENT, ids=repr)
@pytest.mark.parametrize("runs", [1, 50])
def test_an_outage_within_the_budget_is_passed_over(world, error, runs):
    watches = [world.watch() for _ in range(runs)]
    world.run(40)
    world.service.query_error = world.service.record_error = error
    world.asked.clear()
    world.run(110)
    # The others are not asked for when three have not been answered.
    assert world.counted().get("get", 0) <= 3 * 12
    world.service.query_error = world.service.record_error = None
    world.run(40)
    assert all(watch.error is None and watch.failing_since is None for watch in watches)
    assert all(statuses(watch) == "Running" for watch in watches)


@pytest.mark.parametrize("error", TRANSIENT, ids=repr)
@pytest.mark.parametrize("runs", [1, 50])
def test_an_outage_beyond_the_budget_ends_the_waits_with_the_error(world, error, runs):
    watches = [world.watch() for _ in range(runs)]
    world.run(40)
    world.service.query_error = world.service.record_error = error
    world.run(170)
    assert all(watch.error is error and watch.run is None for watch in watches)
    assert world.list.wake_at() is None


@pytest.mark.parametrize("error", FOR_GOOD, ids=repr)
def test_a_run_that_cannot_be_read_ends_its_own_wait_only(world, error):
    watches = [world.watch() for _ in range(20)]
    world.run(10)
    world.service.unreadable[name(2)] = error
    world.run(31)
    assert watches[2].error is error
    world.run(600)
    assert [watch.error for watch in watches].count(None) == 19


def test_a_record_that_fails_is_not_made_good_by_the_copy(world):
    watches = [world.watch() for _ in range(20)]
    world.service.unreadable[name(0)] = ServerFault("x", status=500)
    world.run(200)
    assert isinstance(watches[0].error, ServerFault)
    assert [watch.error for watch in watches].count(None) == 19


@pytest.mark.parametrize("runs", [1, 50])
@pytest.mark.parametrize("error", THROTTLING, ids=repr)
def test_being_throttled_ends_no_wait(world, error, runs):
    watches = [world.watch() for _ in range(runs)]
    world.run(10)
    world.service.query_error = world.service.record_error = error
    world.run(20000)
    assert all(watch.error is None for watch in watches)
    assert len(world.looks) < 20000 / 25
    world.service.query_error = world.service.record_error = None
    world.service.end(name(0))
    world.run(600)
    assert watches[0].run.status == "Finished"


@pytest.mark.parametrize("error", THROTTLING[1:], ids=repr)
def test_nothing_is_asked_before_the_service_wants_it(world, error):
    for _ in range(1000):
        world.watch()
    world.run(10)
    world.service.query_error = error
    world.run(30)
    (at,) = [look for look in world.looks if look > 1010]
    world.asked.clear()
    world.watch()
    world.run(at + 499 - world.now)
    assert world.asked == []
    world.service.query_error = None
    world.run(2)
    assert world.counted() == {"query": 5, "get": 2, "steps": 1}


def test_an_outage_after_being_throttled_has_the_whole_budget(world):
    watches = [world.watch() for _ in range(3)]
    world.run(10)
    world.service.query_error = world.service.record_error = ServerFault("x", status=500)
    world.run(100)
    world.service.query_error = world.service.record_error = Throttled("x", status=429, retry_after=100.0)
    world.run(60)
    world.service.query_error = world.service.record_error = ServerFault("x", status=500)
    world.asked.clear()
    world.run(110)
    assert world.counted()["get"] > 3
    assert all(watch.error is None for watch in watches)


def test_an_outage_of_the_history_costs_one_query_in_each_look(world):
    for _ in range(1000):
        world.watch()
    world.service.query_error = ServerFault("x", status=500)
    world.run(3)
    assert world.counted() == {"query": 1, "get": 1000, "steps": 1}


def test_those_who_are_tried_again_are_tried_together():
    jitter = iter([n / 7 % 1 for n in range(10_000)])
    world = World(jitter=lambda: next(jitter))
    for _ in range(50):
        world.watch()
    world.run(40)
    looks = len(world.looks)
    world.service.query_error = world.service.record_error = ServerFault("x", status=500)
    world.run(110)
    assert len(world.looks) - looks <= 15


def test_a_record_that_could_not_be_read_is_read_again_before_all_others(world):
    watches = [world.watch() for _ in range(20)]
    world.run(10)
    # The two whose turn is next.
    world.service.unreadable[name(2)] = ServerFault("x", status=500)
    world.run(35)
    assert watches[2].failing_since is not None
    del world.service.unreadable[name(2)]
    world.run(40)
    assert watches[2].failing_since is None
    world.service.unreadable[name(0)] = ServerFault("x", status=500)
    world.run(20 * 30)
    assert isinstance(watches[0].error, ServerFault)
    assert [watch.error for watch in watches].count(None) == 19
