"""The operations on native schedules, one pure function each.

There is no deletion: a schedule can only be disabled. A change is a PUT of the whole entity.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from aml_provider.client.calls.call import Call, Resource, flag, segment
from aml_provider.client.entities import PipelineRun, Schedule

if TYPE_CHECKING:
    from collections.abc import Mapping

_SCHEDULES = Resource("pipelines", "endpoints/pipelines")
_RUNS = Resource("pipelines", "experiments/runs")
# The service drops nulls here, where absence means the same; inside their maps a null may be a value.
_STRUCTURE = ("PipelineSubmissionInfo", "Recurrence", "DataStoreTriggerInfo")


def create_schedule(body: Mapping[str, Any]) -> Call[Schedule]:
    """Create a schedule; the service makes it active, whatever the request says."""
    return _SCHEDULES.write(
        f"create schedule {body.get('Name')!r}",
        "POST",
        "/Schedules/Create",
        Schedule.from_wire,
        body=body,
        repeatable=False,  # names need not be unique, so the service would make a second one
    )


def get_schedule(schedule_id: str) -> Call[Schedule]:
    """Read one schedule."""
    path = f"/Schedules/{segment('schedule_id', schedule_id)}"
    return _SCHEDULES.read(f"get schedule {schedule_id!r}", path, Schedule.from_wire)


def list_schedules(*, active_only: bool = True) -> Call[tuple[Schedule, ...]]:
    """List the workspace's schedules."""
    query = (("activeOnly", flag(value=active_only)),)
    return _SCHEDULES.read_list("list schedules", "/Schedules", Schedule.from_wire, query=query)


def list_schedules_of_pipeline(pipeline_id: str) -> Call[tuple[Schedule, ...]]:
    """List the schedules of a published pipeline, the disabled ones too."""
    operation = f"list the schedules of published pipeline {pipeline_id!r}"
    path = f"/Schedules/Pipeline/{segment('pipeline_id', pipeline_id)}"
    return _SCHEDULES.read_list(operation, path, Schedule.from_wire)


def list_schedules_of_endpoint(endpoint_id: str) -> Call[tuple[Schedule, ...]]:
    """List the schedules of a pipeline endpoint, the disabled ones too."""
    operation = f"list the schedules of pipeline endpoint {endpoint_id!r}"
    path = f"/Schedules/PipelineEndpoint/{segment('endpoint_id', endpoint_id)}"
    return _SCHEDULES.read_list(operation, path, Schedule.from_wire)


def update_schedule(schedule_id: str, wire: Mapping[str, Any]) -> Call[Schedule]:
    """Replace a schedule as a whole.

    Sent once: a repetition after a failure would also undo what somebody else has written in between. In doubt,
    the caller reads the schedule again.
    """
    operation, path = f"update schedule {schedule_id!r}", f"/Schedules/{segment('schedule_id', schedule_id)}"
    return _SCHEDULES.write(operation, "PUT", path, Schedule.from_wire, body=_without_nulls(wire), repeatable=False)


def _without_nulls(wire: Mapping[str, Any]) -> dict[str, Any]:
    """The entity as Microsoft's SDK sends it back: without nulls, except inside maps with other people's values."""
    sent = {key: value for key, value in wire.items() if value is not None}
    for key in _STRUCTURE:
        if isinstance(sent.get(key), dict):
            sent[key] = {inner: value for inner, value in sent[key].items() if value is not None}
    return sent


def get_last_run_of_schedule(schedule_id: str) -> Call[PipelineRun | None]:
    """Read the run that a schedule started last; None if it has started none (the service answers 204)."""
    operation = f"get the last run of schedule {schedule_id!r}"
    path = f"/PipelineRuns/Schedule/{segment('schedule_id', schedule_id)}/Last"
    # As text: an empty answer has a meaning here, and a proxy's page must not pass for one.
    return _RUNS.read(operation, path, _run_or_none, text=True)


def _run_or_none(text: str) -> PipelineRun | None:
    return None if text.strip() in {"", "null"} else PipelineRun.from_wire(json.loads(text))


def list_runs_of_schedule(schedule_id: str) -> Call[tuple[PipelineRun, ...]]:
    """List all runs that a schedule has started."""
    operation = f"list the runs of schedule {schedule_id!r}"
    path = f"/PipelineRuns/Schedule/{segment('schedule_id', schedule_id)}"
    return _RUNS.read_list(operation, path, PipelineRun.from_wire)
