"""Triggerers, the scheduler, the API that tasks use, and all of Airflow, killed with SIGKILL or standing still.

The tests follow each other: each leaves one of each component running.
"""

from __future__ import annotations

import pytest
from local_airflow import AIRFLOW_3
from support.airflow.killing import COMPONENT

from aml_provider.compat import AIRFLOW_V_3_3_PLUS


class Cases:
    """Some task instances at once, by name; those whose name begins with ``job`` run a component."""

    def __init__(self, world, test, deferred=(), on_worker=()):
        self.all = {
            name: world.case(
                f"{test}-{name}", deferred=name in deferred, kind=COMPONENT if name.startswith("job") else ""
            )
            for name in (*deferred, *on_worker)
        }
        self._world = world

    def __getattr__(self, name):
        return self.all[name]

    def start_and_wait(self):
        for case in self.all.values():
            case.start()
        for case in self.all.values():
            case.until_waiting()


@pytest.fixture
def triggerer(world):
    """The name of the triggerer that runs."""
    (name,) = [name for name in world.airflow.components if name.startswith("triggerer")]
    return name


@pytest.mark.parametrize("alone", [False, True], ids=["whole", "main-process"])
def test_a_triggerer_is_killed(world, triggerer, alone):
    names = ("watched", "ended", "cleared", "marked", "job_watched", "job_ended")
    cases = Cases(world, f"{triggerer}-killed", deferred=names)
    cases.start_and_wait()
    world.kill(triggerer, alone=alone)
    cases.ended.finish()
    cases.job_ended.finish()
    cases.cleared.clear()
    cases.marked.mark("success")
    world.start_another(triggerer)
    cases.cleared.until_runs(2)
    cases.cleared.until_waiting()
    cases.cleared.finish()
    for case in (cases.watched, cases.job_watched):
        case.until_watched_by_another()
        case.finish()
    for case in (cases.watched, cases.job_watched, cases.ended, cases.job_ended):
        case.check("success", ["Finished"])
    cases.cleared.check("success", ["Canceled", "Finished"])
    # Nobody was there to hear of it, but the API server since 3.3.
    cases.marked.may_go_on = not AIRFLOW_V_3_3_PLUS
    cases.marked.check("success", ["Canceled" if AIRFLOW_V_3_3_PLUS else "Running"])


def test_a_triggerer_stands_still_until_another_has_its_triggers_and_goes_on(world, triggerer):
    cases = Cases(world, "frozen", deferred=("watched", "ended", "cleared", "marked"))
    cases.start_and_wait()
    with world.frozen(triggerer):
        another = world.start_another(triggerer)
        for case in cases.all.values():
            case.until_watched_by_another()
        cases.ended.finish()
        cases.cleared.clear()
        cases.marked.mark("failed")
        cases.ended.check("success", ["Finished"])
        cases.marked.check("failed", ["Canceled"])
        cases.cleared.until_runs(2)
        cases.cleared.until_waiting()
    cases.watched.until_given_up_by(triggerer)
    assert cases.watched.statuses() == ["Running"]
    cases.watched.finish()
    cases.watched.check("success", ["Finished"])
    cases.cleared.finish()
    cases.cleared.check("success", ["Canceled", "Finished"])
    world.kill(triggerer)
    assert another in world.airflow.components


@pytest.mark.parametrize("alone", [False, True], ids=["with-its-workers", "alone"])
def test_the_scheduler_is_killed(world, alone):
    (scheduler,) = [name for name in world.airflow.components if name.startswith("scheduler")]
    cases = Cases(world, f"{scheduler}-killed", deferred=("deferred",), on_worker=("waiting", "ended"))
    submitting = world.case(f"{scheduler}-killed-submitting", deferred=False)
    cases.start_and_wait()
    held = submitting.hold("submit")
    submitting.start()
    submitting.until_met(held)
    # Alone: its workers live on. Airflow takes them for dead, begins other tries, and ends the first ones.
    world.kill(scheduler, alone=alone)
    cases.ended.finish()
    world.start_another(scheduler)
    for case in (cases.waiting, submitting):
        case.until_tried_again()
        case.until_waiting()
        case.finish_each()
        case.check("success", ["Finished"])
    cases.deferred.finish()
    cases.deferred.check("success", ["Finished"])
    cases.ended.check("success", ["Finished"])


@pytest.mark.skipif(not AIRFLOW_3, reason="Airflow 2's tasks use the database themselves")
def test_the_api_of_the_tasks_is_killed(world):
    cases = Cases(world, "api-killed", deferred=("deferred", "job_deferred"), on_worker=("waiting", "job_waiting"))
    cases.start_and_wait()
    world.kill("execution-api")
    cases.deferred.finish()
    cases.job_deferred.finish()
    world.start("execution-api")
    for case in (cases.waiting, cases.job_waiting):
        case.until_waiting()
        case.finish()
    for case in cases.all.values():
        case.check("success", ["Finished"])


def test_all_of_airflow_is_killed(world):
    cases = Cases(world, "all-killed", deferred=("deferred", "resumes"), on_worker=("waiting", "ended"))
    submitting = world.case("all-killed-submitting", deferred=True)
    cases.start_and_wait()
    held = submitting.hold("submit")
    submitting.start()
    submitting.until_met(held)
    components = world.airflow.components
    for name in components:
        world.kill(name)
    cases.ended.finish()
    cases.resumes.finish()
    world.start(*components)
    cases.waiting.until_tried_again()
    submitting.until_tried_again()
    submitting.until_waiting()
    for case in (submitting, cases.waiting, cases.deferred):
        case.finish()
        case.check("success", ["Finished"])
    cases.ended.check("success", ["Finished"])
    cases.resumes.check("success", ["Finished"])
