"""Published pipelines, their graphs and modules, and data types."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from starlette.routing import Route

from aml_provider.emulator.routes.http import active_if_asked, base_url, read_body, read_json, reply, scope_of
from aml_provider.emulator.wire.graphs import GraphsWire, modules
from aml_provider.emulator.wire.pipelines import PipelinesWire
from aml_provider.emulator.workspace.errors import not_found
from aml_provider.emulator.workspace.models import DataType, Pipeline, Run
from aml_provider.emulator.workspace.publishing import published

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from aml_provider.emulator.emulation import Emulation

# The service's older names for the same resource, which old clients still use.
_NAMES = ("/Pipelines", "/PublishedPipelines", "/Templates")


def services_url(request: Request) -> str:
    """The address of the pipelines service with the caller's scope."""
    return f"{base_url(request)}/pipelines/v1.0{scope_of(request).path}"


class PipelineRoutes:
    """``/Pipelines`` and its older names, ``/Graphs``, ``/Modules`` and ``/DataTypes``."""

    def __init__(self, emulation: Emulation) -> None:
        self._workspace = emulation.workspace
        self._wire = PipelinesWire(emulation.workspace.quirks)
        self._graphs = GraphsWire(self._wire)

    def routes(self) -> list[Route]:
        """Under the pipelines service."""
        found = [Route("/Pipelines/View", self.views), Route("/Pipelines/{pipeline_id}/View", self.view)]
        for name in _NAMES:
            found += [
                Route(name, self.list),
                Route(f"{name}/Create", self.create, methods=["POST"]),
                Route(f"{name}/{{pipeline_id}}", self.get),
                Route(f"{name}/{{pipeline_id}}/status", self.set_status, methods=["PUT"]),
            ]
        return [
            *found,
            Route("/Graphs/{graph_id}", self.graph),
            Route("/Graphs/{graph_id}/Interface", self.interface),
            Route("/Modules/{module_id}", self.module),
            Route("/DataTypes", self.data_types),
            Route("/DataTypes", self.add_data_type, methods=["POST"]),
        ]

    async def list(self, request: Request) -> Response:
        """All pipelines, or the active ones; a bare array."""
        services = services_url(request)
        return reply([self._wire.pipeline(pipeline, services) for pipeline in self._listed(request)])

    async def views(self, request: Request) -> Response:
        """All pipelines, or the active ones, each with its last run."""
        runs: defaultdict[str, list[Run]] = defaultdict(list)
        for run in self._workspace.listed_runs():
            runs[run.pipeline_id].append(run)
        services = services_url(request)
        return reply([self._view(pipeline, services, runs[pipeline.id]) for pipeline in self._listed(request)])

    async def view(self, request: Request) -> Response:
        """One pipeline with its last run."""
        pipeline = self._pipeline(request)
        runs = [run for run in self._workspace.listed_runs() if run.pipeline_id == pipeline.id]
        return reply(self._view(pipeline, services_url(request), runs))

    async def get(self, request: Request) -> Response:
        """One pipeline."""
        return reply(self._wire.pipeline(self._pipeline(request), services_url(request)))

    async def create(self, request: Request) -> Response:
        """Publish a pipeline."""
        pipeline = published(self._workspace, await read_json(request))
        self._workspace.publish(pipeline)
        return reply(self._wire.pipeline(pipeline, services_url(request)))

    async def set_status(self, request: Request) -> Response:
        """Enable or disable a pipeline; the body is a bare JSON string."""
        self._workspace.set_pipeline_status(request.path_params["pipeline_id"], await read_json(request))
        return reply()

    async def graph(self, request: Request) -> Response:
        """The graph of a pipeline."""
        return reply(self._graphs.graph(self._workspace.pipeline_of_graph(request.path_params["graph_id"])))

    async def interface(self, request: Request) -> Response:
        """The parameters of the pipeline to which a graph belongs."""
        return reply(self._graphs.interface(self._workspace.pipeline_of_graph(request.path_params["graph_id"])))

    async def module(self, request: Request) -> Response:
        """The module that a node of a graph runs."""
        module_id = request.path_params["module_id"]
        for pipeline in self._workspace.pipelines.values():
            step = modules(pipeline).get(module_id)
            if step is not None:
                return reply(self._graphs.module(pipeline, step, module_id))
        raise not_found(f"Module {module_id}")

    async def data_types(self, _request: Request) -> Response:
        """All data types."""
        return reply([self._wire.data_type(item) for item in self._workspace.data_types.values()])

    async def add_data_type(self, request: Request) -> Response:
        """Register a data type."""
        given = await read_body(request)
        type_id = given.required("Id")
        name = given.text("Name") or type_id
        data_type = DataType(
            id=type_id,
            name=name,
            description=given.text("Description") or name,
            is_directory=given.flag("IsDirectory") or False,
            parents=given.names("ParentDataTypeIds"),
            created=self._workspace.clock.now(),
        )
        self._workspace.add_data_type(data_type)
        return reply(self._wire.data_type(data_type))

    def _pipeline(self, request: Request) -> Pipeline:
        return self._workspace.pipeline(request.path_params["pipeline_id"])

    def _listed(self, request: Request) -> Iterator[Pipeline]:
        return active_if_asked(request, self._workspace.pipelines.values())

    def _view(self, pipeline: Pipeline, services: str, runs: Sequence[Run]) -> dict[str, object]:
        status = self._workspace.view(runs[-1]).status if runs else None
        return self._wire.view(pipeline, services, runs, status)
