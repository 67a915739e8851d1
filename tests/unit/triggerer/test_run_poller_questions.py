"""Looking at many waiting runs: what is asked, and how often."""

from __future__ import annotations

import re

import pytest
from support.drivers.waiting_runs import World, name, statuses

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
