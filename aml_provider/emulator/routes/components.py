"""Components of the v2 API: reading, registering, archiving."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from aml_provider.emulator.routes.arm_paging import link_page, viewed
from aml_provider.emulator.routes.http import read_body, reply, scope_of
from aml_provider.emulator.wire.components import component_dto, container_dto, read_version
from aml_provider.emulator.workspace.body import Body
from aml_provider.emulator.workspace.errors import bad_request

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from aml_provider.emulator.emulation import Emulation


class ComponentRoutes:
    """``/components``."""

    def __init__(self, emulation: Emulation) -> None:
        self._workspace = emulation.workspace

    def routes(self) -> list[Route]:
        """Under Azure Resource Manager."""
        return [
            Route("/components", self.list),
            Route("/components/{name}", self.get),
            Route("/components/{name}/versions", self.versions),
            Route("/components/{name}", self.put, methods=["PUT"]),
            Route("/components/{name}/versions/{version}", self.version),
            Route("/components/{name}/versions/{version}", self.put_version, methods=["PUT"]),
        ]

    async def list(self, request: Request) -> Response:
        """The components, each with the names of its newest and next version."""
        scope = scope_of(request).path
        found = [
            (all(item.archived for item in versions), container_dto(versions, scope))
            for versions in self._workspace.components.by_name().values()
        ]
        return link_page(request, viewed(request, found), self._workspace.quirks.page_size)

    async def get(self, request: Request) -> Response:
        """One component."""
        versions = self._workspace.components.versions(request.path_params["name"])
        return reply(container_dto(versions, scope_of(request).path))

    async def put(self, request: Request) -> Response:
        """Archive or restore all versions of a component; nothing else of it can be changed."""
        given = (await read_body(request)).object("properties") or Body({})
        archived = given.flag("isArchived") or False
        with self._workspace.changing():
            versions = self._workspace.components.archive(request.path_params["name"], archived=archived)
        return reply(container_dto(versions, scope_of(request).path))

    async def versions(self, request: Request) -> Response:
        """The versions of a component, the newest first, as with ``$orderBy=createdtime desc``."""
        order = request.query_params.get("$orderBy", "createdtime desc").lower().split()
        if order not in (["createdtime"], ["createdtime", "asc"], ["createdtime", "desc"]):
            raise bad_request(
                f"Invalid $orderBy: {request.query_params['$orderBy'][:80]!r}; use createdtime asc or desc."
            )
        versions = self._workspace.components.versions(request.path_params["name"])
        if order[-1] == "desc":
            versions = versions[::-1]
        scope = scope_of(request).path
        found = viewed(request, ((item.archived, component_dto(item, scope)) for item in versions))
        return link_page(request, found, self._workspace.quirks.page_size)

    async def version(self, request: Request) -> Response:
        """One version of a component."""
        names = request.path_params
        component = self._workspace.components.version(names["name"], names["version"])
        return reply(component_dto(component, scope_of(request).path))

    async def put_version(self, request: Request) -> Response:
        """Register a version of a component, or change the description, tags or archiving of an existing one."""
        names, body = request.path_params, await read_body(request)
        given = read_version(names["name"], names["version"], body, self._workspace.clock.now())
        with self._workspace.changing():
            component, created = self._workspace.components.put(given)
        return reply(component_dto(component, scope_of(request).path), 201 if created else 200)
