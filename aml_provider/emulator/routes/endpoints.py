"""Pipeline endpoints: a name with versions, each of them a published pipeline."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from starlette.routing import Route

from aml_provider.emulator.routes.http import active_if_asked, count, read_body, reply
from aml_provider.emulator.routes.pipelines import services_url
from aml_provider.emulator.wire.pipelines import PipelinesWire
from aml_provider.emulator.workspace.errors import bad_request
from aml_provider.emulator.workspace.models import Endpoint
from aml_provider.emulator.workspace.submission import entity_status

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from aml_provider.emulator.emulation import Emulation
    from aml_provider.emulator.workspace.body import Body

_MOST_DIGITS = 9


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
        """All endpoints, or the active ones; the header ``BatchSize`` limits their number."""
        found = list(active_if_asked(request, self._workspace.endpoints.values()))
        limit = count("BatchSize", request.headers.get("BatchSize"))
        return reply([self._wire.endpoint(item, services_url(request)) for item in found[:limit]])

    async def get(self, request: Request) -> Response:
        """One endpoint by id."""
        return self._reply(request, self._workspace.endpoint(request.path_params["endpoint_id"]))

    async def get_by_name(self, request: Request) -> Response:
        """One endpoint by the name in the query."""
        name = request.query_params.get("Name")
        if not name:
            raise bad_request("Name is required.")
        return self._reply(request, self._workspace.endpoint_named(name))

    async def create(self, request: Request) -> Response:
        """Create an endpoint with version 0."""
        given = await read_body(request)
        endpoint = Endpoint(
            name=given.required("Name"),
            id=str(uuid.uuid4()),
            description=given.text("Description"),
            versions={"0": given.required("PipelineId")},
            tags=given.tags(),
            properties=given.mapping("Properties"),
            created=self._workspace.clock.now(),
        )
        self._workspace.put_endpoint(endpoint)
        return self._reply(request, endpoint)

    async def update(self, request: Request) -> Response:
        """Replace everything that can change in an endpoint; absent values become empty."""
        current = self._workspace.endpoint(request.path_params["endpoint_id"])
        given = await read_body(request)
        endpoint = Endpoint(
            name=given.required("Name"),
            id=current.id,
            description=given.text("Description"),
            default_version=given.required("DefaultVersion"),
            versions=_versions(given),
            status=entity_status(given.get("EntityStatus")),
            tags=given.tags(),
            properties=given.mapping("Properties"),
            created=current.created,
        )
        self._workspace.put_endpoint(endpoint)
        return self._reply(request, endpoint)

    async def pipelines(self, request: Request) -> Response:
        """The pipelines behind an endpoint."""
        endpoint = self._workspace.endpoint(request.path_params["endpoint_id"])
        found = [self._workspace.pipeline(pipeline_id) for pipeline_id in endpoint.versions.values()]
        services = services_url(request)
        return reply([self._wire.pipeline(pipeline, services) for pipeline in active_if_asked(request, found)])

    def _reply(self, request: Request, endpoint: Endpoint) -> Response:
        return reply(self._wire.endpoint(endpoint, services_url(request)))


def _versions(given: Body) -> dict[str, str]:
    versions: dict[str, str] = {}
    for item in given.objects("PipelineVersionList"):
        version = item.scalar("Version") or ""
        if not version.isdecimal() or len(version) > _MOST_DIGITS:
            raise bad_request(f"Version must be a whole number, 0 or more, not {version[:80]!r}.")
        if version in versions:
            raise bad_request(f"PipelineVersionList has version {version} twice.")
        versions[version] = item.required("PipelineId")
    if not versions:
        raise bad_request("PipelineVersionList is required; an endpoint has at least one version.")
    return versions
