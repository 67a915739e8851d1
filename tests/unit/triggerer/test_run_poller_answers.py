"""Looking at many waiting runs: what the answers mean."""

from __future__ import annotations

import pytest
from support.drivers.waiting_runs import FOR_GOOD, THROTTLING, TRANSIENT, World, name, statuses

from aml_provider.client.errors import BadRequest


@pytest.fixture
def world():
    return World()


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


def test_steps_of_many_runs_are_listed_in_turn(world):
    watches = [world.watch(steps=[(f"s{n}", "Running") for n in range(20)]) for _ in range(100)]
    world.run(3)
    assert sum(len(watch.steps or ()) for watch in watches) == 50 * 20
    listed = []
    for _ in range(5):
        world.asked.clear()
        world.run(30)
        listed += [len(ids) for kind, ids in world.asked if kind == "steps"]
    # Ten are expected of a run whose steps are not known yet; 500 fit into a page.
    assert listed == [50, 25, 25, 25, 25]
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
