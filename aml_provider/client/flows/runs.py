"""Flows about pipeline runs: wait and read. Each is a generator of calls that any client can carry out."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from aml_provider.client import calls
from aml_provider.client.errors import AzureMLError, Throttled, ends_a_wait
from aml_provider.client.flows.runs_or_jobs import get_run
from aml_provider.client.http.messages import Flow, Pause
from aml_provider.client.http.retry import may_pass
from aml_provider.client.poll_log import PollLog
from aml_provider.client.text import one_line
from aml_provider.client.trouble import Troubles, pause_after

if TYPE_CHECKING:
    from collections.abc import Callable

    from aml_provider.client.entities import HistoryRun, PipelineRun
    from aml_provider.client.http.retry import RetryPolicy

T = TypeVar("T")

# Seconds until the run is read again, where the service was too busy for an hour.
_BUSY_PAUSE = 15.0


class Progress(NamedTuple):
    """The progress of a run: its status and that of each step, by name."""

    status: str
    steps: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        steps = ", ".join(f"{one_line(name, 100)} {status}" for name, status in self.steps)
        return f"{self.status} ({steps})" if steps else self.status


def list_steps(experiment: str, run_id: str) -> Flow[tuple[HistoryRun, ...]]:
    """List all steps of a run, in the order of their creation."""
    steps: tuple[HistoryRun, ...] = yield calls.list_steps(experiment, run_id)
    return tuple(sorted(steps, key=lambda step: (step.created is None, step.created, step.name)))


class Observation(NamedTuple):
    """One poll of a run.

    Args:
        run: The run.
        steps: Its steps, in the order of their creation.
        problem: Why the steps could not be read, and ``steps`` is empty.
    """

    run: PipelineRun
    steps: tuple[HistoryRun, ...]
    problem: AzureMLError | None = None

    @property
    def progress(self) -> Progress:
        """The statuses in it."""
        return Progress(self.run.status, tuple((step.name, step.status) for step in self.steps))


def wait_for_run(
    run_id: str,
    experiment: str,
    *,
    poll_interval: float,
    deadline: float | None = None,
    log: Callable[[str], None],
    policy: RetryPolicy,
    now: Callable[[], float] = time.time,
) -> Flow[PipelineRun]:
    """Poll a run as :func:`observe_run` does.

    ``log`` is called with the progress, as text, whenever it has changed, and from time to time if it has not.
    """
    lines = PollLog()

    def notify(seen: Observation) -> None:
        if (line := lines.line(str(seen.progress), now())) is not None:
            log(line)

    return (
        yield from observe_run(
            run_id, experiment, poll_interval=poll_interval, deadline=deadline, notify=notify, policy=policy, now=now
        )
    )


def observe_run(
    run_id: str,
    experiment: str,
    *,
    poll_interval: float,
    deadline: float | None = None,
    notify: Callable[[Observation], None],
    policy: RetryPolicy,
    now: Callable[[], float] = time.time,
) -> Flow[PipelineRun]:
    """Poll a run until it is final or its deadline has passed.

    Args:
        run_id: The pipeline run or job.
        experiment: Its experiment.
        poll_interval: Seconds between two polls.
        deadline: Seconds since the epoch (a monotonic clock means nothing to the next process); None: wait for ever.
        notify: Called with the result of each poll.
        policy: For how long the run is read again after an error, and where the errors are logged.
        now: The wall clock.

    Returns:
        The run as it was read last: final, unless the deadline has passed.

    Raises:
        AzureMLError: The run could not be read within the retry budget. It continues anyway.
    """
    while True:
        run = yield from read_run(run_id, policy=policy)
        try:
            seen = Observation(run, (yield from list_steps(experiment, run_id)))
        except AzureMLError as error:
            # The steps are a courtesy: the wait continues without them.
            seen = Observation(run, (), error)
        notify(seen)
        pause = Pause.before(deadline, poll_interval, now())
        if run.state.is_final or pause is None:
            return run
        yield pause


def outlast_throttling(
    wait: Callable[[], Flow[T]],
    *,
    deadline: float | None,
    log: Callable[[Throttled], None],
    now: Callable[[], float] = time.time,
) -> Flow[T]:
    """Carry out a wait, and again whenever the service has been too busy for longer than the retry budget.

    A busy service is not a failing one, however long it stays busy.

    Args:
        wait: Makes the wait.
        deadline: The instant after which it is not repeated, in seconds since the epoch; None: it is always repeated.
        log: Called with the error before each repetition.
        now: The wall clock.

    Raises:
        Throttled: The service was too busy, and the deadline has passed.
        AzureMLError: What the wait raises otherwise.
    """
    while True:
        try:
            return (yield from wait())
        except Throttled as error:
            if deadline is not None and now() >= deadline:
                raise
            log(error)
        yield Pause(_BUSY_PAUSE)


def read_run(run_id: str, *, policy: RetryPolicy) -> Flow[PipelineRun]:
    """Read a run that exists. All waits read runs in this way, on a worker and in the triggerer.

    After an error that may be temporary the run is read again, within the budget. This includes errors after which a
    single request is not repeated: a refused token, a conflict, a reply that cannot be parsed.

    Args:
        run_id: The pipeline run or job.
        policy: The budget for all attempts together, and where errors are logged.

    Raises:
        AzureMLError: The run could not be read. It continues anyway.
    """
    waited = 0.0
    tries = 0
    troubles = Troubles()
    while True:
        try:
            run = yield from get_run(run_id)
        except AzureMLError as error:
            pause = pause_after(error, policy.pause(tries, None))
            # Where a single request is repeated, that has already used the budget up.
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
