"""Finds a run by its id alone, whether it is a run of a published pipeline or a pipeline job.

The ids of our own jobs have a form that no other run has. Any other id may belong to either kind. Then the pipelines
service is asked first, and Azure Resource Manager if the pipelines service refuses the request. The answer is not
stored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from aml_provider.client import calls
from aml_provider.client.errors import AzureMLError, BadRequest, NotFound, PermissionDenied, ServiceError
from aml_provider.client.specs.job import is_own_job_id

if TYPE_CHECKING:
    from aml_provider.client.calls import Call
    from aml_provider.client.entities import PipelineRun
    from aml_provider.client.http.messages import Flow

T = TypeVar("T")


def get_run(run_id: str) -> Flow[PipelineRun]:
    """Read a run or a job, and its status.

    Raises:
        NotFound: It is neither.
        BadRequest: The pipelines service refuses the id, or is gone, and it is not the id of a job either.
        PermissionDenied: The identity may not read runs of one kind, so it may be one of these.
    """
    return _either(run_id, calls.get_run(run_id), calls.get_job(run_id))


def request_cancel(run_id: str) -> Flow[None]:
    """Request the cancellation of a run or a job; it takes some time.

    Raises:
        NotFound: It is neither.
        BadRequest: The pipelines service refuses the request, or is gone, and it is not the id of a job either.
        PermissionDenied: The identity may not cancel runs of one kind, so it may be one of these.
    """
    # The pipelines service also refuses it with 400 because the run has ended.
    return _either(run_id, calls.cancel_run(run_id), calls.cancel_job(run_id), of_runs_too=(BadRequest,))


def _either(run_id: str, of_run: Call[T], of_job: Call[T], of_runs_too: tuple[type[ServiceError], ...] = ()) -> Flow[T]:
    """Try both; ``of_runs_too`` are refusals that the pipelines service gives for its own runs as well."""
    result: T
    if is_own_job_id(run_id):
        result = yield of_job
        return result
    try:
        result = yield of_run
    except (BadRequest, NotFound, PermissionDenied) as error:
        # Any refusal may only mean that it is a job: the service may call its id malformed, or be gone (410).
        try:
            result = yield of_job
        except NotFound:
            raise error from None
        except AzureMLError as second:
            if not second.permanent and not isinstance(error, of_runs_too):
                # It may be a job: that it is not a run says nothing while jobs cannot be read.
                raise
            raise _with_hint(error, f"Nor could it be found as a job: {second}") from second
    return result


def _with_hint(error: ServiceError, hint: str) -> ServiceError:
    return type(error)(
        error.operation,
        status=error.status,
        code=error.code,
        message=error.message,
        request_ids=error.request_ids,
        hint=f"{error.hint} {hint}".strip(),
    )
