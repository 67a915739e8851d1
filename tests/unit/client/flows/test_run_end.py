"""The end of a run becomes the end of the task that waits for it."""

from __future__ import annotations

import pytest
from support.models.service import Service, a_run, a_step, carry_out

from aml_provider.client.errors import ForeignRun, PermissionDenied, RunCanceled, RunFailed, RunTimedOut
from aml_provider.client.flows.run_end import conclude, end_at_deadline

HISTORY = "GET /experiments/x/runs/r-1"
TAGGED = {HISTORY: a_step("r-1", "Canceled", tags={"airflow.cancel": "the task was ended"})}
NOT_TAGGED = {HISTORY: a_step("r-1", "Canceled")}
UNREADABLE = {HISTORY: PermissionDenied("x", status=403)}
own = pytest.mark.parametrize("own", [True, False], ids=["own", "somebody else's"])


@own
def test_only_a_finished_run_is_a_success(own):
    service = Service({})
    assert service.carry_out(conclude(a_run("Finished"), "x", "link", own=own)) == "r-1"
    assert service.asked == []


@own
def test_a_failed_run_fails_the_task_with_the_reason(own):
    with pytest.raises(RunFailed, match=r"Run r-1 failed\. .*Detail\..* See link") as caught:
        carry_out(conclude(a_run("Failed", "Detail."), "x", "link", own=own), {f"{HISTORY}/children": ()})
    assert (caught.value.run_id, caught.value.link) == ("r-1", "link")


@pytest.mark.parametrize(
    ("answers", "own", "error", "text"),
    [
        (TAGGED, True, RunFailed, "was cancelled from Airflow: the task was ended"),
        (TAGGED, False, RunCanceled, "was cancelled from Airflow: the task was ended"),
        (NOT_TAGGED, True, RunCanceled, "was cancelled in the workspace, not by this task. No retry submits it again"),
        (NOT_TAGGED, False, RunCanceled, r"was cancelled in the workspace\. See"),
        (UNREADABLE, True, RunCanceled, "was cancelled in the workspace, not by this task"),
        (UNREADABLE, False, RunCanceled, r"was cancelled in the workspace\. See"),
    ],
)
def test_a_cancelled_run_fails_the_task_by_who_cancelled_it(answers, own, error, text):
    with pytest.raises(error, match=f"Run r-1 {text}"):
        carry_out(conclude(a_run("Canceled"), "x", "link", own=own), answers)


def cancelling(result):
    if isinstance(result, Exception):
        raise result
    return result
    yield


@pytest.mark.parametrize(
    ("result", "error", "text"),
    [
        (a_run("Canceled"), RunTimedOut, "was Running when execution_timeout passed; it was cancelled and is Canceled"),
        (
            PermissionDenied("x", status=403),
            RunTimedOut,
            "could not be cancelled: .* The run continues; a retry takes it over",
        ),
        (ForeignRun("another Airflow's"), ForeignRun, "another Airflow's"),
    ],
)
def test_a_run_whose_time_is_up_is_cancelled(result, error, text):
    with pytest.raises(error, match=text):
        carry_out(end_at_deadline(a_run("Running"), "link", cancelling(result)), {})


def test_a_run_whose_time_is_up_may_be_left():
    with pytest.raises(RunTimedOut, match=r"The run continues \(on_timeout='leave'\)"):
        carry_out(end_at_deadline(a_run("Running"), "link", None), {})
