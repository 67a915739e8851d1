"""Datastores on Azure Resource Manager, for the v2 API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

from aml_provider.emulator.routes.arm_paging import link_page
from aml_provider.emulator.routes.http import flag, read_body, reply, scope_of
from aml_provider.emulator.wire.arm_datastores import (
    arm_datastore_dto,
    arm_datastore_from_wire,
    has_datastore,
    secrets_dto,
)
from aml_provider.emulator.workspace.errors import not_found

if TYPE_CHECKING:
    from starlette.requests import Request

    from aml_provider.emulator.emulation import Emulation
    from aml_provider.emulator.workspace.body import JsonObject
    from aml_provider.emulator.workspace.models import Datastore


class ArmDatastoreRoutes:
    """``/datastores``: the datastores of v1, without their secrets."""

    def __init__(self, emulation: Emulation) -> None:
        self._workspace = emulation.workspace

    def routes(self) -> list[Route]:
        """Under Azure Resource Manager."""
        return [
            Route("/datastores", self.list),
            Route("/datastores/{name}", self.get),
            Route("/datastores/{name}", self.put, methods=["PUT"]),
            Route("/datastores/{name}", self.delete, methods=["DELETE"]),
            Route("/datastores/{name}/listSecrets", self.secrets, methods=["POST"]),
        ]

    async def list(self, request: Request) -> Response:
        """All datastores, or those in ``names``; with ``isDefault=true`` the default datastore."""
        query = request.query_params
        stores = [store for store in self._workspace.datastores.values() if has_datastore(store)]
        if wanted := [name for text in query.getlist("names") for name in text.split(",")]:
            stores = [store for store in stores if store.name in wanted]
        if (text := query.get("isDefault")) is not None:
            stores = [store for store in stores if self._is_default(store) == flag(text)]
        return link_page(request, [self._dto(request, store) for store in stores], self._workspace.quirks.page_size)

    async def get(self, request: Request) -> Response:
        """One datastore."""
        return reply(self._dto(request, self._store(request)))

    async def put(self, request: Request) -> Response:
        """Register a datastore, or replace it. The storage itself is neither checked nor created."""
        store = arm_datastore_from_wire(request.path_params["name"], await read_body(request))
        created = self._workspace.put_datastore(store)
        return reply(self._dto(request, self._store(request)), 201 if created else 200)

    async def delete(self, request: Request) -> Response:
        """Remove a datastore."""
        name, stores = request.path_params["name"], self._workspace.datastores
        store = stores.get(name) or stores.get(name.lower())
        if store is None or not has_datastore(store):
            return Response(status_code=204)
        self._workspace.delete_datastore(store.name)
        return Response(status_code=200)

    async def secrets(self, request: Request) -> Response:
        """The secrets of a datastore; an expiry in the body has no effect."""
        return reply(secrets_dto(self._store(request)))

    def _store(self, request: Request) -> Datastore:
        store = self._workspace.datastore(request.path_params["name"])
        if not has_datastore(store):
            raise not_found(f"Datastore {store.name}")
        return store

    def _is_default(self, store: Datastore) -> bool:
        return store is self._workspace.default_datastore()

    def _dto(self, request: Request, store: Datastore) -> JsonObject:
        return arm_datastore_dto(store, scope_of(request).path, default=self._is_default(store))
