"""The status of a run and its steps at an instant: a pure function of the run and the time."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aml_provider.emulator.workspace.models import Run, StepRun

_HISTORY = {"Finished": "Completed"}


@dataclass(frozen=True, slots=True)
class StepView:
    """A step at an instant. Times after the instant are None."""

    status: str
    queued: float | None
    started: float | None
    ended: float | None
    error: str | None

    @property
    def history_status(self) -> str:
        """The status as run history names it."""
        return _HISTORY.get(self.status, self.status)


@dataclass(frozen=True, slots=True)
class RunView:
    """A run at an instant."""

    status: str
    started: float | None
    ended: float | None
    cancelling: bool
    steps: tuple[StepView, ...]

    @property
    def history_status(self) -> str:
        """The status as run history names it."""
        return "CancelRequested" if self.cancelling else _HISTORY.get(self.status, self.status)

    @property
    def failed_step(self) -> int | None:
        """The position of the first step that failed."""
        return next((i for i, step in enumerate(self.steps) if step.status == "Failed"), None)


@dataclass(frozen=True, slots=True)
class _Span:
    """When a step waits, runs and ends without a cancellation; infinity if that is unknown or never happens."""

    queued: float
    started: float
    ended: float
    error: str | None


def view(run: Run, now: float) -> RunView:
    """The run at the instant ``now``."""
    spans = _spans(run)
    begin = run.created + run.start_seconds
    end = max((span.ended for span in spans if span.queued < inf), default=begin)
    cancel = inf if run.cancel_effective is None else run.cancel_effective
    canceled = cancel <= now and cancel < end
    steps = tuple(_step_view(span, min(now, cancel) if canceled else now, canceled=canceled) for span in spans)
    if canceled:
        return RunView("Canceled", begin if begin <= cancel else None, cancel, cancelling=False, steps=steps)
    if now >= end:
        failed = any(step.status == "Failed" for step in steps) and not run.continue_on_step_failure
        return RunView("Failed" if failed else "Finished", begin, end, cancelling=False, steps=steps)
    started = begin if begin <= now else None
    cancelling = run.canceled is not None and run.canceled <= now
    return RunView("NotStarted" if started is None else "Running", started, None, cancelling=cancelling, steps=steps)


def due_function(run: Run) -> tuple[float, StepRun] | None:
    """The next step function to start, and its due instant; None if there is none, or its instant is unknown."""
    cancel = inf if run.cancel_effective is None else run.cancel_effective
    for span, step_run in zip(_spans(run), run.steps, strict=True):
        if step_run.step.function and step_run.returned is None:
            return (span.started, step_run) if span.started < cancel else None
    return None


def _spans(run: Run) -> list[_Span]:
    spans: list[_Span] = []
    cursor = run.created + run.start_seconds
    for step_run in run.steps:
        step = step_run.step
        started = cursor + step.queue_seconds
        ended = started + step.run_seconds
        if step.function:
            ended = inf if step_run.returned is None else max(ended, step_run.returned)
        error = step_run.error or step.fails
        spans.append(_Span(cursor, started, ended, error))
        cursor = inf if error is not None and not run.continue_on_step_failure else ended
    return spans


def _step_view(span: _Span, now: float, *, canceled: bool) -> StepView:
    queued = span.queued if span.queued <= now else None
    started = span.started if span.started <= now else None
    if span.ended <= now:
        return StepView("Finished" if span.error is None else "Failed", queued, started, span.ended, span.error)
    if queued is None:
        return StepView("NotStarted", None, None, None, None)
    if canceled:
        return StepView("Canceled", queued, started, now, None)
    return StepView("Queued" if started is None else "Running", queued, started, None, None)
