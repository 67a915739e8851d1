"""People clear and mark tasks that run: the run goes with the task, and only then."""

from __future__ import annotations

import signal
import time

import pytest
from local_airflow import AIRFLOW_3
from support.airflow.killing import BATCH_ENDPOINT, COMPONENT

from aml_provider.compat import AIRFLOW_V_3_3_PLUS


def clear(case):
    case.start_and_wait()
    case.clear()
    case.until_runs(2)
    case.until_waiting()
    case.finish()
    case.check("success", ["Canceled", "Finished"])


def clear_twice(case):
    case.start_and_wait()
    case.clear()
    case.until_runs(2)
    case.until_waiting()
    case.clear()
    case.until_runs(3)
    case.until_waiting()
    case.finish()
    case.check("success", ["Canceled", "Canceled", "Finished"])


def clear_after_success(case):
    case.start_and_wait()
    case.finish()
    case.until_dag_run_ended()
    case.clear()
    case.until_runs(2)
    case.until_waiting()
    case.finish()
    case.check("success", ["Finished", "Finished"])


def clear_while_submitting(case):
    submitting = case.hold("submit")
    case.start()
    case.until_met(submitting)
    case.clear()
    case.until_runs(2)
    case.until_waiting()
    case.finish()
    case.check("success", ["Canceled", "Finished"])


def mark_success(case):
    case.start_and_wait()
    case.mark("success")
    case.check("success", ["Canceled"])


def mark_failed(case):
    case.start_and_wait()
    case.mark("failed")
    case.check("failed", ["Canceled"])


def mark_failed_in_the_last_try(case):
    """It looks as if Airflow had given up its worker; from 3.3 on the API server knows better."""
    mark_failed(case.once())


def mark_failed_while_submitting(case):
    # Airflow 3 kills the process after five seconds; what the service does later nobody hears of.
    submitting = case.hold("submit", seconds=3)
    case.start()
    case.until_met(submitting)
    case.mark("failed")
    case.until_runs(1)
    case.check("failed", ["Canceled"])


def mark_success_in_the_moment_of_deferral(case):
    # No trigger has begun by then, and none will: Airflow tells nobody but its API server's plugins.
    case.start()
    case.until_runs(1)
    case.mark("success")
    case.check("success", ["Canceled"])


def mark_failed_in_the_moment_of_deferral(case):
    case.start()
    case.until_runs(1)
    case.mark("failed")
    case.check("failed", ["Canceled"])


def mark_failed_then_clear(case):
    case.start_and_wait()
    case.mark("failed")
    case.until_dag_run_ended()
    case.clear()
    case.until_runs(2)
    case.until_waiting()
    case.finish()
    case.check("success", ["Canceled", "Finished"])


def tried_out(case, *, interrupt=False):
    """``airflow tasks test`` in the DAG run that is active: whatever that does to the task, its run goes on."""
    case.start_and_wait()
    with case.tested() as (testing, log):
        before = case.state
        if interrupt:
            # On Airflow 3 the command tells Airflow at once that the task is its own, and Ctrl-C comes just then.
            case.until(lambda: testing.poll() is not None or case.state != before, "the test has begun")
            testing.send_signal(signal.SIGINT)
        case.until(lambda: testing.poll() is not None, "the test has ended")
        told = log.read_text()
    # For as long as Airflow takes to tell the worker, or the trigger, that the task is not its own any more.
    time.sleep(20)
    assert case.statuses() == ["Running"], f"{case.told()}\n{told}"
    if not AIRFLOW_3:
        case.finish()
        case.check("success", ["Finished"])
        return
    # The task is failed, queued, or tried again; a clear mends that.
    case.clear()
    case.until_runs(2)
    case.until_waiting()
    case.finish()
    case.check("success", ["Canceled", "Finished"])


def tried_out_and_interrupted(case):
    tried_out(case, interrupt=True)


def tried_out_in_the_last_try(case):
    tried_out(case.once())


EVERYWHERE = [
    clear,
    clear_after_success,
    mark_success,
    mark_failed,
    mark_failed_in_the_last_try,
    mark_failed_then_clear,
]
MATRIX = [
    *((act, deferred) for act in EVERYWHERE for deferred in (False, True)),
    *(
        (act, deferred)
        for act in (tried_out, tried_out_in_the_last_try, tried_out_and_interrupted)
        for deferred in (False, True)
    ),
    (clear_twice, True),
    (clear_while_submitting, False),
    (mark_failed_while_submitting, False),
    *(
        (act, True)
        for act in (mark_success_in_the_moment_of_deferral, mark_failed_in_the_moment_of_deferral)
        if AIRFLOW_V_3_3_PLUS
    ),
    (clear, False, COMPONENT),
    (clear, True, BATCH_ENDPOINT),
    (clear_while_submitting, False, COMPONENT),
    (mark_success, True, COMPONENT),
    (mark_failed, False, COMPONENT),
    (mark_failed_while_submitting, False, COMPONENT),
    *(((mark_failed_in_the_moment_of_deferral, True, COMPONENT),) if AIRFLOW_V_3_3_PLUS else ()),
]
# Airflow 2 may take a cleared task, while it is on a worker, for a lost one: then the clear is no more than a retry.
UNCERTAIN_BEFORE_3 = {(clear, False), (clear_while_submitting, False)}
SCRIPTS = {
    f"{act.__name__}-{'deferred' if deferred else 'worker'}{''.join(kind)}".replace("_", "-"): (
        {"deferred": deferred, "kind": "".join(kind)},
        act,
    )
    for act, deferred, *kind in MATRIX
    if AIRFLOW_3 or (act, deferred) not in UNCERTAIN_BEFORE_3
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_promises_hold_after_a_persons_act(outcomes, name):
    outcomes[name].result()
