"""One of two schedulers, and one of two triggerers, is killed or stands still; the other one goes on."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("scheduler", ["scheduler", "scheduler-2"])
def test_a_scheduler_of_two_is_killed(world, cases, scheduler):
    made = cases(deferred=["deferred", "resumes"], on_worker=["waiting", "ended"])
    world.kill(scheduler)
    made["resumes"].finish()
    made["ended"].finish()
    begun = world.case(f"{scheduler}-killed-begun", deferred=True)
    begun.start_and_wait()
    for name in ("resumes", "ended"):
        made[name].check("success", ["Finished"])
    for case in (begun, made["deferred"], made["waiting"]):
        case.finish()
        case.check("success", ["Finished"])
        # The tasks are Celery's, not the scheduler's: none of them is tried again.
        assert case.info["try_number"] == 1
    world.start(scheduler)


def watched_by_one(world, cases):
    """Task instances that wait in triggerers, and the triggerer that has the first of them."""
    made = cases(deferred=["watched", "ended", "cleared", "marked"])
    return made, world.triggerer_of(made["watched"])


def test_a_triggerer_of_two_is_killed(world, cases):
    made, triggerer = watched_by_one(world, cases)
    world.kill(triggerer)
    made["ended"].finish()
    made["cleared"].clear()
    made["marked"].mark("failed")
    made["watched"].until_watched_by_another()
    made["watched"].finish()
    for name in ("watched", "ended"):
        made[name].check("success", ["Finished"])
    made["cleared"].until_runs(2)
    made["cleared"].until_waiting()
    made["cleared"].finish()
    made["cleared"].check("success", ["Canceled", "Finished"])
    made["marked"].check("failed", ["Canceled"])
    world.start(triggerer)


def test_a_triggerer_of_two_stands_still_until_the_other_has_its_triggers(world, cases):
    made, triggerer = watched_by_one(world, cases)
    with world.frozen(triggerer):
        made["watched"].until_watched_by_another()
        made["ended"].finish()
        made["cleared"].clear()
        made["marked"].mark("failed")
        made["ended"].check("success", ["Finished"])
        made["marked"].check("failed", ["Canceled"])
        made["cleared"].until_runs(2)
        made["cleared"].until_waiting()
    made["watched"].until_given_up_by(triggerer)
    assert made["watched"].statuses() == ["Running"]
    made["watched"].finish()
    made["watched"].check("success", ["Finished"])
    made["cleared"].finish()
    made["cleared"].check("success", ["Canceled", "Finished"])
