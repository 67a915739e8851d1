"""The operations on pipeline jobs, as Azure Resource Manager has them (azureml-v2-rest 4.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aml_provider.client.calls.call import ARM_VERSION, RIGHTS, Call, Resource, nothing, segment
from aml_provider.client.entities import PipelineRun
from aml_provider.client.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_JOBS = Resource("arm", "jobs")


def _path(job_id: str) -> str:
    return f"/jobs/{segment('job_id', job_id)}"


def submit_job(job_id: str, body: Mapping[str, Any]) -> Call[PipelineRun]:
    """Submit a pipeline job under an id of the client's choice.

    A second request under the same id never starts a second job, but the service may refuse it even if it is identical.
    And if a job that is not ours has the id, a request changes that job's tags (azureml-v2-rest 4.3). So the request is
    sent once: in doubt, the caller reads the job.

    As with Microsoft's SDK, the request carries a second token. Its purpose is not established; perhaps it is for jobs
    that run as the user who submits them (azureml-v2-rest 2.1).
    """
    return _JOBS.write(
        f"submit job {job_id!r}",
        "PUT",
        _path(job_id),
        PipelineRun.from_job,
        query=ARM_VERSION,
        body=body,
        repeatable=False,
        ml_token=True,
    )


def get_job(job_id: str) -> Call[PipelineRun]:
    """Read a pipeline job and its status."""
    return _JOBS.read(f"get job {job_id!r}", _path(job_id), PipelineRun.from_job, query=ARM_VERSION)


def get_job_outputs(job_id: str) -> Call[dict[str, str]]:
    """Read the addresses of a job's outputs, by name; an output without an address is left out.

    The addresses have any of the forms of azureml-v2-rest 4.2, and may have macros of the service in them.
    """
    return _JOBS.read(f"get the outputs of job {job_id!r}", _path(job_id), _outputs, query=ARM_VERSION)


def _outputs(wire: Any) -> dict[str, str]:
    outputs = wire["properties"].get("outputs") or {}
    return {
        str(name): item["uri"]
        for name, item in outputs.items()
        if isinstance(item, dict) and isinstance(item.get("uri"), str) and item["uri"]
    }


def cancel_job(job_id: str) -> Call[None]:
    """Request the cancellation of a pipeline job. This takes some time; only the job shows its effect, not the reply.

    Whether the service refuses to cancel a job that has ended is not established.
    """
    path = f"{_path(job_id)}/cancel"
    right = f"{RIGHTS}/jobs/cancel/action"
    return _JOBS.write(f"cancel job {job_id!r}", "POST", path, nothing, query=ARM_VERSION, right=right)


def list_jobs(
    *,
    properties: Mapping[str, str | None] | None = None,
    tag: str | None = None,
    limit: int | None = None,
    enough: Callable[[tuple[PipelineRun, ...]], bool] = lambda _: False,
) -> Call[tuple[PipelineRun, ...]]:
    """List the pipeline jobs that are not archived. Their order is not established.

    Args:
        properties: Only jobs that have all of these properties; None as a value means any value.
        tag: Only jobs that have a tag of this name.
        limit: The most jobs to return; None: all.
        enough: Whether the jobs so far are all that is needed, so that no further page is read.

    Raises:
        InvalidArgument: A property cannot be searched for: how the filter quotes a comma or an equals sign is not
            established.
    """
    query = [*ARM_VERSION, ("jobType", "Pipeline"), ("listViewType", "ActiveOnly")]
    if tag is not None:
        query.append(("tag", tag))
    if properties:
        query.append(("properties", ",".join(_filter(name, value) for name, value in properties.items())))
    return _JOBS.read_list(
        "list jobs", "/jobs", PipelineRun.from_job, query=tuple(query), page_key="$skip", limit=limit, enough=enough
    )


def _filter(name: str, value: str | None) -> str:
    for text in (name, value or ""):
        if "," in text or "=" in text:
            raise InvalidArgument(
                "properties", f"has {text!r}; jobs can be searched for texts without ',' and '=' only"
            )
    return name if value is None else f"{name}={value}"
