"""Datastores with their credentials."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from starlette.routing import Route

from aml_provider.emulator.routes.http import count, flag, read_json, reply, scope_of
from aml_provider.emulator.routes.paging import cut
from aml_provider.emulator.wire.datastores import datastore_dto, datastore_from_wire

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from aml_provider.emulator.emulation import Emulation
    from aml_provider.emulator.workspace.models import Datastore


class DatastoreRoutes:
    """``/datastores`` and ``/default``."""

    def __init__(self, emulation: Emulation) -> None:
        self._workspace = emulation.workspace

    def routes(self) -> list[Route]:
        """Under the datastore service."""
        return [
            Route("/datastores", self.list),
            Route("/datastores", self.create, methods=["POST"]),
            Route("/datastores/{name}", self.get),
            Route("/datastores/{name}", self.update, methods=["PUT"]),
            Route("/datastores/{name}", self.delete, methods=["DELETE"]),
            Route("/default", self.default),
            Route("/default/{name}", self.set_default, methods=["PUT"]),
        ]

    async def list(self, request: Request) -> Response:
        """All datastores, or those in ``dataStoreNames``, in pages."""
        query = request.query_params
        stores = list(self._workspace.datastores.values())
        # The names are several parameters, or joined by commas.
        wanted = [name.strip() for text in query.getlist("dataStoreNames") for name in text.split(",") if name.strip()]
        if wanted:
            stores = [store for store in stores if store.name in wanted]
        secrets = flag(query.get("includeSecret", "true"))
        scope = scope_of(request)
        found = [datastore_dto(item, scope.subscription_id, scope.resource_group, secrets=secrets) for item in stores]
        size = self._workspace.quirks.page_size
        page = cut(found, query.get("continuationToken"), count("count", query.get("count")), size)
        return reply({**page, "nextLink": None})

    async def get(self, request: Request) -> Response:
        """One datastore."""
        return self._reply(request, self._workspace.datastore(request.path_params["name"]))

    async def create(self, request: Request) -> Response:
        """Register a datastore. The storage itself is neither checked nor created; the query has no effect on that."""
        store = datastore_from_wire(await read_json(request))
        self._workspace.add_datastore(store)
        return self._reply(request, store)

    async def update(self, request: Request) -> Response:
        """Replace the description of a datastore."""
        current = self._workspace.datastore(request.path_params["name"])
        given = datastore_from_wire(await read_json(request), current.name)
        store = replace(given, description=current.description, properties=current.properties)
        self._workspace.replace_datastore(store)
        return self._reply(request, store)

    async def delete(self, request: Request) -> Response:
        """Remove a datastore."""
        self._workspace.delete_datastore(request.path_params["name"])
        return reply()

    async def default(self, request: Request) -> Response:
        """The default datastore."""
        return self._reply(request, self._workspace.default_datastore())

    async def set_default(self, request: Request) -> Response:
        """Set the default datastore."""
        self._workspace.set_default_datastore(request.path_params["name"])
        return reply()

    def _reply(self, request: Request, store: Datastore) -> Response:
        scope = scope_of(request)
        return reply(datastore_dto(store, scope.subscription_id, scope.resource_group))
