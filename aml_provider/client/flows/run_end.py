"""The end of a run, and what it means to a task that waits for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from aml_provider.client import calls
from aml_provider.client.entities import HistoryRun, RunState
from aml_provider.client.errors import AzureMLError, ForeignRun, RunCanceled, RunFailed, RunTimedOut
from aml_provider.client.flows.cancel_run import CANCEL_TAG
from aml_provider.client.flows.failures import find_failure

if TYPE_CHECKING:
    from aml_provider.client.entities import PipelineRun
    from aml_provider.client.http.messages import Flow


def conclude(run: PipelineRun, experiment: str, link: str, *, own: bool) -> Flow[str]:
    """Turn the end of a run into the end of a task.

    Args:
        run: The run, which has ended.
        experiment: Its experiment, in case the service does not name it.
        link: Its page in the studio, for messages.
        own: Whether the task submitted the run. If so, and if Airflow cancelled the run, a retry may submit another
            one.

    Returns:
        The run's id, if the run ended successfully.

    Raises:
        RunFailed: The run failed, or it is the task's own and was cancelled from Airflow.
        RunCanceled: The run was cancelled otherwise.
    """
    if run.state is RunState.FINISHED:
        return run.id
    if run.state is RunState.FAILED:
        failure = yield from find_failure(run)
        raise RunFailed(
            f"Run {run.id} failed. {failure.text}", run_id=run.id, link=link, failed_steps=failure.failed_steps
        )
    asked = yield from _cancel_reason(run, experiment)
    if asked is not None:
        error = RunFailed if own else RunCanceled
        raise error(f"Run {run.id} was cancelled from Airflow: {asked}.", run_id=run.id, link=link)
    advice = ", not by this task. No retry submits it again; clear the task to submit a new run" if own else ""
    raise RunCanceled(f"Run {run.id} was cancelled in the workspace{advice}.", run_id=run.id, link=link)


def _cancel_reason(run: PipelineRun, experiment: str) -> Flow[str | None]:
    """Read why Airflow cancelled a run; None if Airflow did not cancel it, or if the reason cannot be read."""
    try:
        known: HistoryRun = yield calls.get_history_run(run.experiment_name or experiment, run.id)
    except AzureMLError:
        return None
    return known.tags.get(CANCEL_TAG)


def end_at_deadline(run: PipelineRun, link: str, cancel: Flow[PipelineRun] | None) -> Flow[NoReturn]:
    """End a wait whose deadline has passed while the run continues.

    Args:
        run: The run.
        link: Its page in the studio, for messages.
        cancel: Cancels the run; None: the run continues.

    Raises:
        ForeignRun: The run belongs to another Airflow, so it was not cancelled.
        RunTimedOut: In every other case.
    """
    late = f"Run {run.id} was {run.status} when execution_timeout passed"
    continues = "The run continues"
    retry = "a retry takes it over."
    if cancel is None:
        raise RunTimedOut(f"{late}. {continues} (on_timeout='leave'); {retry}", run_id=run.id, link=link)
    try:
        ended = yield from cancel
    except ForeignRun:
        raise
    except AzureMLError as error:
        raise RunTimedOut(
            f"{late}, and could not be cancelled: {error.text} {continues}; {retry}", run_id=run.id, link=link
        ) from None
    raise RunTimedOut(f"{late}; it was cancelled and is {ended.status}.", run_id=run.id, link=link)
