"""Airflow breaks in ways that make it end workers that live: no run is cancelled, and people are heard afterwards."""

from __future__ import annotations

import time

import pytest
from local_airflow import AIRFLOW_3

#: Each on a worker, but for the last one: what a person does to it once all is well again.
ACTS = ("ends", "is_marked", "is_cleared", "is_killed", "deferred")


@pytest.fixture
def cases(broken_world, request):
    """Task instances that wait for their runs."""
    made = {act: broken_world.case(f"{request.node.name}-{act}", deferred=act == "deferred") for act in ACTS}
    for case in made.values():
        case.start()
    for case in made.values():
        case.until_waiting()
    return made


def nothing_was_cancelled(cases):
    for case in cases.values():
        assert case.statuses() == ["Running"], case.told()


def people_are_heard(cases):
    """One ends well; of the others, which wait again, a person ends each in another way."""
    for case in cases.values():
        case.until_state("deferred" if case is cases["deferred"] else "running")
    nothing_was_cancelled(cases)
    for act in ("ends", "deferred"):
        cases[act].finish()
        cases[act].check("success", ["Finished"])
    cases["is_marked"].mark("failed")
    cases["is_marked"].check("failed", ["Canceled"])
    cases["is_killed"].mark_dag_run()
    cases["is_killed"].check("failed", ["Canceled"])
    if AIRFLOW_3:
        # Airflow 2 may take a cleared task on a worker for a lost one: then the clear is no more than a retry.
        cases["is_cleared"].clear()
        cases["is_cleared"].until_runs(2)
        cases["is_cleared"].until_waiting()
        cases["is_cleared"].finish()
        cases["is_cleared"].check("success", ["Canceled", "Finished"])
    else:
        cases["is_cleared"].finish()
        cases["is_cleared"].check("success", ["Finished"])


def test_a_worker_is_drained(cases):
    for case in cases.values():
        case.note_try()
    drained = [case for act, case in cases.items() if act != "deferred"]
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
