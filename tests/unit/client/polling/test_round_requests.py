"""A round of polling: its requests, and how many there are."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from support.drivers.waiting_runs import World, name, status_of

from aml_provider.client.errors import ServerFault, Throttled
from aml_provider.client.polling.queries import filter_of
from aml_provider.client.polling.waits import WIDTH


@pytest.fixture
def world():
    return World()


def test_the_filter_names_every_run():
    assert filter_of("RunId", ["a", "b"]) == "(RunId eq a or RunId eq b)"
    assert re.fullmatch(r"\(ParentRunId eq a\)", filter_of("ParentRunId", ["a"]))


@pytest.mark.parametrize(("runs", "queries"), [(10, 1), (WIDTH, 1), (WIDTH + 1, 2), (1000, 4), (5000, 20)])
def test_a_round_costs_a_query_for_hundreds_of_runs(world, runs, queries):
    waits = [world.wait() for _ in range(runs)]
    world.run(3)
    assert world.counted() == {"query": queries, "get": 2, "steps": 1}
    world.run(300)
    assert world.counted() == {"query": 10 * queries, "get": 20, "steps": 10}
    assert all(status_of(wait) == "Running" for wait in waits)


def test_a_thousand_waits_are_ten_requests_per_interval_whenever_they_began(world):
    for _ in range(1000):
        world.wait()
        world.run(0.04)
    world.run(60)
    world.counted()
    world.run(300)
    assert sum(world.counted().values()) <= 10 * 10


@pytest.mark.parametrize("takes", [0.0, 0.7, 2.5])
@pytest.mark.parametrize("gap", [0.13, 0.7, 3.1])
def test_waits_that_begin_one_by_one_come_to_share_rounds(gap, takes):
    world = World(stagger=0.4)
    world.takes = takes
    for _ in range(300):
        world.wait()
        world.run(gap)
    world.run(90)
    rounds = len(world.rounds)
    world.run(6 * 31)
    assert len(world.rounds) - rounds <= 7


def test_waits_that_were_tried_again_share_rounds_later(world):
    waits = [world.wait() for _ in range(20)]
    world.run(40)
    for n in (2, 3):
        world.service.unreadable[name(n)] = ServerFault("x", status=500)
    world.run(35)
    world.service.unreadable.clear()
    world.run(60)
    rounds = len(world.rounds)
    world.run(300)
    assert len(world.rounds) - rounds == 10
    assert all(wait.failing_since is None for wait in waits)


def test_waits_that_were_throttled_share_rounds_later(world):
    for _ in range(600):
        world.wait()
    world.run(40)
    world.service.query_error = Throttled("x", status=429, retry_after=50.0)
    world.run(30)
    world.wait()
    world.service.query_error = None
    world.run(100)
    rounds = len(world.rounds)
    world.run(300)
    assert len(world.rounds) - rounds == 10


def test_hundreds_of_runs_that_end_together_end_their_waits_in_rounds_that_follow_at_once(world):
    waits = [world.wait(steps=[("work", "Running")]) for _ in range(320)]
    world.run(40)
    for number in range(300):
        world.service.end(name(number))
        world.service.steps[name(number)] = [("work", "Finished")]
    world.counted()
    world.rounds.clear()
    world.takes = 0.5
    world.run(34)
    ended, others = waits[:300], waits[300:]
    assert all(wait.run.status == "Finished" for wait in ended)
    assert all(wait.run is None for wait in others)
    # The steps of each are listed, as they fit one page.
    assert all(wait.progress.steps == [("work", "Finished")] for wait in ended)
    # Each round ends as many, and begins when the one before is over.
    at = [world.notified[wait][-1] for wait in ended]
    assert sorted(Counter(at).values()) == [50] * 6
    assert max(at) - min(at) == pytest.approx(5 * world.takes)
    # Two queries while more than 250 runs are left; each run that has ended is read once, and none of the others is.
    assert world.counted() == {"query": 2 + 5, "get": 300, "steps": 6}
    assert all(status_of(wait) == "Running" for wait in others)


def test_ends_that_the_runs_do_not_confirm_do_not_make_it_poll_without_a_pause(world):
    waits = [world.wait() for _ in range(320)]
    world.run(40)
    for number in range(300):
        world.service.history[name(number)] = "Completed"
    world.rounds.clear()
    world.run(300)
    assert all(wait.run is None and status_of(wait) == "Running" for wait in waits)
    assert len(world.rounds) <= 10 * 6


@pytest.mark.parametrize("error", [ServerFault("x", status=500), Throttled("x", status=429)])
def test_after_a_failure_the_runs_that_are_left_wait_as_the_others_do(world, error):
    waits = [world.wait() for _ in range(320)]
    world.run(40)
    for number in range(300):
        world.service.end(name(number))
    world.service.read_error = error
    world.rounds.clear()
    world.run(60)
    assert len(world.rounds) == len(set(world.rounds))
    world.service.read_error = None
    world.run(90)
    assert all(wait.run.status == "Finished" for wait in waits[:300])


@pytest.mark.parametrize("runs", [1, 2])
def test_one_or_two_runs_are_simply_read(world, runs):
    for _ in range(runs):
        world.wait(steps=[("work", "Running")])
    world.run(3)
    assert world.counted() == {"get": runs, "steps": 1}


def test_no_query_is_longer_than_another(world):
    for _ in range(600):
        world.wait()
    world.run(3)
    assert [len(ids) for kind, ids in world.asked if kind == "query"] == [250, 250, 100]
    assert {run_id for kind, ids in world.asked if kind == "query" for run_id in ids} == {name(n) for n in range(600)}


def test_two_waits_for_one_run_cost_one_request(world):
    runs = [world.wait(name(0)), world.wait(name(0)), world.wait(name(1))]
    world.run(3)
    assert world.counted() == {"get": 2, "steps": 1}
    world.service.end(name(0))
    world.run(60)
    assert [wait.run is not None for wait in runs] == [True, True, False]


@pytest.mark.parametrize("odd", ["x or RunId ne null", "null", 'a"b', "a)", "run 1 and more"])
def test_an_id_that_could_have_a_meaning_in_the_filter_is_not_queried(world, odd):
    waits = [world.wait(odd), *(world.wait() for _ in range(3))]
    world.run(3)
    (queried,) = [ids for kind, ids in world.asked if kind == "query"]
    assert odd not in queried
    assert ("get", (odd,)) in world.asked
    assert all(odd not in ids for kind, ids in world.asked if kind == "steps")
    assert all(status_of(wait) == "Running" for wait in waits)
