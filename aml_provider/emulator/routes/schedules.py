"""Schedules and their runs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

from aml_provider.emulator.routes.http import active_if_asked, read_json, reply
from aml_provider.emulator.wire.pipelines import PipelinesWire

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from starlette.requests import Request

    from aml_provider.emulator.emulation import Emulation
    from aml_provider.emulator.workspace.models import Run
    from aml_provider.emulator.workspace.schedule_models import Schedule


class ScheduleRoutes:
    """``/Schedules`` and ``/PipelineRuns/Schedule``."""

    def __init__(self, emulation: Emulation) -> None:
        self._workspace = emulation.workspace
        self._runner = emulation.schedule_runner
        self._wire = PipelinesWire(emulation.workspace.quirks)

    def routes(self) -> list[Route]:
        """Under the pipelines service."""
        runs = "/PipelineRuns/Schedule/{schedule_id}"
        return [
            Route("/Schedules", self.list),
            Route("/Schedules/Create", self.create, methods=["POST"]),
            Route("/Schedules/{schedule_id}", self.get),
            Route("/Schedules/{schedule_id}", self.update, methods=["PUT"]),
            Route("/Schedules/Pipeline/{pipeline_id}", self.of_pipeline),
            Route("/Schedules/PipelineEndpoint/{endpoint_id}", self.of_endpoint),
            Route(runs, self.runs),
            Route(f"{runs}/Last", self.last_run),
        ]

    async def list(self, request: Request) -> Response:
        """All schedules, or the active ones; a bare array."""
        return self._reply_all(active_if_asked(request, self._workspace.schedules.all()))

    async def get(self, request: Request) -> Response:
        """One schedule."""
        return self._reply(self._workspace.schedules.get(request.path_params["schedule_id"]))

    async def create(self, request: Request) -> Response:
        """Create a schedule."""
        # It lists the existing blobs, which blocks.
        return self._reply(await asyncio.to_thread(self._runner.create, await read_json(request)))

    async def update(self, request: Request) -> Response:
        """Replace everything that can change in a schedule; absent values become null."""
        schedule_id, body = request.path_params["schedule_id"], await read_json(request)
        return self._reply(await asyncio.to_thread(self._runner.update, schedule_id, body))

    async def of_pipeline(self, request: Request) -> Response:
        """The schedules of a published pipeline, including disabled ones."""
        return self._reply_all(self._workspace.schedules.of_pipeline(request.path_params["pipeline_id"]))

    async def of_endpoint(self, request: Request) -> Response:
        """The schedules of a pipeline endpoint, including disabled ones."""
        return self._reply_all(self._workspace.schedules.of_endpoint(request.path_params["endpoint_id"]))

    async def runs(self, request: Request) -> Response:
        """The runs of a schedule, newest first; a bare array."""
        return reply([self._wire.run(run, self._workspace.view(run)) for run in self._runs(request)])

    async def last_run(self, request: Request) -> Response:
        """The newest run of a schedule, or 204."""
        for run in self._runs(request):
            return reply(self._wire.run(run, self._workspace.view(run)))
        return Response(status_code=204)

    def _runs(self, request: Request) -> Sequence[Run]:
        schedule = self._workspace.schedules.get(request.path_params["schedule_id"])
        return [run for run in self._workspace.listed_runs() if run.schedule_id == schedule.id][::-1]

    def _reply(self, schedule: Schedule) -> Response:
        return reply(self._wire.schedule(schedule, self._workspace.schedules.provisioning(schedule)))

    def _reply_all(self, schedules: Iterable[Schedule]) -> Response:
        return reply([self._wire.schedule(item, self._workspace.schedules.provisioning(item)) for item in schedules])
