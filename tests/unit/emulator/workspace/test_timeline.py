"""The status of a run at an instant."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aml_provider.emulator.workspace.models import Run, Step, StepRun
from aml_provider.emulator.workspace.timeline import due_function, view

FIRST = Step("first", node_id="a", queue_seconds=1, run_seconds=10)
SECOND = Step("second", node_id="b", queue_seconds=1, run_seconds=10)


def a_run(*steps: Step, **values) -> Run:
    step_runs = [StepRun(f"s{index}", index, step) for index, step in enumerate(steps)]
    return Run("r", 1, "p", "g", "e", created=100, start_seconds=2, steps=step_runs, **values)


def states(run: Run, now: float) -> tuple[str, ...]:
    found = view(run, now)
    return (found.status, found.history_status, *(step.status for step in found.steps))


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (100, ("NotStarted", "NotStarted", "NotStarted", "NotStarted")),
        (102, ("Running", "Running", "Queued", "NotStarted")),
        (103, ("Running", "Running", "Running", "NotStarted")),
        (113, ("Running", "Running", "Finished", "Queued")),
        (114, ("Running", "Running", "Finished", "Running")),
        (124, ("Finished", "Completed", "Finished", "Finished")),
        (9999, ("Finished", "Completed", "Finished", "Finished")),
    ],
)
def test_a_run_goes_through_its_states(now, expected):
    assert states(a_run(FIRST, SECOND), now) == expected


def test_a_failed_step_ends_the_run():
    run = a_run(replace(FIRST, fails="no disk"), SECOND)
    assert states(run, 112) == ("Running", "Running", "Running", "NotStarted")
    assert states(run, 113) == ("Failed", "Failed", "Failed", "NotStarted")
    assert view(run, 113).steps[0].error == "no disk"
    assert view(run, 112).steps[0].error is None


def test_a_run_can_continue_after_a_failed_step():
    run = a_run(replace(FIRST, fails="no disk"), SECOND, continue_on_step_failure=True)
    assert states(run, 124) == ("Finished", "Completed", "Failed", "Finished")
    assert view(run, 124).failed_step == 0


def test_a_run_without_steps_finishes():
    assert states(a_run(), 101) == ("NotStarted", "NotStarted")
    assert states(a_run(), 102) == ("Finished", "Completed")


def test_cancelling_takes_effect_later():
    run = a_run(FIRST, SECOND, canceled=105, cancel_effective=108)
    assert states(run, 106) == ("Running", "CancelRequested", "Running", "NotStarted")
    assert states(run, 108) == ("Canceled", "Canceled", "Canceled", "NotStarted")
    assert view(run, 200).ended == 108


def test_a_run_that_ends_before_its_cancellation_takes_effect_is_not_canceled():
    run = a_run(FIRST, canceled=112, cancel_effective=120)
    assert states(run, 120) == ("Finished", "Completed", "Finished")


def test_a_step_ends_when_its_function_has_returned():
    run = a_run(replace(FIRST, function="m:f"), SECOND)
    assert due_function(run) == (103, run.steps[0])
    assert states(run, 500) == ("Running", "Running", "Running", "NotStarted")
    run.steps[0].returned = 120
    assert states(run, 119) == ("Running", "Running", "Running", "NotStarted")
    assert states(run, 120) == ("Running", "Running", "Finished", "Queued")
    assert due_function(run) is None


def test_a_step_takes_its_time_even_if_its_function_is_faster():
    run = a_run(replace(FIRST, function="m:f"))
    run.steps[0].returned = 103
    assert states(run, 112) == ("Running", "Running", "Running")


def test_a_cancelled_run_starts_no_function():
    run = a_run(FIRST, replace(SECOND, function="m:f"), canceled=105, cancel_effective=105)
    assert due_function(run) is None
