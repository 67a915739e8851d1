"""A round of polling: the meaning of each answer."""

from __future__ import annotations

import pytest
from support.drivers.waiting_runs import FOR_GOOD, THROTTLING, TRANSIENT, World, name, status_of

from aml_provider.client.errors import BadRequest
from aml_provider.client.polling.waits import WaitQueue


@pytest.fixture
def world():
    return World()


@pytest.mark.parametrize("how", ["Finished", "Failed", "Canceled"])
@pytest.mark.parametrize("runs", [1, 20])
def test_a_wait_ends_with_the_run_that_was_read(world, how, runs):
    waits = [world.wait() for _ in range(runs)]
    world.run(10)
    world.service.end(name(0), how)
    world.run(30)
    ended, *others = waits
    assert (ended.run.status, status_of(ended)) == (how, how)
    assert all(wait.run is None for wait in others)
    polled = len(world.polls[ended])
    world.run(300)
    assert len(world.polls[ended]) == polled


def test_an_end_in_the_history_that_the_run_does_not_confirm_ends_no_wait(world):
    waits = [world.wait() for _ in range(20)]
    world.run(10)
    world.service.history[name(0)] = "Completed"
    world.run(90)
    assert waits[0].run is None
    assert status_of(waits[0]) == "Running"
    world.service.runs[name(0)] = "Finished"
    world.run(40)
    assert waits[0].run.status == "Finished"


@pytest.mark.parametrize("runs", [1, 20])
def test_an_id_may_come_back_in_other_letters(world, runs):
    world.service.spell = str.upper
    waits = [world.wait() for _ in range(runs)]
    world.run(100)
    assert len(world.rounds) <= 5
    world.service.end(name(0))
    world.run(40)
    assert waits[0].run.status == "Finished"


def test_a_run_that_the_history_does_not_know_is_read(world):
    waits = [world.wait() for _ in range(20)]
    del world.service.history[name(7)]
    world.run(10)
    assert status_of(waits[7]) == "Running"
    world.service.runs[name(7)] = "Finished"
    world.run(30)
    assert waits[7].run.status == "Finished"


def test_a_history_that_is_no_longer_updated_delays_ends_but_hides_none(world):
    waits = [world.wait() for _ in range(20)]
    world.run(10)
    for n in range(20):
        world.service.runs[name(n)] = "Finished"
    world.run(15 * 30)
    assert all(wait.run is not None for wait in waits)


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("Completed", "Running"),
        ("Preparing", "Running"),
        ("CancelRequested", "Running"),
        ("Queued", "Queued"),
        ("Hibernating", "Hibernating"),
    ],
)
def test_the_history_s_words_become_those_of_the_service_and_an_unknown_one_is_not_an_end(world, word, status):
    waits = [world.wait() for _ in range(20)]
    world.service.history[name(15)] = word
    world.run(100)
    assert status_of(waits[15]) == status
    assert waits[15].run is None


def test_only_changes_are_news(world):
    waits = [world.wait(steps=[("work", "Running")]) for _ in range(5)]
    world.run(100)
    assert [len(world.notified[wait]) for wait in waits] == [1] * 5
    world.service.steps[name(3)] = (("work", "Completed"),)
    world.run(40)
    assert [len(world.notified[wait]) for wait in waits] == [1, 1, 1, 2, 1]
    assert str(waits[3].progress) == "Running (work Completed)"


def test_a_wait_without_news_is_notified_at_growing_intervals(world):
    waits = [world.wait() for _ in range(5)]
    begun = world.now
    world.run(86_400)
    for wait in waits:
        minutes = [(at - begun) / 60 for at in world.notified[wait]]
        # A long wait is polled in every fourth round only, so a line may be late by two minutes.
        for at, due in zip(minutes[1:], [10, 30, 70, 150, 270, 390], strict=False):
            assert due <= at <= due + 12, minutes
        assert 12 <= len(minutes) <= 16
        assert wait.unchanged_for is not None


def test_news_restarts_the_silence(world):
    waits = [world.wait() for _ in range(5)]
    world.run(550)
    world.service.runs[waits[0].run_id] = world.service.history[waits[0].run_id] = "Thinking"
    world.run(200)
    changed, others = world.notified[waits[0]], world.notified[waits[1]]
    assert (len(changed), len(others)) == (2, 2)
    assert waits[0].unchanged_for is None
    assert waits[1].unchanged_for >= 600


def test_waits_that_begin_together_do_not_log_their_silence_together():
    draws = iter(number / 100 for number in range(1000))
    world = World()
    world.queue = WaitQueue(world.queue.policy, stagger=lambda: next(draws))
    waits = [world.wait() for _ in range(100)]
    world.run(1000)
    assert len({round(world.notified[wait][1]) for wait in waits}) >= 9


def test_steps_of_many_runs_are_listed_in_turn(world):
    waits = [world.wait(steps=[(f"s{n}", "Running") for n in range(20)]) for _ in range(100)]
    world.run(3)
    assert sum(len(wait.steps or ()) for wait in waits) == 50 * 20
    listed = []
    for _ in range(5):
        world.asked.clear()
        world.run(30)
        listed += [len(ids) for kind, ids in world.asked if kind == "steps"]
    # Ten are expected of a run whose steps are not known yet; 500 fit into a page.
    assert listed == [50, 25, 25, 25, 25]
    assert all(len(wait.steps) == 20 for wait in waits)


def test_steps_of_what_has_changed_are_listed_first(world):
    for _ in range(200):
        world.wait(steps=[(f"s{n}", "Running") for n in range(20)])
    world.run(400)
    world.asked.clear()
    world.service.end(name(150))
    world.service.history[name(151)] = "Queued"
    world.run(30)
    (parents,) = [ids for kind, ids in world.asked if kind == "steps"]
    assert set(parents[:2]) == {name(150), name(151)}


def test_a_run_that_has_ended_shows_no_older_states_of_its_steps(world):
    waits = [world.wait(steps=[("work", "Running")] * 20) for _ in range(100)]
    world.run(200)
    for n in range(100):
        world.service.end(name(n))
        world.service.steps[name(n)] = (("work", "Completed"),) * 20
    world.run(30)
    assert {str(wait.progress).replace("work Completed, ", "") for wait in waits} == {
        "Finished",
        "Finished (work Completed)",
    }


def test_a_service_that_refuses_queries_for_steps_is_asked_for_those_of_one_run(world):
    waits = [world.wait(steps=[("work", "Running")]) for _ in range(5)]
    world.service.steps_error = BadRequest("x", status=400)
    world.run(3)
    world.service.steps_error = None
    world.asked.clear()
    world.run(30)
    assert [len(ids) for kind, ids in world.asked if kind == "steps"] == [1]
    world.run(120)
    assert all(wait.steps for wait in waits)


@pytest.mark.parametrize("error", [*TRANSIENT, *FOR_GOOD, *THROTTLING], ids=repr)
def test_steps_that_cannot_be_listed_end_no_wait(world, error):
    waits = [world.wait() for _ in range(5)]
    world.service.steps_error = error
    world.run(2000)
    assert all(wait.error is None and status_of(wait) == "Running" for wait in waits)
