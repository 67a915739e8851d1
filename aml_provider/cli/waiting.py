"""The wait of a command for a run: errors on the way, an interruption, and the exit code at the end."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from aml_provider.cli.execution import CommandError, say
from aml_provider.cli.records import duration_of, status_of
from aml_provider.client.entities import RunState
from aml_provider.client.errors import InvalidArgument
from aml_provider.client.flows.failures import explain_failure
from aml_provider.client.flows.runs import observe_run, outlast_throttling
from aml_provider.hooks.azure_ml import retry_policy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aml_provider.cli.execution import Answer
    from aml_provider.client.entities import PipelineRun
    from aml_provider.client.flows.runs import Observation
    from aml_provider.client.http.messages import Flow
    from aml_provider.client.http.retry import RetryPolicy
    from aml_provider.hooks.azure_ml import AzureMLHook

# The exit codes of a wait that did not end with a successful run.
_FAILED, _CANCELED, _STILL_ACTIVE = 3, 4, 5


class _Unsuccessful(CommandError):
    """The run failed, was cancelled, or is still active after the timeout."""

    def __init__(self, message: str, exit_code: int, answer: Answer | None) -> None:
        super().__init__(message, answer=answer)
        self.exit_code = exit_code


class RunWait:
    """A command's wait for a run. It survives errors of the service as an operator's wait does.

    Args:
        hook: The connection.
        timeout: Seconds after which to stop waiting; None: wait until the run ends.
    """

    def __init__(self, hook: AzureMLHook, timeout: float | None) -> None:
        self._hook = hook
        self._timeout = timeout
        self.deadline = None if timeout is None else time.time() + timeout

    @property
    def policy(self) -> RetryPolicy:
        """For how long the run is read again after an error; the errors are reported to the person."""
        return retry_policy()._replace(log=lambda _, text: say(text))

    def observe(self, run: PipelineRun, poll_interval: float, notify: Callable[[Observation], None]) -> PipelineRun:
        """Wait, and call ``notify`` with the result of each poll."""
        return self.carry_out(
            run,
            lambda: observe_run(
                run.id,
                run.experiment_name,
                poll_interval=poll_interval,
                deadline=self.deadline,
                notify=notify,
                policy=self.policy,
            ),
        )

    def carry_out(self, run: PipelineRun, wait: Callable[[], Flow[PipelineRun]]) -> PipelineRun:
        """Carry out a wait for a run; whatever ends it early, a message says that the run continues."""
        with _continues(run):
            return self._hook.run(
                outlast_throttling(
                    wait,
                    deadline=self.deadline,
                    log=lambda error: say(f"The service is too busy; waiting for it. {error}"),
                )
            )

    def conclude(self, run: PipelineRun, answer: Answer | None = None, *, with_reason: bool = True) -> None:
        """Turn the end of the wait into the command's exit code.

        Args:
            run: The run as it was read last.
            answer: The command's answer, if it has not been printed yet.
            with_reason: Whether the message explains a failure, with the end of the failed step's log.

        Raises:
            CommandError: The run was not successful.
        """
        duration = duration_of(run)
        after = "" if duration is None else f" after {duration}"
        if run.state is RunState.FINISHED:
            say(f"Run {run.id} ended as {status_of(run)}{after}.")
        elif run.state is RunState.FAILED:
            reason = self._hook.run(explain_failure(run)) if with_reason else f"See `runs show {run.id}`."
            raise _Unsuccessful(f"Run {run.id} ended as {status_of(run)}{after}. {reason}", _FAILED, answer)
        elif run.state is RunState.CANCELED:
            raise _Unsuccessful(f"Run {run.id} ended as {status_of(run)}{after}.", _CANCELED, answer)
        else:
            raise _Unsuccessful(
                f"Run {run.id} is still {run.status} after {self._timeout:g} seconds and continues. See "
                f"`runs show {run.id}`.",
                _STILL_ACTIVE,
                answer,
            )


@contextlib.contextmanager
def _continues(run: PipelineRun) -> Iterator[None]:
    """Say that the run continues, if the wait ends before the run."""
    try:
        yield
    except BaseException as error:
        if any(isinstance(item, InvalidArgument) for item in (error, error.__cause__)):
            # The run has ended without the step whose logs were wanted.
            raise
        say(f"Run {run.id} continues. See it with `runs show {run.id}`, or end it with `runs cancel {run.id}`.")
        raise
