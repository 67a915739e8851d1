"""Task processes and supervisors that are killed with SIGKILL, at every kind of moment: the retry ends with one run."""

from __future__ import annotations

from functools import partial

import pytest
from support.airflow.killing import BATCH_ENDPOINT, COMPONENT


def before_the_answer(case, victim):
    """The submission has been sent, nothing has come of it yet; it is carried out after the kill."""
    submitting = case.hold("submit")
    case.start()
    case.until_met(submitting)
    case.kill(victim)
    assert case.runs() == []
    case.until_tried_again()
    case.until_waiting()
    case.finish()
    case.check("success", ["Finished"])


def after_the_commit(case, victim):
    """The run exists, the task does not know that: the reply was lost, and the look for its key or id is under way."""
    case.fault("drop", "submit")
    looking = case.hold("look up")
    case.start()
    case.until_met(looking)
    case.kill(victim)
    assert case.statuses() == ["Running"]
    case.until_tried_again()
    case.until_waiting()
    case.finish()
    case.check("success", ["Finished"])


def never_carried_out(case, victim):
    """The submission left and never arrived; the retry looks until that is proven, then submits.

    For a job nothing has to be proven: the retry looks once, then submits it under the same id.
    """
    case.fault("refuse", "submit")
    looking = case.hold("look up")
    case.start()
    case.until_met(looking)
    case.kill(victim)
    case.until_waiting()
    case.finish()
    case.check("success", ["Finished"])


def taking_over(case, victim):
    """Killed twice: before the run's id was stored, and when the retry has just found the run."""
    case.fault("drop", "submit")
    looking = case.hold("look up")
    case.start()
    case.until_met(looking)
    finding = case.hold("look at")
    case.kill(victim)
    case.until_met(finding)
    case.kill(victim)
    case.until_tried_again()
    case.until_waiting()
    case.finish()
    case.check("success", ["Finished"])


def waiting(case, victim):
    """The task waits for its run."""
    case.start_and_wait()
    case.kill(victim)
    case.until_tried_again()
    case.finish()
    case.check("success", ["Finished"])


def as_the_run_ends(case, victim):
    """The run has ended, the task has not heard of it."""
    case.start_and_wait()
    case.until_met(case.hold("look at"))
    case.finish()
    case.kill(victim)
    case.check("success", ["Finished"])


def as_a_failure_is_explained(case, victim):
    """The run has failed and the record is closed; a retry submits anew."""
    case.start_and_wait()
    explaining = case.hold("explain")
    case.finish(fails="row 2 is empty")
    case.until_met(explaining)
    case.kill(victim)
    case.until_runs(2)
    case.until_waiting()
    case.finish()
    case.check("success", ["Failed", "Finished"])


def resuming(case, victim):
    """The trigger has fired, the task reads how the run ended."""
    case.start_and_wait()
    case.finish()
    case.until(lambda: case.state != "deferred", "it resumes")
    looking = case.hold("look at")
    case.until_met(looking)
    case.kill(victim)
    case.check("success", ["Finished"])


WORKER, DEFERRED = False, True
# Of those with a component, the ones before the job is known differ most from a published pipeline's.
MATRIX = [
    (before_the_answer, "task", WORKER),
    (before_the_answer, "supervisor", DEFERRED),
    (before_the_answer, "both", WORKER),
    (after_the_commit, "task", DEFERRED),
    (after_the_commit, "supervisor", WORKER),
    (never_carried_out, "task", WORKER),
    (never_carried_out, "both", DEFERRED),
    (taking_over, "task", DEFERRED),
    (taking_over, "both", WORKER),
    (waiting, "task", WORKER),
    (waiting, "supervisor", WORKER),
    (waiting, "both", WORKER),
    (as_the_run_ends, "task", WORKER),
    (as_the_run_ends, "supervisor", WORKER),
    (as_a_failure_is_explained, "task", WORKER),
    (as_a_failure_is_explained, "supervisor", DEFERRED),
    (resuming, "task", DEFERRED),
    (resuming, "both", DEFERRED),
    (before_the_answer, "both", WORKER, COMPONENT),
    (before_the_answer, "task", DEFERRED, BATCH_ENDPOINT),
    (after_the_commit, "task", WORKER, COMPONENT),
    (after_the_commit, "both", DEFERRED, COMPONENT),
    (never_carried_out, "both", WORKER, COMPONENT),
    (taking_over, "task", DEFERRED, COMPONENT),
    (waiting, "task", WORKER, COMPONENT),
    (waiting, "both", WORKER, BATCH_ENDPOINT),
    (as_the_run_ends, "task", WORKER, COMPONENT),
    (as_a_failure_is_explained, "supervisor", DEFERRED, COMPONENT),
    (resuming, "both", DEFERRED, COMPONENT),
]
SCRIPTS = {
    f"{victim}-{moment.__name__}-{'deferred' if deferred else 'worker'}{''.join(kind)}".replace("_", "-"): (
        {"deferred": deferred, "kind": "".join(kind)},
        partial(moment, victim=victim),
    )
    for moment, victim, deferred, *kind in MATRIX
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_promises_hold_after_a_kill(outcomes, name):
    outcomes[name].result()
