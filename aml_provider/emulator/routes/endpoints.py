"""Pipeline endpoints: a name with versions, each of them a published pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.routing import Route

from aml_provider.emulator.models import Endpoint
from aml_provider.emulator.routes.http import flag, read_json, reply
from aml_provider.emulator.routes.pipelines import services_url
from aml_provider.emulator.submission import entity_status, lower_keys
from aml_provider.emulator.wire_pipelines import PipelinesWire

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from aml_provider.emulator.emulation import Emulation


class EndpointRoutes:
    """``/PipelineEndpoints``."""

    def __init__(self, emulation: Emulation) -> None:
        self._workspace = emulation.workspace
        self._wire = PipelinesWire(emulation.workspace.quirks)

    def routes(self) -> list[Route]:
        """Under the pipelines service."""
        return [
            Route("/PipelineEndpoints", self.list),
            Route("/PipelineEndpoints/Create", self.create, methods=["POST"]),
            Route("/PipelineEndpoints/Id/{endpoint_id}", self.get),
            Route("/PipelineEndpoints/Name", self.get_by_name),
            Route("/PipelineEndpoints/{endpoint_id}", self.update, methods=["PUT"]),
            Route("/PipelineEndpoints/{endpoint_id}/pipelines", self.pipelines),
        ]

    async def list(self, request: Request) -> Response:
        """All endpoints, or the active ones; at most as many as the header ``BatchSize`` says."""
        active_only = flag(request.query_params.get("activeOnly"))
        found = [item for item in self._workspace.endpoints.values() if item.status == "Active" or not active_only]
        size = request.headers.get("BatchSize", "")
        limit = int(size) if size.isdecimal() else len(found)
        return reply([self._wire.endpoint(item, services_url(request)) for item in found[:limit]])

    async def get(self, request: Request) -> Response:
        """One endpoint by id."""
        return self._reply(request, self._workspace.endpoint(request.path_params["endpoint_id"]))

    async def get_by_name(self, request: Request) -> Response:
        """One endpoint by the name in the query."""
        return self._reply(request, self._workspace.endpoint_named(request.query_params.get("Name", "")))

    async def create(self, request: Request) -> Response:
        """A new endpoint with version 0."""
        given = lower_keys(await read_json(request))
        endpoint = self._workspace.create_endpoint(
            given.get("name") or "", given.get("description"), given.get("pipelineid") or "", given.get("properties")
        )
        return self._reply(request, endpoint)

    async def update(self, request: Request) -> Response:
        """Replace everything that can change about an endpoint; what is absent counts as empty."""
        current = self._workspace.endpoint(request.path_params["endpoint_id"])
        given = lower_keys(await read_json(request))
        endpoint = Endpoint(
            name=given.get("name") or "",
            id=current.id,
            description=given.get("description"),
            default_version=str(given.get("defaultversion")),
            versions=_versions(given.get("pipelineversionlist")),
            status=entity_status(given.get("entitystatus")),
            tags=dict(given.get("tags") or {}),
            properties=dict(given.get("properties") or {}),
            created=current.created,
        )
        self._workspace.put_endpoint(endpoint)
        return self._reply(request, endpoint)

    async def pipelines(self, request: Request) -> Response:
        """The pipelines behind an endpoint."""
        endpoint = self._workspace.endpoint(request.path_params["endpoint_id"])
        active_only = flag(request.query_params.get("activeOnly"))
        found = [self._workspace.pipeline(pipeline_id) for pipeline_id in endpoint.versions.values()]
        return reply(
            [
                self._wire.pipeline(pipeline, services_url(request))
                for pipeline in found
                if pipeline.status == "Active" or not active_only
            ]
        )

    def _reply(self, request: Request, endpoint: Endpoint) -> Response:
        return reply(self._wire.endpoint(endpoint, services_url(request)))


def _versions(items: Any) -> dict[str, str]:
    pairs = [lower_keys(item) for item in items or ()]
    return {str(item.get("version")): str(item.get("pipelineid")) for item in pairs}
