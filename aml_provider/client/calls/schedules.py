"""The operations on native schedules, one pure function each.

There is no deletion: a schedule can only be disabled. A change is a PUT of the whole entity.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from aml_provider.client.calls.call import RIGHTS, WRITER, Call, each, flag, segment
from aml_provider.client.entities import PipelineRun, Schedule

if TYPE_CHECKING:
    from collections.abc import Mapping

_READ = f"{RIGHTS}/endpoints/pipelines/read"
_WRITE = f"{RIGHTS}/endpoints/pipelines/write"
# The service drops nulls here, where absence means the same; inside their maps a null may be a value.
_STRUCTURE = ("PipelineSubmissionInfo", "Recurrence", "DataStoreTriggerInfo")


def create_schedule(body: Mapping[str, Any]) -> Call[Schedule]:
    """Create a schedule; the service makes it active, whatever the request says."""
    return Call(
        operation=f"create schedule {body.get('Name')!r}",
        method="POST",
        service="pipelines",
        path="/Schedules/Create",
        body=body,
        parse=Schedule.from_wire,
        repeatable=False,  # names need not be unique, so the service would make a second one
        right=_WRITE,
        role=WRITER,
    )


def get_schedule(schedule_id: str) -> Call[Schedule]:
    """Read one schedule."""
    return Call(
        operation=f"get schedule {schedule_id!r}",
        method="GET",
        service="pipelines",
        path=f"/Schedules/{segment('schedule_id', schedule_id)}",
        parse=Schedule.from_wire,
        right=_READ,
    )


def _list(operation: str, path: str, query: tuple[tuple[str, str], ...] = ()) -> Call[tuple[Schedule, ...]]:
    return Call(
        operation=operation,
        method="GET",
        service="pipelines",
        path=path,
        query=query,
        parse=lambda wire: each(Schedule.from_wire, wire),
        page_key="continuationToken",
        right=_READ,
    )


def list_schedules(*, active_only: bool = True) -> Call[tuple[Schedule, ...]]:
    """List the workspace's schedules."""
    return _list("list schedules", "/Schedules", (("activeOnly", flag(value=active_only)),))


def list_schedules_of_pipeline(pipeline_id: str) -> Call[tuple[Schedule, ...]]:
    """List the schedules of a published pipeline, the disabled ones too."""
    return _list(
        f"list the schedules of published pipeline {pipeline_id!r}",
        f"/Schedules/Pipeline/{segment('pipeline_id', pipeline_id)}",
    )


def list_schedules_of_endpoint(endpoint_id: str) -> Call[tuple[Schedule, ...]]:
    """List the schedules of a pipeline endpoint, the disabled ones too."""
    return _list(
        f"list the schedules of pipeline endpoint {endpoint_id!r}",
        f"/Schedules/PipelineEndpoint/{segment('endpoint_id', endpoint_id)}",
    )


def update_schedule(schedule_id: str, wire: Mapping[str, Any]) -> Call[Schedule]:
    """Replace a schedule as a whole.

    Sent once: a repetition after a failure would also undo what somebody else has written in between. In doubt,
    the caller reads the schedule again.
    """
    return Call(
        operation=f"update schedule {schedule_id!r}",
        method="PUT",
        service="pipelines",
        path=f"/Schedules/{segment('schedule_id', schedule_id)}",
        body=_without_nulls(wire),
        parse=Schedule.from_wire,
        repeatable=False,
        right=_WRITE,
        role=WRITER,
    )


def _without_nulls(wire: Mapping[str, Any]) -> dict[str, Any]:
    """The entity as Microsoft's SDK sends it back: without nulls, except inside maps with other people's values."""
    sent = {key: value for key, value in wire.items() if value is not None}
    for key in _STRUCTURE:
        if isinstance(sent.get(key), dict):
            sent[key] = {inner: value for inner, value in sent[key].items() if value is not None}
    return sent


def get_last_run_of_schedule(schedule_id: str) -> Call[PipelineRun | None]:
    """Read the run that a schedule started last; None (the service answers 204): it has started none."""
    return Call(
        operation=f"get the last run of schedule {schedule_id!r}",
        method="GET",
        service="pipelines",
        path=f"/PipelineRuns/Schedule/{segment('schedule_id', schedule_id)}/Last",
        parse=_run_or_none,
        right=f"{RIGHTS}/pipelineruns/read",
        text=True,  # an empty answer has a meaning here, and a proxy's page must not pass for one
    )


def _run_or_none(text: str) -> PipelineRun | None:
    return None if text.strip() in {"", "null"} else PipelineRun.from_wire(json.loads(text))


def list_runs_of_schedule(schedule_id: str) -> Call[tuple[PipelineRun, ...]]:
    """List all runs that a schedule has started."""
    return Call(
        operation=f"list the runs of schedule {schedule_id!r}",
        method="GET",
        service="pipelines",
        path=f"/PipelineRuns/Schedule/{segment('schedule_id', schedule_id)}",
        parse=lambda wire: each(PipelineRun.from_wire, wire),
        page_key="continuationToken",
        right=f"{RIGHTS}/pipelineruns/read",
    )
