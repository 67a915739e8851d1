"""Airflow breaks in ways that make it end workers that live: no run is cancelled, and people are heard afterwards."""

from __future__ import annotations

import time

import pytest
from local_airflow import AIRFLOW_3
from support.airflow.killing import BATCH_ENDPOINT, COMPONENT

#: Each on a worker, but for those that are deferred: what a person does to it once all is well again.
ACTS = ("ends", "is_marked", "is_cleared", "is_killed", "deferred")
CASES = (
    *((act, "") for act in ACTS),
    ("ends", COMPONENT),
    ("is_marked", COMPONENT),
    ("is_cleared", BATCH_ENDPOINT),
    ("deferred", COMPONENT),
)


@pytest.fixture
def cases(broken_world, request):
    """Task instances that wait for their runs."""
    test = request.function.__name__
    made = {
        (act, kind): broken_world.case(f"{test}-{act}{kind}", deferred=act == "deferred", kind=kind)
        for act, kind in CASES
    }
    for case in made.values():
        case.start()
    for case in made.values():
        case.until_waiting()
    return made


def nothing_was_cancelled(cases):
    for case in cases.values():
        assert case.statuses() == ["Running"], case.told()


def people_are_heard(cases):
    """Some end well; of the others, which wait again, people end each in another way."""
    for case in cases.values():
        case.until_state("deferred" if case.is_deferred else "running")
    nothing_was_cancelled(cases)
    # One after the other: acts at the same moment may deadlock in Airflow's database, and then Airflow loses one.
    for (act, _), case in cases.items():
        if act == "is_marked":
            case.mark("failed")
            case.check("failed", ["Canceled"])
        elif act == "is_killed":
            case.mark_dag_run()
            case.check("failed", ["Canceled"])
        elif act == "is_cleared" and AIRFLOW_3:
            case.clear()
            case.until_runs(2)
            case.until_waiting()
            case.finish()
            case.check("success", ["Canceled", "Finished"])
        else:
            # Airflow 2 may take a cleared task on a worker for a lost one: then the clear is no more than a retry.
            case.finish()
            case.check("success", ["Finished"])


def test_a_worker_is_drained(cases):
    for case in cases.values():
        case.note_try()
    drained = [case for case in cases.values() if not case.is_deferred]
    for case in drained:
        case.drain()
    # Airflow 3's goes on until something kills it; Airflow 2's has ended, and the retry takes the run over.
    for case in drained if not AIRFLOW_3 else ():
        case.until_tried_again()
    time.sleep(10)
    nothing_was_cancelled(cases)
    people_are_heard(cases)


@pytest.mark.skipif(not AIRFLOW_3, reason="Airflow 2's tasks use the database themselves")
def test_the_api_of_the_tasks_is_away(broken_world, cases):
    for case in cases.values():
        case.note_try()
    broken_world.kill("execution-api")
    # Three failed heartbeats, and the supervisor ends its task with SIGTERM.
    time.sleep(150)
    nothing_was_cancelled(cases)
    broken_world.start("execution-api")
    people_are_heard(cases)


def test_the_database_is_away(broken_world, cases):
    with broken_world.database_away():
        time.sleep(60)
        nothing_was_cancelled(cases)
    people_are_heard(cases)
