"""Calls composed into what a user wants done; each flow is a generator that any driver can run."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, NamedTuple

from aml_provider.client import calls
from aml_provider.client.errors import (
    AzureMLError,
    BadRequest,
    Conflict,
    NotFound,
    ends_a_wait,
)
from aml_provider.client.http.messages import Flow, Pause
from aml_provider.client.http.retry import RetryPolicy, may_pass
from aml_provider.client.text import one_line
from aml_provider.client.trouble import Troubles

if TYPE_CHECKING:
    from collections.abc import Callable

    from aml_provider.client.entities import HistoryRun, PipelineRun

#: As the client's own.
DEFAULT_POLICY = RetryPolicy()

#: The tag that marks a run whose end was asked for; a run that carries it is never taken for a task's own again.
CANCEL_MARK = "airflow.cancel"

# For so many seconds a mark is tried again, so often: Airflow 3 kills a process that does not end within five.
_MARK_PATIENCE, _MARK_PAUSE = 3.0, 1.0


class Progress(NamedTuple):
    """How far a run is: its status and that of each step, by name."""

    status: str
    steps: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        steps = ", ".join(f"{one_line(name, 100)} {status}" for name, status in self.steps)
        return f"{self.status} ({steps})" if steps else self.status


def list_steps(experiment: str, run_id: str) -> Flow[tuple[HistoryRun, ...]]:
    """List all steps of a run, in the order of their creation."""
    steps: tuple[HistoryRun, ...] = yield calls.list_steps(experiment, run_id)
    return tuple(sorted(steps, key=lambda step: (step.created is None, step.created, step.name)))


def wait_for_run(
    run_id: str,
    experiment: str,
    *,
    poll_interval: float,
    deadline: float | None = None,
    report: Callable[[Progress], None],
    policy: RetryPolicy = DEFAULT_POLICY,
    now: Callable[[], float] = time.time,
) -> Flow[PipelineRun]:
    """Poll a run until it is final or its deadline has passed.

    Args:
        run_id: The pipeline run.
        experiment: Its experiment.
        poll_interval: Seconds between two looks.
        deadline: Seconds since the epoch (a monotonic clock means nothing to the next process); None: wait for ever.
        report: Called with the progress whenever it has changed.
        policy: How long a run that cannot be read is tried again, and who is told of that.
        now: The wall clock.

    Returns:
        The run as it was seen last: final, unless the deadline has passed.

    Raises:
        AzureMLError: The run could not be read within the retry budget. It goes on all the same.
    """
    last: Progress | None = None
    while True:
        run: PipelineRun = yield from read_run(run_id, policy=policy)
        progress = Progress(run.status, (yield from _step_states(experiment, run_id)))
        if progress != last:
            report(progress)
            last = progress
        pause = Pause.before(deadline, poll_interval, now())
        if run.state.is_final or pause is None:
            return run
        yield pause


def read_run(run_id: str, *, policy: RetryPolicy = DEFAULT_POLICY) -> Flow[PipelineRun]:
    """Read a run that exists, as a wait for it does, on a worker and in a triggerer alike.

    What may pass by itself is tried again within the retry budget, also where one request alone would not be repeated:
    a refused token, a conflict, an answer that cannot be read.

    Args:
        run_id: The pipeline run.
        policy: The budget, in all, and who is told of the trouble.

    Raises:
        AzureMLError: The run could not be read. It goes on all the same.
    """
    waited = 0.0
    tries = 0
    troubles = Troubles()
    while True:
        try:
            run: PipelineRun = yield calls.get_run(run_id)
        except AzureMLError as error:
            pause = policy.pause(tries, None)
            # What each request is repeated for has used the budget up already.
            if ends_a_wait(error) or may_pass(error) or waited + pause > policy.budget:
                raise
            if (text := troubles.failed(run_id, error, policy.budget - waited, policy.now())) is not None:
                policy.log(logging.WARNING, f"Run {run_id}: {text}")
        else:
            if (text := troubles.over(run_id, policy.now())) is not None:
                policy.log(logging.INFO, f"Run {run_id}: {text}")
            return run
        yield Pause(pause)
        waited += pause
        tries += 1


def _step_states(experiment: str, run_id: str) -> Flow[tuple[tuple[str, str], ...]]:
    try:
        steps = yield from list_steps(experiment, run_id)
    except AzureMLError:
        # Progress is a courtesy: without it the run is watched all the same.
        return ()
    return tuple((step.name, step.status) for step in steps)


def cancel_run(
    run_id: str,
    experiment: str,
    *,
    reason: str,
    patience: float = 60.0,
    poll_interval: float = 2.0,
    note: Callable[[str], None] = lambda _: None,
    check: Callable[[PipelineRun], None] = lambda _: None,
) -> Flow[PipelineRun]:
    """Mark a run as unwanted, cancel it and watch it end. Doing it twice does no harm.

    Args:
        run_id: The pipeline run.
        experiment: Its experiment, in case the service does not say.
        reason: Goes into the mark, for people who look at the run.
        patience: Seconds to wait for its end.
        poll_interval: Seconds between two looks.
        note: Called with what was not as expected.
        check: Called with a run that goes on; what it raises leaves the run alone.

    Returns:
        The run as it was seen last: final, unless patience ran out.
    """
    run: PipelineRun = yield calls.get_run(run_id)
    if run.state.is_final:
        return run
    check(run)
    mark = calls.tag_run(run.experiment_name or experiment, run_id, {CANCEL_MARK: reason})
    unknown = False
    try:
        yield mark
    except AzureMLError as error:
        # The cancel matters more than its mark. Run history may not know a run yet that was submitted just now.
        unknown = isinstance(error, NotFound)
        note(f"could not mark run {run_id} before cancelling it: {error}")
    try:
        yield calls.cancel_run(run_id)
    except (BadRequest, Conflict):
        # It may have ended by itself in between, and what has ended cannot be cancelled.
        run = yield calls.get_run(run_id)
        if not run.state.is_final:
            raise
        return run
    waited = 0.0
    while True:
        run = yield calls.get_run(run_id)
        if unknown:
            try:
                yield mark
                unknown = False
            except AzureMLError as error:
                unknown = isinstance(error, NotFound) and waited < _MARK_PATIENCE
        if (run.state.is_final or waited >= patience) and not unknown:
            return run
        pause = min(poll_interval, _MARK_PAUSE) if unknown else poll_interval
        yield Pause(pause)
        waited += pause


def check_connection(say: Callable[[str], None]) -> Flow[str]:
    """Walk from the workspace's record to its pipelines; ``say`` is told each step before it is taken.

    Returns:
        What was found, in a sentence.
    """
    say("workspace")
    workspace = yield calls.get_workspace()
    say("pipelines")
    pipelines = yield calls.list_pipelines()
    return f"workspace {workspace.name!r} in {workspace.location}, {len(pipelines)} active published pipelines"
