"""Azure Resource Manager's workspace record and the discovery of the services."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from aml_provider.emulator.models import stable_id
from aml_provider.emulator.routes.http import base_url, reply, scope_of
from aml_provider.emulator.times import wire_time

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from aml_provider.emulator.emulation import Emulation

_SERVICES = (
    "api",
    "experimentation",
    "history",
    "hyperdrive",
    "modelmanagement",
    "pipelines",
    "studio",
)


class ArmRoutes:
    """The workspace record; it is there for every name."""

    def __init__(self, emulation: Emulation) -> None:
        self._workspace = emulation.workspace
        self._created = emulation.clock.now()

    def routes(self) -> list[Route]:
        """Under the workspace's ARM id."""
        return [Route("/", self.workspace)]

    async def workspace(self, request: Request) -> Response:
        """GET of the workspace."""
        scope = scope_of(request)
        group = f"/subscriptions/{scope.subscription_id}/resourceGroups/{scope.resource_group}"
        return reply(
            {
                "id": scope.path,
                "name": scope.workspace,
                "location": self._workspace.location,
                "type": "Microsoft.MachineLearningServices/workspaces",
                "tags": {},
                "etag": None,
                "sku": {"name": "Basic", "tier": "Basic"},
                "identity": {"type": "SystemAssigned", "principalId": "local", "tenantId": "local"},
                "properties": {
                    "workspaceId": stable_id(scope.path.lower()),
                    "friendlyName": scope.workspace,
                    "description": "",
                    "provisioningState": "Succeeded",
                    "creationTime": wire_time(self._created),
                    "discoveryUrl": f"{base_url(request)}/discovery",
                    "v1LegacyMode": False,
                    "storageAccount": f"{group}/providers/Microsoft.Storage/storageAccounts/local",
                    "keyVault": f"{group}/providers/Microsoft.KeyVault/vaults/local",
                    "applicationInsights": f"{group}/providers/microsoft.insights/components/local",
                },
            }
        )


async def discovery(request: Request) -> Response:
    """Where the services are: all of them here. Needs no token."""
    return reply(dict.fromkeys(_SERVICES, base_url(request)))
