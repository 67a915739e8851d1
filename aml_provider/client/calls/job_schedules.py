"""The operations on job schedules, as Azure Resource Manager has them (azureml-v2-rest 6.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aml_provider.client.calls.call import ARM_VERSION, RIGHTS, Call, Resource, nothing, segment
from aml_provider.client.entities import JobSchedule, PipelineRun

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

_SCHEDULES = Resource("arm", "schedules")
_JOBS = Resource("arm", "jobs")
# Only preview versions are known to start a schedule's job, and to list the jobs of a schedule (azureml-v2-rest 2.4).
_PREVIEW = (("api-version", "2024-01-01-preview"),)
# The service fills these in; nobody can write them.
_READ_ONLY = frozenset({"id", "name", "type", "systemData"})
_READ_ONLY_PROPERTIES = frozenset({"provisioningState"})


def _path(name: str) -> str:
    return f"/schedules/{segment('name', name)}"


def get_job_schedule(name: str) -> Call[JobSchedule]:
    """Read one job schedule."""
    return _SCHEDULES.read(f"get job schedule {name!r}", _path(name), JobSchedule.from_wire, query=ARM_VERSION)


def list_job_schedules(*, active_only: bool = True) -> Call[tuple[JobSchedule, ...]]:
    """List the workspace's job schedules."""
    query = (*ARM_VERSION, ("listViewType", "EnabledOnly" if active_only else "All"))
    return _SCHEDULES.read_list(
        "list job schedules", "/schedules", JobSchedule.from_wire, query=query, page_key="$skip"
    )


def put_job_schedule(name: str, wire: Mapping[str, Any]) -> Call[JobSchedule]:
    """Create a job schedule, or replace it as a whole: it loses everything that is not sent.

    Sent once: a repetition after a failure would also undo what somebody else has written in between, and there is no
    ETag to prevent that. In doubt, the caller reads the schedule again.
    """
    return _SCHEDULES.write(
        f"put job schedule {name!r}",
        "PUT",
        _path(name),
        JobSchedule.from_wire,
        query=ARM_VERSION,
        body=_writable(wire),
        repeatable=False,
    )


def delete_job_schedule(name: str) -> Call[None]:
    """Delete a job schedule, which must be disabled. Until the deletion has ended, the schedule can still be read."""
    return _SCHEDULES.write(
        f"delete job schedule {name!r}",
        "DELETE",
        _path(name),
        nothing,
        query=ARM_VERSION,
        right=f"{RIGHTS}/schedules/delete",
    )


def trigger_job_schedule(name: str, at: datetime) -> Call[str]:
    """Start a job of a schedule now; ``at`` is its trigger time.

    Returns the reply's ``submissionId``, which Microsoft's SDK takes for the id of the job (azureml-v2-rest 6.2).
    """
    return _SCHEDULES.write(
        f"trigger job schedule {name!r}",
        "POST",
        f"{_path(name)}/trigger",
        _submission_id,
        query=_PREVIEW,
        body={"scheduleTime": at.isoformat()},
        repeatable=False,  # each request starts a job
    )


def list_jobs_of_schedule(name: str, *, limit: int | None = None) -> Call[tuple[PipelineRun, ...]]:
    """List the jobs that a schedule has started, with a filter that only preview versions of the API have.

    Whether the service wants the schedule's name or its id is not established; Microsoft's SDK sends the name
    (azureml-v2-rest 6.3).
    """
    query = (*_PREVIEW, ("scheduled", "true"), ("scheduleId", name), ("listViewType", "ActiveOnly"))
    return _JOBS.read_list(
        f"list the jobs of schedule {name!r}",
        "/jobs",
        PipelineRun.from_job,
        query=query,
        page_key="$skip",
        limit=limit,
    )


def _submission_id(wire: dict[str, Any]) -> str:
    return str(wire["submissionId"])


def _writable(wire: Mapping[str, Any]) -> dict[str, Any]:
    """The schedule as it may be written: without what only the service fills in, and without nulls in its structure.

    In the structure, a null means the same as absence, and Microsoft's SDK does not send nulls. In a map with other
    people's values, such as tags, a null may be a value.
    """
    sent = {key: value for key, value in wire.items() if key not in _READ_ONLY and value is not None}
    properties = _without_nulls(sent["properties"])
    for key in _READ_ONLY_PROPERTIES:
        properties.pop(key, None)
    if isinstance(properties.get("trigger"), dict):
        trigger = properties["trigger"] = _without_nulls(properties["trigger"])
        if isinstance(trigger.get("schedule"), dict):
            trigger["schedule"] = _without_nulls(trigger["schedule"])
    if isinstance(properties.get("action"), dict):
        action = properties["action"] = _without_nulls(properties["action"])
        if isinstance(action.get("jobDefinition"), dict):
            action["jobDefinition"] = _without_nulls(action["jobDefinition"])
    return {**sent, "properties": properties}


def _without_nulls(wire: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in wire.items() if value is not None}
