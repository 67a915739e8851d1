"""A run by its id alone, which is that of a published pipeline's run or of a pipeline job.

The ids of our own jobs have a form that no other run has. Any other id may be of either kind: then the pipelines
service is asked first, and Azure Resource Manager if the pipelines service does not know the run. The process remembers
the latest ids that it has found to be jobs, so that each further read of a wait costs one request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from aml_provider.client import calls
from aml_provider.client.errors import AzureMLError, NotFound, PermissionDenied, ServiceError, is_gone
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
        NotFound: It is neither.
        PermissionDenied: It may be one that the identity must not read.
    """
    return _either(run_id, calls.get_run(run_id), calls.get_job(run_id))


def request_cancel(run_id: str) -> Flow[None]:
    """Request the cancellation of a run or a job; it takes some time.

    Raises:
        NotFound: It is neither.
        PermissionDenied: It may be one that the identity must not cancel.
    """
    return _either(run_id, calls.cancel_run(run_id), calls.cancel_job(run_id))


def _either(run_id: str, of_run: Call[T], of_job: Call[T]) -> Flow[T]:
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
        if not (isinstance(error, (NotFound, PermissionDenied)) or is_gone(error)):
            raise
        result = yield from _as_job(of_job, error)
        _JOBS[key] = None
        if len(_JOBS) > _MOST_JOBS:
            _JOBS.pop(next(iter(_JOBS)), None)
    return result


def _as_job(of_job: Call[T], error: ServiceError) -> Flow[T]:
    """The answer for a job, after the pipelines service has answered with an error."""
    try:
        result: T = yield of_job
    except AzureMLError as second:
        # That it is not a run says nothing while jobs cannot be read, or if there are only jobs.
        if is_gone(error) or not second.permanent:
            raise
        if isinstance(second, NotFound):
            raise error from None
        raise error.with_hint(f"Nor could it be found as a job: {second}") from second
    return result
