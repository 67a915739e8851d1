"""Datastores with their credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from aml_provider.emulator.errors import not_found
from aml_provider.emulator.routes.http import reply, scope_of
from aml_provider.emulator.wire_history import datastore_dto

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from aml_provider.emulator.emulation import Emulation
    from aml_provider.emulator.models import Datastore


class DatastoreRoutes:
    """``/datastores`` and ``/default``."""

    def __init__(self, emulation: Emulation) -> None:
        self._workspace = emulation.workspace

    def routes(self) -> list[Route]:
        """Under the datastore service."""
        return [
            Route("/datastores", self.list),
            Route("/datastores/{name}", self.get),
            Route("/default", self.default),
        ]

    async def list(self, request: Request) -> Response:
        """All datastores in one page."""
        scope = scope_of(request)
        found = [
            datastore_dto(item, scope.subscription_id, scope.resource_group)
            for item in self._workspace.datastores.values()
        ]
        return reply({"value": found, "continuationToken": None, "nextLink": None})

    async def get(self, request: Request) -> Response:
        """One datastore."""
        return self._reply(request, self._workspace.datastore(request.path_params["name"]))

    async def default(self, request: Request) -> Response:
        """The default datastore: the first one."""
        for store in self._workspace.datastores.values():
            return self._reply(request, store)
        raise not_found("Default datastore")

    def _reply(self, request: Request, store: Datastore) -> Response:
        scope = scope_of(request)
        return reply(datastore_dto(store, scope.subscription_id, scope.resource_group))
