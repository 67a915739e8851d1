"""Looking at many waiting runs: who is looked at when."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.drivers.waiting_runs import World


@pytest.fixture
def world():
    return World()


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
