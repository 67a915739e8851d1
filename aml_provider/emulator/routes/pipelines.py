"""Published pipelines, their interfaces, and the data types that Microsoft's SDK asks for first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from aml_provider.emulator.errors import bad_request, not_found
from aml_provider.emulator.routes.http import base_url, flag, read_json, reply, scope_of
from aml_provider.emulator.submission import lower_keys
from aml_provider.emulator.wire_pipelines import PipelinesWire

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from aml_provider.emulator.emulation import Emulation


def services_url(request: Request) -> str:
    """The pipelines service's address with the caller's scope."""
    return f"{base_url(request)}/pipelines/v1.0{scope_of(request).path}"


class PipelineRoutes:
    """``/Pipelines``, ``/Graphs`` and ``/DataTypes``."""

    def __init__(self, emulation: Emulation) -> None:
        self._workspace = emulation.workspace
        self._wire = PipelinesWire(emulation.workspace.quirks)

    def routes(self) -> list[Route]:
        """Under the pipelines service."""
        return [
            Route("/Pipelines", self.list),
            Route("/Pipelines/{pipeline_id}", self.get),
            Route("/Pipelines/{pipeline_id}/status", self.set_status, methods=["PUT"]),
            Route("/Graphs/{graph_id}/Interface", self.interface),
            Route("/DataTypes", self.data_types),
            Route("/DataTypes", self.add_data_type, methods=["POST"]),
        ]

    async def list(self, request: Request) -> Response:
        """All pipelines, or the active ones; a bare array."""
        active_only = flag(request.query_params.get("activeOnly"))
        services = services_url(request)
        return reply(
            [
                self._wire.pipeline(pipeline, services)
                for pipeline in self._workspace.pipelines.values()
                if pipeline.status == "Active" or not active_only
            ]
        )

    async def get(self, request: Request) -> Response:
        """One pipeline."""
        pipeline = self._workspace.pipeline(request.path_params["pipeline_id"])
        return reply(self._wire.pipeline(pipeline, services_url(request)))

    async def set_status(self, request: Request) -> Response:
        """Enable or disable; the body is a bare JSON string."""
        self._workspace.set_pipeline_status(request.path_params["pipeline_id"], await read_json(request))
        return reply()

    async def interface(self, request: Request) -> Response:
        """What the pipeline behind a graph can be given."""
        graph_id = request.path_params["graph_id"]
        for pipeline in self._workspace.pipelines.values():
            if pipeline.graph_id == graph_id:
                return reply(self._wire.interface(pipeline))
        raise not_found(f"Graph {graph_id}")

    async def data_types(self, _request: Request) -> Response:
        """All data types."""
        now = self._workspace.clock.now()
        types = self._workspace.data_types.items()
        return reply([self._wire.data_type(name, is_directory=folder, now=now) for name, folder in types])

    async def add_data_type(self, request: Request) -> Response:
        """Register a data type."""
        given = lower_keys(await read_json(request))
        name = given.get("id") or given.get("name")
        if not name:
            raise bad_request("Id is required.")
        folder = bool(given.get("isdirectory"))
        self._workspace.add_data_type(name, is_directory=folder)
        return reply(self._wire.data_type(name, is_directory=folder, now=self._workspace.clock.now()))
