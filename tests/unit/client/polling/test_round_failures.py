"""A round of polling: failures, and the waits that they end."""

from __future__ import annotations

from itertools import pairwise

import pytest
from support.drivers.waiting_runs import FOR_GOOD, THROTTLING, TRANSIENT, World, name, status_of

from aml_provider.client.errors import (
    AuthenticationRefused,
    BadRequest,
    Conflict,
    NotFound,
    PermissionDenied,
    ServerFault,
    Throttled,
)


@pytest.fixture
def world():
    return World()


def test_a_query_that_is_too_long_for_the_service_is_halved_and_later_ones_are_as_short(world):
    world.service.widest = 20
    waits = [world.wait() for _ in range(250)]
    world.run(3)
    assert all(status_of(wait) == "Running" for wait in waits)
    assert world.queue.width <= 20
    world.asked.clear()
    world.run(30)
    assert {len(ids) <= 20 for kind, ids in world.asked if kind == "query"} == {True}
    assert world.counted() == {"query": 16, "get": 2, "steps": 1}


@pytest.mark.parametrize("error", [BadRequest("x", status=400), *FOR_GOOD, *TRANSIENT], ids=repr)
def test_without_the_history_each_run_is_read(world, error):
    waits = [world.wait() for _ in range(50)]
    world.run(10)
    world.service.query_error = error
    world.run(1000)
    assert all(wait.error is None for wait in waits)
    world.service.runs[name(40)] = "Failed"
    world.run(31)
    assert waits[40].run.status == "Failed"


@pytest.mark.parametrize("error", TRANSIENT, ids=repr)
@pytest.mark.parametrize("runs", [1, 50])
def test_an_outage_within_the_budget_ends_no_wait(world, error, runs):
    waits = [world.wait() for _ in range(runs)]
    world.run(40)
    world.service.query_error = world.service.read_error = error
    world.asked.clear()
    world.run(110)
    # The others are not asked for when three have not been answered.
    assert world.counted().get("get", 0) <= 3 * 12
    world.service.query_error = world.service.read_error = None
    world.run(40)
    assert all(wait.error is None and wait.failing_since is None for wait in waits)
    assert all(status_of(wait) == "Running" for wait in waits)


@pytest.mark.parametrize("error", TRANSIENT, ids=repr)
@pytest.mark.parametrize("runs", [1, 50])
def test_an_outage_beyond_the_budget_ends_the_waits_with_the_error(world, error, runs):
    waits = [world.wait() for _ in range(runs)]
    world.run(40)
    world.service.query_error = world.service.read_error = error
    world.run(170)
    assert all(wait.error is error and wait.run is None for wait in waits)
    assert world.queue.wake_at() is None


LATER = 40.0
FAILING_UNTIL = [
    ServerFault("x", status=503, retry_after=LATER),
    Conflict("x", status=409, retry_after=LATER),
    AuthenticationRefused("x", status=401, retry_after=LATER),
]


@pytest.mark.parametrize("error", FAILING_UNTIL, ids=repr)
@pytest.mark.parametrize("runs", [1, 50])
def test_a_failure_with_retry_after_is_polled_again_then_and_still_has_a_budget(world, error, runs):
    waits = [world.wait() for _ in range(runs)]
    world.run(40)
    world.service.query_error = world.service.read_error = error
    world.run(170)
    assert all(wait.error is error and wait.run is None for wait in waits)
    # Each has failed at four polls, the last of them when the budget is used up.
    failed = world.polls[waits[0]][-4:]
    assert [later - sooner for sooner, later in pairwise(failed)] == [LATER] * 3
    assert world.queue.wake_at() is None


@pytest.mark.parametrize("error", FAILING_UNTIL, ids=repr)
def test_a_failure_with_retry_after_delays_no_other_wait(world, error):
    waits = [world.wait() for _ in range(20)]
    world.run(10)
    world.service.unreadable[name(2)] = error
    world.run(30)
    assert waits[2].failing_since is not None
    polled = len(world.polls[waits[9]])
    world.run(90)
    assert len(world.polls[waits[9]]) == polled + 3


def test_a_retry_after_beyond_the_budget_ends_the_wait(world):
    error = ServerFault("x", status=503, retry_after=121.0)
    wait = world.wait()
    world.run(10)
    world.service.read_error = error
    world.run(31)
    assert wait.error is error


def test_a_history_with_retry_after_is_not_queried_before_and_the_runs_are_read(world):
    waits = [world.wait() for _ in range(20)]
    world.run(10)
    world.service.query_error = ServerFault("x", status=503, retry_after=45.0)
    world.run(30)
    world.service.query_error = None
    world.asked.clear()
    world.run(30)
    assert world.counted() == {"get": 20}
    world.run(30)
    assert world.counted() == {"query": 1, "get": 2, "steps": 1}
    assert all(wait.failing_since is None for wait in waits)


def test_a_history_with_a_retry_after_of_hours_is_queried_again_after_the_budget(world):
    for _ in range(20):
        world.wait()
    world.run(10)
    world.service.query_error = ServerFault("x", status=503, retry_after=3600.0)
    world.run(300)
    assert [kind for kind, _ in world.asked].count("query") == 1 + 3


@pytest.mark.parametrize(
    "error",
    [*FOR_GOOD, PermissionDenied("x", status=403, retry_after=500.0), NotFound("x", status=404, retry_after=1.0)],
    ids=repr,
)
def test_a_run_that_cannot_be_read_ends_its_own_wait_only(world, error):
    waits = [world.wait() for _ in range(20)]
    world.run(10)
    world.service.unreadable[name(2)] = error
    world.run(31)
    assert waits[2].error is error
    world.run(600)
    assert [wait.error for wait in waits].count(None) == 19


def test_a_run_that_cannot_be_read_is_not_saved_by_the_history(world):
    waits = [world.wait() for _ in range(20)]
    world.service.unreadable[name(0)] = ServerFault("x", status=500)
    world.run(200)
    assert isinstance(waits[0].error, ServerFault)
    assert [wait.error for wait in waits].count(None) == 19


@pytest.mark.parametrize("runs", [1, 50])
@pytest.mark.parametrize("error", THROTTLING, ids=repr)
def test_being_throttled_ends_no_wait(world, error, runs):
    waits = [world.wait() for _ in range(runs)]
    world.run(10)
    world.service.query_error = world.service.read_error = error
    world.run(20000)
    assert all(wait.error is None for wait in waits)
    assert len(world.rounds) < 20000 / 25
    world.service.query_error = world.service.read_error = None
    world.service.end(name(0))
    world.run(600)
    assert waits[0].run.status == "Finished"


@pytest.mark.parametrize("error", THROTTLING[1:], ids=repr)
def test_under_throttling_nothing_is_asked_before_the_retry_after(world, error):
    for _ in range(1000):
        world.wait()
    world.run(10)
    world.service.query_error = error
    world.run(30)
    (at,) = [poll for poll in world.rounds if poll > 1010]
    world.asked.clear()
    world.wait()
    world.run(at + 499 - world.now)
    assert world.asked == []
    world.service.query_error = None
    world.run(2)
    assert world.counted() == {"query": 5, "get": 2, "steps": 1}


def test_an_outage_after_being_throttled_has_the_whole_budget(world):
    waits = [world.wait() for _ in range(3)]
    world.run(10)
    world.service.query_error = world.service.read_error = ServerFault("x", status=500)
    world.run(100)
    world.service.query_error = world.service.read_error = Throttled("x", status=429, retry_after=100.0)
    world.run(60)
    world.service.query_error = world.service.read_error = ServerFault("x", status=500)
    world.asked.clear()
    world.run(110)
    assert world.counted()["get"] > 3
    assert all(wait.error is None for wait in waits)


def test_an_outage_of_the_history_costs_one_query_in_each_round(world):
    for _ in range(1000):
        world.wait()
    world.service.query_error = ServerFault("x", status=500)
    world.run(3)
    assert world.counted() == {"query": 1, "get": 1000, "steps": 1}


def test_waits_that_are_tried_again_share_rounds():
    jitter = iter([n / 7 % 1 for n in range(10_000)])
    world = World(jitter=lambda: next(jitter))
    for _ in range(50):
        world.wait()
    world.run(40)
    rounds = len(world.rounds)
    world.service.query_error = world.service.read_error = ServerFault("x", status=500)
    world.run(110)
    assert len(world.rounds) - rounds <= 15


def test_a_run_that_could_not_be_read_is_the_next_to_be_read(world):
    waits = [world.wait() for _ in range(20)]
    world.run(10)
    # The two whose turn is next.
    world.service.unreadable[name(2)] = ServerFault("x", status=500)
    world.run(35)
    assert waits[2].failing_since is not None
    del world.service.unreadable[name(2)]
    world.run(40)
    assert waits[2].failing_since is None
    world.service.unreadable[name(0)] = ServerFault("x", status=500)
    world.run(20 * 30)
    assert isinstance(waits[0].error, ServerFault)
    assert [wait.error for wait in waits].count(None) == 19
