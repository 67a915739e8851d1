"""The control API, with which tests and people control the emulator itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from starlette.routing import Route

from aml_provider.emulator.clock import check_move, check_speed, shown
from aml_provider.emulator.routes.http import read_json, reply
from aml_provider.emulator.workspace.errors import bad_request
from aml_provider.emulator.workspace.times import optional_wire_time, wire_time

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from aml_provider.emulator.control_access import ControlAccess
    from aml_provider.emulator.emulation import Emulation
    from aml_provider.emulator.workspace.job_schedule_models import JobSchedule
    from aml_provider.emulator.workspace.models import Run
    from aml_provider.emulator.workspace.schedule_models import Schedule
    from aml_provider.emulator.workspace.workspace import Workspace

Handler = Callable[["Request"], Awaitable["Response"]]
_UPCOMING, _MOST_UPCOMING = 5, 1000
_CLOCK_CHECKS = {"speed": check_speed, "advance": check_move}


class ControlRoutes:
    """``/_emulator``: for callers with the control token; if none is set, for callers on this machine."""

    def __init__(self, emulation: Emulation, access: ControlAccess) -> None:
        self._emulation = emulation
        self._access = access

    def routes(self) -> list[Route]:
        """The routes, all below ``/_emulator/``."""
        routes: tuple[tuple[str, str, Handler], ...] = (
            ("GET", "requests", self.requests),
            ("DELETE", "requests", self.clear_requests),
            ("GET", "faults", self.faults),
            ("POST", "faults", self.add_fault),
            ("DELETE", "faults", self.clear_faults),
            ("GET", "clock", self.clock),
            ("POST", "clock", self.set_clock),
            ("POST", "reset", self.reset),
            ("GET", "runs", self.runs),
            ("GET", "schedules", self.schedules),
        )
        return [
            Route(f"/_emulator/{name}", self._guarded(handler), methods=[method]) for method, name, handler in routes
        ]

    async def requests(self, request: Request) -> Response:
        """The logged requests."""
        query = request.query_params
        return reply({"requests": self._emulation.requests.find(query.get("method"), query.get("path_contains"))})

    async def clear_requests(self, _request: Request) -> Response:
        """Clear the request log."""
        return reply({"cleared": self._emulation.requests.clear()})

    async def faults(self, _request: Request) -> Response:
        """The pending faults."""
        return reply({"faults": self._emulation.faults.pending()})

    async def add_fault(self, request: Request) -> Response:
        """Add a fault."""
        try:
            fault = self._emulation.faults.add(**_object(await read_json(request)))
        except ValueError as error:
            raise bad_request(str(error)) from error
        return reply(asdict(fault))

    async def clear_faults(self, _request: Request) -> Response:
        """Remove the faults."""
        self._emulation.faults.clear()
        return reply({"faults": []})

    async def clock(self, _request: Request) -> Response:
        """The state of the clock."""
        clock = self._emulation.clock
        return reply({"now": wire_time(clock.now()), "held": clock.held, "speed": clock.speed})

    async def set_clock(self, request: Request) -> Response:
        """Hold or release the clock, change its speed, move it."""
        given = _object(await read_json(request))
        for key, value in given.items():
            _check_clock(key, value)
        clock = self._emulation.clock
        clock.set(held=given.get("held"), speed=given.get("speed"))
        if "advance" in given:
            # Step functions run meanwhile, and can call this server.
            await asyncio.to_thread(clock.advance, given["advance"])
        return await self.clock(request)

    async def reset(self, _request: Request) -> Response:
        """Return to the seed."""
        # The triggers of a seed list the existing blobs, which blocks.
        await asyncio.to_thread(self._emulation.reset)
        return reply({"reset": True})

    async def runs(self, _request: Request) -> Response:
        """All runs, newest first, with details that the services do not show."""
        workspace = self._emulation.workspace
        return reply({"runs": [describe(workspace, run) for run in reversed(workspace.runs.values())]})

    async def schedules(self, request: Request) -> Response:
        """All schedules, with their next instants and with details that the services do not show."""
        text = request.query_params.get("count", str(_UPCOMING))
        if not text.isdecimal() or len(text) > len(str(_MOST_UPCOMING)) or int(text) > _MOST_UPCOMING:
            raise bad_request(f"count is a whole number from 0 to {_MOST_UPCOMING}, not {shown(text)}.")
        workspace = self._emulation.workspace
        schedules, job_schedules = workspace.schedules.all(), workspace.job_schedules.all()
        return reply(
            {
                "schedules": [describe_schedule(workspace, item, int(text)) for item in schedules],
                "job_schedules": [describe_job_schedule(workspace, item, int(text)) for item in job_schedules],
            }
        )

    def _guarded(self, handler: Handler) -> Handler:
        async def guarded(request: Request) -> Response:
            self._access.check(request)
            return await handler(request)

        return guarded


def _check_clock(key: str, value: object) -> None:
    """Check one value for the clock; all are checked before any takes effect."""
    if key == "held" and isinstance(value, bool):
        return
    if key not in _CLOCK_CHECKS or isinstance(value, bool) or not isinstance(value, (int, float)):
        raise bad_request(
            f"{shown(key)[1:-1]}={shown(value)}: known are held (true or false), speed and advance (numbers)."
        )
    try:
        _CLOCK_CHECKS[key](value)
    except ValueError as error:
        raise bad_request(str(error)) from error


def describe(workspace: Workspace, run: Run) -> dict[str, Any]:
    """A run with all its details, as JSON."""
    view = workspace.view(run)
    return {
        "id": run.id,
        "number": run.number,
        "pipeline_id": run.pipeline_id,
        "pipeline_name": workspace.pipeline(run.pipeline_id).name if run.job is None else None,
        "component_id": run.component_id,
        "job": None if run.job is None else asdict(run.job),
        "endpoint_id": run.endpoint_id,
        "experiment": run.experiment,
        "description": run.description,
        "status": view.status,
        "history_status": view.history_status,
        "created": wire_time(run.created),
        "started": optional_wire_time(view.started),
        "ended": optional_wire_time(view.ended),
        "canceled": optional_wire_time(run.canceled),
        "run_source": run.run_source,
        "run_type": run.run_type,
        "schedule_id": run.schedule_id,
        "parent_run_id": run.parent_run_id,
        "continue_on_step_failure": run.continue_on_step_failure,
        "parameters": run.parameters,
        "data_paths": {name: asdict(path) for name, path in run.data_paths.items()},
        "datasets": run.datasets,
        "tags": run.history_tags,
        "properties": run.history_properties,
        "outputs": run.outputs,
        "steps": [
            {
                "id": step_run.id,
                "name": step_run.step.name,
                "node_id": step_run.step.node_id,
                "status": step.status,
                "started": optional_wire_time(step.started),
                "ended": optional_wire_time(step.ended),
                "error": step.error,
            }
            for step_run, step in zip(run.steps, view.steps, strict=True)
        ],
    }


def describe_schedule(workspace: Workspace, schedule: Schedule, count: int) -> dict[str, Any]:
    """A schedule with all its details and its next ``count`` instants, as JSON."""
    upcoming = [wire_time(instant) for instant in workspace.schedules.upcoming(schedule, count)]
    return {
        "id": schedule.id,
        "name": schedule.name,
        "status": schedule.status,
        "provisioning_status": workspace.schedules.provisioning(schedule),
        "provisioning_error": schedule.provisioning_error,
        "pipeline_id": schedule.pipeline_id,
        "endpoint_id": schedule.endpoint_id,
        "submission": asdict(schedule.submission),
        "recurrence": asdict(schedule.recurrence) if schedule.recurrence else None,
        "trigger": asdict(schedule.trigger) if schedule.trigger else None,
        "created": wire_time(schedule.created),
        "modified": wire_time(schedule.modified),
        "anchored": wire_time(schedule.anchored),
        "next_fires": upcoming if schedule.recurrence else [],
        "next_polls": upcoming if schedule.trigger else [],
        "seen": schedule.seen,
        "last_polled": optional_wire_time(schedule.last_polled),
        "last_change": optional_wire_time(schedule.last_change),
        "changed_blobs": schedule.changed_blobs,
        "last_fired": optional_wire_time(schedule.last_fired),
        "last_error": schedule.last_error,
        "runs": [run.id for run in workspace.runs.values() if run.schedule_id == schedule.id],
    }


def describe_job_schedule(workspace: Workspace, schedule: JobSchedule, count: int) -> dict[str, Any]:
    """A schedule of the v2 API with all its details and its next ``count`` instants, as JSON."""
    return {
        "name": schedule.name,
        "enabled": schedule.enabled,
        "properties": schedule.properties,
        "provisioning_state": workspace.provisioning(schedule),
        "provisioning_error": schedule.provisioning_error,
        "created": wire_time(schedule.created),
        "modified": wire_time(schedule.modified),
        "anchored": wire_time(schedule.anchored),
        "next_fires": [wire_time(instant) for instant in workspace.job_schedules.upcoming(schedule, count)],
        "last_fired": optional_wire_time(schedule.last_fired),
        "last_error": schedule.last_error,
        "jobs": [
            run.id for run in workspace.runs.values() if run.job is not None and run.job.schedule == schedule.name
        ],
    }


def _object(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise bad_request("The body must be a JSON object.")
    return value
