"""Cancelling a run: the cancel tag, the cancel, and the wait for its effect."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING

from aml_provider.client import calls
from aml_provider.client.errors import AzureMLError, BadRequest, Conflict, NotFound
from aml_provider.client.flows.runs_or_jobs import get_run, request_cancel
from aml_provider.client.http.messages import Flow, Pause

if TYPE_CHECKING:
    from collections.abc import Callable

    from aml_provider.client.entities import HistoryRun, PipelineRun

#: The cancel tag: a run that carries it was cancelled from Airflow, and no task takes it over.
CANCEL_TAG = "airflow.cancel"
# Seconds for which setting the tag is repeated, and between two attempts: Airflow 3 kills a process after five.
_TAG_TIMEOUT, _TAG_PAUSE = 3.0, 1.0
# Seconds between two polls for its end.
_POLL_INTERVAL = 2.0


class CancelReason(StrEnum):
    """Why Airflow cancels the run of a task; people read the value in the studio."""

    KILLED = "the task was ended in Airflow"
    TIMED_OUT = "execution_timeout passed"
    CLEARED = "the task was cleared"
    REPLACED = "the retry has another request"
    STATE_CHANGED = "a person changed the task's state in Airflow"


def has_cancel_tag(run_id: str, experiment: str) -> Flow[bool]:
    """Whether a run carries the cancel tag in the run history; False if one request cannot find that out.

    The request is not repeated: only metrics depend on the answer, and they must not delay a cancel.
    """
    try:
        known: HistoryRun = yield replace(calls.get_history_run(experiment, run_id), repeatable=False)
    except AzureMLError:
        return False
    return CANCEL_TAG in known.tags


def cancel_run(
    run_id: str,
    experiment: str,
    *,
    reason: str,
    timeout: float = 60.0,
    log: Callable[[str], None] = lambda _: None,
    check: Callable[[PipelineRun], None] = lambda _: None,
    cancelled: Callable[[], None] = lambda: None,
) -> Flow[PipelineRun]:
    """Set the cancel tag on a run, cancel it and wait for its end. A second call does no harm.

    Args:
        run_id: The pipeline run or job.
        experiment: Its experiment, in case the service does not name it.
        reason: The value of the tag, for people who read it in the studio.
        timeout: Seconds to wait for its end.
        log: Called with a line about each failure.
        check: Called with a run that has not ended; if it raises, the run is not cancelled.
        cancelled: Called once the service has accepted the cancel, unless the run was read with the cancel tag; jobs
            are, but the pipelines service does not return it.

    Returns:
        The run as it was read last: final, unless the timeout has passed.
    """
    run = yield from get_run(run_id)
    if run.state.is_final:
        return run
    check(run)
    set_tag = calls.tag_run(run.experiment_name or experiment, run_id, {CANCEL_TAG: reason})
    is_unknown = False
    try:
        yield set_tag
    except AzureMLError as error:
        # The cancel matters more than its tag. The run history may not know yet a run that was submitted just now.
        is_unknown = isinstance(error, NotFound)
        log(f"could not set the cancel tag of run {run_id}: {error.text}")
    try:
        yield from request_cancel(run_id)
    except (BadRequest, Conflict):
        # The run may have ended by itself in between, and then the service refuses to cancel it.
        run = yield from get_run(run_id)
        if not run.state.is_final:
            raise
        return run
    if CANCEL_TAG not in run.tags:
        cancelled()
    waited = 0.0
    while True:
        run = yield from get_run(run_id)
        if is_unknown:
            try:
                yield set_tag
                is_unknown = False
            except AzureMLError as error:
                is_unknown = isinstance(error, NotFound) and waited < _TAG_TIMEOUT
        if (run.state.is_final or waited >= timeout) and not is_unknown:
            return run
        pause = _TAG_PAUSE if is_unknown else _POLL_INTERVAL
        yield Pause(pause)
        waited += pause
