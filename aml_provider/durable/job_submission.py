"""The submission of a pipeline job, whose id the client chooses: in doubt, the job is read by that id.

An id names one job for ever: a second request under the same id never starts a second job (azureml-v2-rest 4.3). So
nothing is looked up by key here, and "not found" needs no evidence: it only means that the request is sent again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aml_provider.client import calls
from aml_provider.client.errors import (
    AuthenticationRefused,
    AzureMLError,
    ForeignRun,
    NotFound,
    PermissionDenied,
    ServiceError,
    SubmissionUnsettled,
    Throttled,
)
from aml_provider.client.specs.job import job_id
from aml_provider.durable.lookup import KEY, repeat_until_found

if TYPE_CHECKING:
    from collections.abc import Callable

    from aml_provider.client.entities import PipelineRun
    from aml_provider.client.http.messages import Flow
    from aml_provider.durable.record import SubmissionRecord

#: The tag and the property that carry a submission's fingerprint.
FINGERPRINT = "airflow.fingerprint"


def id_of(record: SubmissionRecord) -> str:
    """The id of a submission's job, whether or not the job exists."""
    return job_id(record.key, record.ordinal)


def leaves_doubt(error: AzureMLError) -> bool:
    """Whether a job may exist although its submission has failed with this error.

    If a job with the id exists, the service refuses a request that differs from the first one, and perhaps also an
    equal request. The status of that refusal is not established (azureml-v2-rest 4.3). So a refusal removes the doubt
    only if it comes before the service compares the two requests: a refused identity, and too many requests.
    """
    certain = (AuthenticationRefused, PermissionDenied, Throttled)
    return error.in_doubt or (isinstance(error, ServiceError) and not isinstance(error, certain))


def fingerprint_of(run: PipelineRun, record: SubmissionRecord) -> str:
    """The fingerprint of the request that has become a job; that of the submission record if the job has none.

    The two differ if an earlier request under the same id has arrived before this one. The later request may have
    changed the job's tags, but not its properties (azureml-v2-rest 4.3).
    """
    return run.properties.get(FINGERPRINT) or run.tags.get(FINGERPRINT) or record.fingerprint


def find_job(
    record: SubmissionRecord,
    timeout: float,
    *,
    now: Callable[[], float],
    keep: Callable[[float], None] | None = None,
) -> Flow[PipelineRun | None]:
    """Read the job of a submission by its id, for ``timeout`` seconds or until it exists.

    None with a ``timeout`` of 0 means: submit it again. If the ``timeout`` is as long as a request can be on its way,
    None means that there will be no such job.

    Raises:
        ForeignRun: Something else has this id.
        SubmissionUnsettled: The job could not be read.
    """
    problems: list[AzureMLError] = []

    def read() -> Flow[PipelineRun | None]:
        problems.clear()
        try:
            run: PipelineRun = yield calls.get_job(id_of(record))
        except NotFound:
            return None
        except AzureMLError as error:
            problems.append(error)
            return None
        _check_key(run, record)
        return run

    found = yield from repeat_until_found(read, timeout=timeout, now=now, keep=keep)
    if problems:
        raise SubmissionUnsettled(
            f"Whether job {id_of(record)} was submitted is not known yet, so it is not submitted again; a retry reads "
            f"it again. {problems[0].text}"
        ) from problems[0]
    return found


def _check_key(run: PipelineRun, record: SubmissionRecord) -> None:
    key = run.properties.get(KEY) or run.tags.get(KEY)
    if key == record.key:
        return
    found = f"it has {key!r}" if key else "it has none"
    raise ForeignRun(
        f"Job {run.id} exists, but was not submitted by this task: its property {KEY} would be {record.key!r}, and "
        f"{found}. So it is neither taken over nor overwritten. Find out in the studio what has submitted it. Clear "
        "this task to submit a job under another id."
    )
