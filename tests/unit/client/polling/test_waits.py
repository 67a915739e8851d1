"""The queue of waiting runs: the time of each poll."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.drivers.waiting_runs import World


@pytest.fixture
def world():
    return World()


def test_the_first_poll_comes_a_tenth_of_the_interval_after_the_wait_began(world):
    world.wait()
    world.run(1)
    world.wait()
    world.run(1.9)
    assert world.rounds == []
    world.run(0.2)
    assert world.rounds == [1003.0]
    world.wait(poll_interval=5.0)
    world.run(0.6)
    assert world.rounds == [1003.0, pytest.approx(1003.6)]


def test_the_second_poll_joins_the_round_of_the_others(world):
    first = world.wait()
    world.run(20)
    second = world.wait()
    world.run(60)
    assert world.polls[first] == [1003, 1033, 1063]
    assert world.polls[second] == [1023, 1033, 1063]


def test_a_long_wait_is_polled_less_often(world):
    wait = world.wait(poll_interval=30.0)
    world.run(3 * 3600)
    gaps = [later - sooner for sooner, later in pairwise(world.polls[wait])]
    assert set(gaps) == {30, 60, 120}
    assert gaps == sorted(gaps)
    at = 3.0
    for gap in gaps:
        assert gap == 30 or gap <= at / 20 + 30
        at += gap


def test_queues_do_not_poll_at_the_same_time():
    for stagger, interval in ((0.0, 30.0), (0.5, 30.75), (0.999, 31.5)):
        world = World(stagger=stagger)
        world.wait()
        world.run(70)
        assert world.rounds[1] - world.rounds[0] == pytest.approx(interval, abs=0.01)


def test_a_slightly_longer_interval_shares_rounds_with_the_others(world):
    patient, other = world.wait(poll_interval=33.0), world.wait(poll_interval=30.0)
    world.run(200)
    assert world.polls[patient] == world.polls[other] == world.rounds


def test_a_slow_service_is_polled_less_often(world):
    world.takes = 100.0
    world.wait()
    world.run(1000)
    gaps = [later - sooner for sooner, later in pairwise(world.rounds)]
    assert min(gaps) >= 115


def test_a_queue_without_waits_never_wakes(world):
    assert world.queue.wake_at() is None
    wait = world.wait()
    world.queue.leave(wait)
    world.queue.leave(wait)
    assert world.queue.wake_at() is None


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
def test_a_poll_is_never_early_and_only_a_little_late(waits, stagger, takes):
    world = World(stagger=stagger)
    world.takes = takes
    events = []
    for joins, interval, lasts in waits:
        events += [(joins, "join", interval, lasts)]
    open_waits = []
    begun_waits = []
    for joins, _, interval, lasts in sorted(events):
        for leaves, wait in sorted(open_waits, key=lambda item: item[0]):
            if leaves <= joins:
                world.run(max(0.0, 1000 + leaves - world.now))
                world.queue.leave(wait)
                open_waits.remove((leaves, wait))
        world.run(max(0.0, 1000 + joins - world.now))
        wait = world.wait(poll_interval=interval)
        begun_waits.append((wait, world.now, interval))
        open_waits.append((joins + lasts, wait))
    world.run(700)
    for wait, begun, interval in begun_waits:
        polled = world.polls.get(wait, [])
        if polled:
            assert polled[0] - begun <= min(3.0, interval / 10) + takes + 0.01
        for sooner, later in pairwise(polled[1:]):
            age = sooner + takes - begun
            # The interval when the next poll was planned.
            wanted = interval * (4 if age >= 80 * interval else 2 if age >= 40 * interval else 1)
            assert later - sooner >= wanted - 0.01
            assert later - sooner <= max(wanted * 1.05, takes + wanted / 2) + wanted * 0.25 + takes + 0.01
