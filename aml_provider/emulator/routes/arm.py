"""Azure Resource Manager: subscriptions, resource groups, workspaces; and the discovery of the services."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.routing import Route

from aml_provider.emulator.routes.http import Scope, base_url, reply, scope_of
from aml_provider.emulator.wire.arm import tracking_uri
from aml_provider.emulator.workspace.models import stable_id
from aml_provider.emulator.workspace.times import wire_time

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from aml_provider.emulator.emulation import Emulation
    from aml_provider.emulator.workspace.models import Permission

SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"
"""The only subscription in a list of subscriptions."""

_NAME = "local"
_SERVICES = ("api", "experimentation", "history", "hyperdrive", "modelmanagement", "pipelines", "studio")


class ArmRoutes:
    """Azure Resource Manager's own routes. Every name in a request means this workspace; each list has one entry."""

    def __init__(self, emulation: Emulation) -> None:
        self._workspace = emulation.workspace

    def routes(self) -> list[Route]:
        """Under the workspace's ARM id."""
        return [Route("/", self.workspace), Route("/providers/Microsoft.Authorization/permissions", self.permissions)]

    def listings(self) -> list[Route]:
        """The routes for subscriptions, resource groups and lists of workspaces.

        These paths are in lower case here, because the case of their names does not matter.
        """
        subscription = "/subscriptions/{subscription}"
        group = f"{subscription}/resourcegroups/{{group}}"
        workspaces = "providers/microsoft.machinelearningservices/workspaces"
        return [
            Route("/subscriptions", self.subscriptions),
            Route(subscription, self.subscription),
            Route(f"{subscription}/resourcegroups", self.groups),
            Route(group, self.group),
            Route(f"{subscription}/{workspaces}", self.workspaces),
            Route(f"{group}/{workspaces}", self.workspaces),
        ]

    async def subscriptions(self, _request: Request) -> Response:
        """The list of subscriptions, which has one entry."""
        return reply({"value": [_subscription(SUBSCRIPTION)], "count": {"type": "Total", "value": 1}})

    async def subscription(self, request: Request) -> Response:
        """The subscription in the path."""
        return reply(_subscription(request.path_params["subscription"]))

    async def groups(self, request: Request) -> Response:
        """The list of resource groups of a subscription, which has one entry."""
        return reply({"value": [self._group(request.path_params["subscription"], _NAME)]})

    async def group(self, request: Request) -> Response:
        """The resource group in the path."""
        return reply(self._group(request.path_params["subscription"], request.path_params["group"]))

    async def workspaces(self, request: Request) -> Response:
        """The list of workspaces of a subscription or resource group, which has one entry."""
        names = request.path_params
        scope = Scope(names["subscription"], names.get("group", _NAME), _NAME)
        return reply({"value": [self._dto(scope, base_url(request))], "nextLink": None})

    async def workspace(self, request: Request) -> Response:
        """The workspace in the path."""
        return reply(self._dto(scope_of(request), base_url(request)))

    async def permissions(self, _request: Request) -> Response:
        """The caller's permissions, one for each role (Microsoft Learn, "Permissions - List For Resource")."""
        return reply({"value": [_permission(item) for item in self._workspace.permissions], "nextLink": None})

    def _dto(self, scope: Scope, base: str) -> dict[str, Any]:
        group = f"/subscriptions/{scope.subscription_id}/resourceGroups/{scope.resource_group}"
        return {
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
                "creationTime": wire_time(self._workspace.created),
                "discoveryUrl": f"{base}/discovery",
                "mlFlowTrackingUri": tracking_uri(scope.path),
                "v1LegacyMode": False,
                "storageAccount": f"{group}/providers/Microsoft.Storage/storageAccounts/local",
                "keyVault": f"{group}/providers/Microsoft.KeyVault/vaults/local",
                "applicationInsights": f"{group}/providers/microsoft.insights/components/local",
            },
        }

    def _group(self, subscription: str, name: str) -> dict[str, Any]:
        return {
            "id": f"/subscriptions/{subscription}/resourceGroups/{name}",
            "name": name,
            "type": "Microsoft.Resources/resourceGroups",
            "location": self._workspace.location,
            "tags": {},
            "properties": {"provisioningState": "Succeeded"},
        }


async def clouds(request: Request) -> Response:
    """The clouds that a client may choose from: one, whose Azure Resource Manager is the emulator. Needs no token.

    Microsoft's v2 SDK reads it from the address in ``ARM_CLOUD_METADATA_URL`` (azureml-v2-rest 1).
    """
    base = base_url(request)
    cloud = {
        # Not a name of a cloud that the SDK knows already.
        "name": "AzureMLEmulator",
        # The SDK derives the audience of its tokens from this one.
        "portal": "https://portal.azure.com",
        "resourceManager": base,
        "authentication": {
            "loginEndpoint": "https://login.microsoftonline.com",
            "audiences": [base],
            "tenant": "common",
            "identityProvider": "AAD",
        },
        "suffixes": {"storage": "core.windows.net"},
    }
    return reply([cloud])


async def discovery(request: Request) -> Response:
    """The addresses of the services, which are all the same here. The request needs no token."""
    return reply(dict.fromkeys(_SERVICES, base_url(request)))


def _permission(permission: Permission) -> dict[str, Any]:
    return {
        "actions": permission.actions,
        "notActions": permission.not_actions,
        "dataActions": [],
        "notDataActions": [],
    }


def _subscription(subscription: str) -> dict[str, Any]:
    return {
        "id": f"/subscriptions/{subscription}",
        "subscriptionId": subscription,
        "tenantId": SUBSCRIPTION,
        "displayName": "Local subscription",
        "state": "Enabled",
        "authorizationSource": "RoleBased",
    }
