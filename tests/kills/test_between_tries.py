"""People mark tasks that wait for their next try: nobody of the task is there to hear of it (Airflow 3.3)."""

from __future__ import annotations

from functools import partial

import pytest
from support.airflow.killing import at_once

from aml_provider.compat import AIRFLOW_V_3_3_PLUS

pytestmark = pytest.mark.skipif(not AIRFLOW_V_3_3_PLUS, reason="before 3.3 Airflow tells nobody")


def cleared_killed_and_marked(case):
    """What a storm found."""
    case.start_and_wait()
    case.kill("both", just_after=case.clear)
    case.mark("failed")
    case.check("failed", ["Canceled"])


def marked_before_the_retry(case):
    """The run could not be watched, and the retry waits."""
    case.start_and_wait()
    case.fault("status", "look at", status=403, times=1)
    case.until_state("up_for_retry")
    case.mark("success")
    case.check("success", ["Canceled"])


def dag_run_marked_before_the_retry(case):
    case.start_and_wait()
    case.fault("status", "look at", status=403, times=1)
    case.until_state("up_for_retry")
    case.mark_dag_run(becomes="skipped")
    case.check("skipped", ["Canceled"])


SCRIPTS = {
    "cleared-killed-and-marked": cleared_killed_and_marked,
    "marked-before-the-retry": marked_before_the_retry,
    "dag-run-marked-before-the-retry": dag_run_marked_before_the_retry,
}


@pytest.fixture(scope="module")
def outcomes(world):
    return at_once(
        {
            name: partial(script, world.case(name, deferred=False, kind="_tried_hourly"))
            for name, script in SCRIPTS.items()
        }
    )


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_promises_hold_after_an_act_between_two_tries(outcomes, name):
    outcomes[name].result()
