"""The wait of one try for its run: on a worker or in the triggerer, until the run ends or the deadline passes."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from aml_provider import metrics
from aml_provider.client.errors import AzureMLError, RunUnwatched
from aml_provider.client.flows.runs import outlast_throttling, read_run, wait_for_run
from aml_provider.client.help import sentence, text_of
from aml_provider.deadlines import (
    deadline_of,
    deferral_timeout,
    first_clock_behind,
    has_passed,
    in_words,
    is_late,
)
from aml_provider.hooks.azure_ml import retry_policy
from aml_provider.triggers.pipeline import AzureMLPipelineRunTrigger
from aml_provider.worker.wait import Wait

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from aml_provider.client.entities import PipelineRun
    from aml_provider.client.http.clients import Client
    from aml_provider.client.http.messages import Flow
    from aml_provider.durable.log import Log
    from aml_provider.worker.run_arguments import RunArguments


class RunWait:
    """The wait of one try for its run."""

    def __init__(self, ti: Any, arguments: RunArguments, log: Log) -> None:
        self._ti = ti
        self._arguments = arguments
        self._log = log
        self._first_clock_behind = 0.0

    @property
    def deadline(self) -> float | None:
        """The instant at which this try has to end, in seconds since the epoch; no deferral moves it. None: never."""
        deadline = deadline_of(self._ti.start_date, self._arguments.execution_timeout)
        return None if deadline is None else deadline + self._first_clock_behind

    def compare_clocks(self, sent: float, created: datetime | None, now: datetime | None) -> None:
        """Compare this worker's clock with that of the worker that began this try, so that the deadline fits this one.

        Args:
            sent: When the run was submitted, by the first worker's clock, in seconds since the epoch.
            created: When the run was created, by the service's clock.
            now: The present, by the service's clock.
        """
        begun = self._ti.start_date
        if begun is not None and created is not None and now is not None:
            ahead = time.time() - now.timestamp()
            self._first_clock_behind = first_clock_behind(
                begun=begun.timestamp(), sent=sent, created=created.timestamp(), ahead=ahead
            )
            if self._first_clock_behind:
                self._log.warning(
                    "The worker that began this try has a clock that is %.0f s behind this worker's; the deadline of "
                    "execution_timeout is later by that. Is one of the two clocks wrong?",
                    self._first_clock_behind,
                )

    @property
    def has_time(self) -> bool:
        """Whether there is no deadline, or it has not passed by this worker's clock."""
        deadline = self.deadline
        return deadline is None or not has_passed(deadline)

    @property
    def plan(self) -> str:
        """How often and until when the run is polled, as a sentence for the log."""
        deadline, where = self.deadline, " in the triggerer" if self._arguments.deferrable else ""
        until = "" if deadline is None else f", until {in_words(deadline)} at the latest"
        return f"Polls every {self._arguments.seconds_between_polls():g} s{where}{until}."

    def is_late(self, event: Mapping[str, Any]) -> bool:
        """Whether the deadline has passed by this worker's clock, after the trigger's deadline resumed the task."""
        return is_late(event, self._ti.start_date, self.deadline)

    def log_time_left(self, component: str, fired: float | None = None) -> None:
        """Log why the task continues to wait, although a component of Airflow has ended its wait at the deadline.

        Args:
            component: The component's name.
            fired: The deadline that the component was given, if that is known.
        """
        deadline = self.deadline
        if deadline is None:
            self._log.info("The task no longer has an execution_timeout; it continues to wait.")
            return
        if self._first_clock_behind:
            # The log says already whose clocks differ.
            return
        left = deadline - time.time()
        if fired is not None and has_passed(fired):
            self._log.info("The task's execution_timeout was raised; the task waits for another %.0f s.", left)
            return
        self._log.warning(
            "The deadline of execution_timeout has passed by the clock of Airflow's %s; by this worker's clock, %.0f s "
            "remain. The task continues to wait. Is one of the two clocks wrong?",
            component,
            left,
        )

    def in_triggerer(self, run_id: str, ahead: float = 0.0) -> Wait:
        """Wait for the run in the triggerer, whose clock is ahead by at least this many seconds."""
        deadline, arguments = self.deadline, self._arguments
        trigger = AzureMLPipelineRunTrigger(
            run_id=run_id,
            experiment_name=arguments.experiment_name,
            poll_interval=arguments.seconds_between_polls(),
            deadline=None if deadline is None else deadline + ahead,
            azureml_conn_id=arguments.azureml_conn_id,
            cancel_on_kill=arguments.cancel_on_kill,
            durable=arguments.durable,
        )
        return Wait(trigger, None if deadline is None else deferral_timeout(deadline))

    def read(self, client: Client, run_id: str) -> PipelineRun:
        """Read the run.

        Raises:
            RunUnwatched: The run could not be read.
        """
        with _unwatched_on_error(run_id):
            return client.run(read_run(run_id, policy=retry_policy()))

    def until_end(self, client: Client, run_id: str) -> PipelineRun:
        """Wait until the run has ended, or the deadline has passed.

        Raises:
            RunUnwatched: The run could not be read.
        """
        poll_interval = self._arguments.seconds_between_polls()
        observe = metrics.exchanges(self._arguments.azureml_conn_id, polls=True)
        with _unwatched_on_error(run_id), client.observed(observe):
            return client.run(self._until_end(run_id, poll_interval))

    def _until_end(self, run_id: str, poll_interval: float) -> Flow[PipelineRun]:
        policy, deadline = retry_policy(), self.deadline
        return (
            yield from outlast_throttling(
                lambda: wait_for_run(
                    run_id,
                    self._arguments.experiment_name,
                    poll_interval=poll_interval,
                    deadline=deadline,
                    log=lambda progress: self._log.info("Run %s: %s", run_id, progress),
                    policy=policy,
                ),
                deadline=deadline,
                log=lambda error: self._log.warning(
                    "The service is too busy to report the status of run %s; the task continues to poll. %s",
                    run_id,
                    error.text,
                ),
            )
        )


def unwatched(run_id: str, why: object, retry_after: float | None = None) -> RunUnwatched:
    """The error for a task whose run could not be read any more.

    Args:
        run_id: The run.
        why: The reason, as a sentence.
        retry_after: The seconds after which the service accepts the next request; None if it did not say.
    """
    error = RunUnwatched(
        f"Run {run_id} could not be read: {sentence(text_of(why))} The run continues; a retry takes it over.",
        run_id=run_id,
    )
    error.retry_after = retry_after
    return error


@contextmanager
def _unwatched_on_error(run_id: str) -> Iterator[None]:
    """Turn each error into one that keeps the task's retries: a run that cannot be read has not failed."""
    try:
        yield
    except AzureMLError as error:
        raise unwatched(run_id, error, error.retry_after) from None
