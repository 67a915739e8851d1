"""Flows about pipeline runs: wait and read. Each is a generator of calls that any client can carry out."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, NamedTuple

from aml_provider.client import calls
from aml_provider.client.errors import AzureMLError, ends_a_wait
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
    """Poll a run until it is final or its deadline has passed.

    Args:
        run_id: The pipeline run or job.
        experiment: Its experiment.
        poll_interval: Seconds between two polls.
        deadline: Seconds since the epoch (a monotonic clock means nothing to the next process); None: wait for ever.
        log: Called with the progress, as text, whenever it has changed, and from time to time if it has not.
        policy: For how long the run is read again after an error, and where the errors are logged.
        now: The wall clock.

    Returns:
        The run as it was read last: final, unless the deadline has passed.

    Raises:
        AzureMLError: The run could not be read within the retry budget. It continues anyway.
    """
    lines = PollLog()
    while True:
        run = yield from read_run(run_id, policy=policy)
        progress = Progress(run.status, (yield from _step_states(experiment, run_id)))
        moment = now()
        if (line := lines.line(str(progress), moment)) is not None:
            log(line)
        pause = Pause.before(deadline, poll_interval, moment)
        if run.state.is_final or pause is None:
            return run
        yield pause


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


def _step_states(experiment: str, run_id: str) -> Flow[tuple[tuple[str, str], ...]]:
    try:
        steps = yield from list_steps(experiment, run_id)
    except AzureMLError:
        # Progress is a courtesy: the wait continues without it.
        return ()
    return tuple((step.name, step.status) for step in steps)
