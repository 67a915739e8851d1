"""Finds a run by its id alone, whether it is a run of a published pipeline or a pipeline job.

The ids of our own jobs have a form that no other run has. Any other id may belong to either kind. Then the pipelines
service is asked first, and Azure Resource Manager if the pipelines service refuses the request. The process remembers
the latest ids that were found to be those of jobs, so that each further read costs one request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from aml_provider.client import calls
from aml_provider.client.errors import (
    AzureMLError,
    BadRequest,
    NotFound,
    PermissionDenied,
    ServiceError,
    is_gone,
)
from aml_provider.client.http.messages import OwnSettings
from aml_provider.client.specs.job import is_own_job_id

if TYPE_CHECKING:
    from aml_provider.client.calls import Call
    from aml_provider.client.entities import PipelineRun
    from aml_provider.client.http.messages import Flow
    from aml_provider.client.settings import WorkspaceSettings

T = TypeVar("T")

# Workspaces and ids that were found to be jobs; an id never changes its kind. As many as a triggerer may wait for.
_JOBS: dict[tuple[str, str], None] = {}
_MOST_JOBS = 10_000


def get_run(run_id: str) -> Flow[PipelineRun]:
    """Read a run or a job, and its status.

    Raises:
        NotFound: The id is neither that of a run nor that of a job.
        BadRequest: The pipelines service refuses the id, and the id is not that of a job either.
        PermissionDenied: The identity has no right to read one of the two kinds, and the id may belong to that kind.
    """
    return _either(run_id, calls.get_run(run_id), calls.get_job(run_id))


def request_cancel(run_id: str) -> Flow[None]:
    """Request the cancellation of a run or a job; it takes some time.

    Raises:
        NotFound: The id is neither that of a run nor that of a job.
        BadRequest: The pipelines service refuses the request, and the id is not that of a job either.
        PermissionDenied: The identity has no right to cancel one of the two kinds, and the id may belong to that kind.
    """
    # The pipelines service also refuses it with 400 because the run has ended.
    return _either(run_id, calls.cancel_run(run_id), calls.cancel_job(run_id), of_runs_too=(BadRequest,))


def _either(run_id: str, of_run: Call[T], of_job: Call[T], of_runs_too: tuple[type[ServiceError], ...] = ()) -> Flow[T]:
    """Try the call for a run and, if it is refused, the call for a job.

    ``of_runs_too`` are refusals that the pipelines service gives for its own runs as well.
    """
    result: T
    if is_own_job_id(run_id):
        result = yield of_job
        return result
    settings: WorkspaceSettings = yield OwnSettings()
    key = settings.identity, run_id
    if key in _JOBS:
        result = yield of_job
        return result
    try:
        result = yield of_run
    except ServiceError as error:
        # Any refusal may only mean that it is a job: the service may call its id malformed, or be gone.
        if not (isinstance(error, (BadRequest, PermissionDenied)) or error.status == 404 or is_gone(error)):
            raise
        result = yield from _as_job(of_job, error, may_be_of_run=isinstance(error, of_runs_too))
        _JOBS[key] = None
        if len(_JOBS) > _MOST_JOBS:
            _JOBS.pop(next(iter(_JOBS)), None)
    return result


def _as_job(of_job: Call[T], error: ServiceError, *, may_be_of_run: bool) -> Flow[T]:
    """The answer for a job, after the pipelines service has refused.

    Args:
        of_job: The call.
        error: The refusal.
        may_be_of_run: Whether the service gives this refusal for its own runs, too.
    """
    try:
        result: T = yield of_job
    except AzureMLError as second:
        if isinstance(second, NotFound):
            # "It is gone" alone would hide a mistyped id.
            raise error.with_hint("There is no job with this id either.") if is_gone(error) else error from None
        if is_gone(error) or (not second.permanent and not may_be_of_run):
            # It is or may be a job: the refusal says nothing while jobs cannot be read.
            raise
        raise error.with_hint(f"Nor could it be found as a job: {second.text}") from None
    return result
