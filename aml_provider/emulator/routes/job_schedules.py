"""Schedules of the v2 API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

from aml_provider.emulator.routes.arm_paging import link_page, viewed
from aml_provider.emulator.routes.http import read_body, reply, scope_of
from aml_provider.emulator.routes.operations import deleting, provisioning
from aml_provider.emulator.wire.job_schedules import schedule_dto
from aml_provider.emulator.workspace.errors import bad_request
from aml_provider.emulator.workspace.times import parse_time

if TYPE_CHECKING:
    from starlette.requests import Request

    from aml_provider.emulator.emulation import Emulation
    from aml_provider.emulator.workspace.body import JsonObject
    from aml_provider.emulator.workspace.job_schedule_models import JobSchedule


class JobScheduleRoutes:
    """``/schedules``."""

    def __init__(self, emulation: Emulation) -> None:
        self._workspace = emulation.workspace

    def routes(self) -> list[Route]:
        """Under Azure Resource Manager."""
        schedule = "/schedules/{name}"
        return [
            Route("/schedules", self.list),
            Route(schedule, self.get),
            Route(schedule, self.put, methods=["PUT"]),
            Route(schedule, self.delete, methods=["DELETE"]),
            Route(f"{schedule}/trigger", self.trigger, methods=["POST"]),
        ]

    async def list(self, request: Request) -> Response:
        """The schedules, by default the enabled ones."""
        schedules = self._workspace.job_schedules.all()
        found = viewed(request, ((not item.enabled, self._dto(request, item)) for item in schedules), "Enabled")
        return link_page(request, found, self._workspace.quirks.page_size)

    async def get(self, request: Request) -> Response:
        """One schedule."""
        return reply(self._dto(request, self._workspace.job_schedules.get(request.path_params["name"])))

    async def put(self, request: Request) -> Response:
        """Create a schedule, or replace it."""
        given = await read_body(request)
        schedule, created = self._workspace.job_schedules.put(request.path_params["name"], given.get("properties"))
        status = 201 if created else 200
        return provisioning(request, self._workspace, schedule, self._dto(request, schedule), status)

    async def delete(self, request: Request) -> Response:
        """Delete a disabled schedule."""
        if not self._workspace.job_schedules.delete(request.path_params["name"]):
            return Response(status_code=204)
        return deleting(request, self._workspace)

    async def trigger(self, request: Request) -> Response:
        """Start a job of a schedule now; its name contains ``scheduleTime``."""
        schedule = self._workspace.job_schedules.get(request.path_params["name"])
        text = (await read_body(request)).text("scheduleTime")
        try:
            instant = self._workspace.clock.now() if text is None else parse_time(text)
        except ValueError as error:
            raise bad_request(f"scheduleTime is not an instant: {error}.") from error
        run = self._workspace.job_schedules.start(schedule, instant)
        return reply({"scheduleActionType": "CreateJob", "submissionId": run.id})

    def _dto(self, request: Request, schedule: JobSchedule) -> JsonObject:
        return schedule_dto(schedule, self._workspace.provisioning(schedule), scope_of(request).path)
