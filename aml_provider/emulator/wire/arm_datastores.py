"""The JSON of datastores on Azure Resource Manager: without secrets, which have an operation of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aml_provider.emulator.wire.arm import resource
from aml_provider.emulator.workspace.body import Body
from aml_provider.emulator.workspace.errors import bad_request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aml_provider.emulator.workspace.body import JsonObject
    from aml_provider.emulator.workspace.models import Datastore

# The name for the container of each type; Azure Resource Manager does not have the other types.
_CONTAINERS: Mapping[str, str] = {
    "AzureBlob": "containerName",
    "AzureFile": "fileShareName",
    "AzureDataLakeGen2": "filesystem",
}


def has_datastore(store: Datastore) -> bool:
    """Whether Azure Resource Manager has datastores of this type (our notes azureml-v2-rest, section 7)."""
    return store.type in _CONTAINERS


def arm_datastore_dto(store: Datastore, scope: str, created: float, *, default: bool) -> JsonObject:
    """A datastore; its storage is in the subscription and resource group of ``scope``, unless its section has others.

    ``default``: whether it is the workspace's default datastore.
    """
    _, _, subscription, _, group, *_ = scope.split("/")
    section = Body(store.section)
    properties = {
        "description": None,
        "tags": store.tags or None,
        "properties": None,
        "isDefault": default,
        "credentials": _credentials(store),
        "datastoreType": store.type,
        "accountName": store.account_name,
        _CONTAINERS[store.type]: store.container,
        "endpoint": store.endpoint,
        "protocol": store.protocol,
        "serviceDataAccessAuthIdentity": section.text("serviceDataAccessAuthIdentity") or "None",
        "subscriptionId": section.text("subscriptionId") or subscription,
        "resourceGroup": section.text("resourceGroup") or group,
    }
    return resource(scope, "datastores", f"datastores/{store.name}", properties, created)


def secrets_dto(store: Datastore) -> JsonObject:
    """The secrets of a datastore.

    Raises:
        ServiceError: It has none.
    """
    kind = _credentials_type(store)
    if kind == "AccountKey":
        return {"secretsType": kind, "key": store.account_key}
    if kind == "Sas":
        return {"secretsType": kind, "sasToken": store.sas_token}
    if kind == "ServicePrincipal":
        return {"secretsType": kind, "clientSecret": _principal(store).text("clientSecret")}
    raise bad_request(f"Datastore {store.name} has no credentials.", "NoCredentials")


def _credentials(store: Datastore) -> JsonObject:
    kind = _credentials_type(store)
    if kind != "ServicePrincipal":
        return {"credentialsType": kind}
    principal = _principal(store)
    names = ("clientId", "tenantId", "authorityUrl", "resourceUrl")
    return {"credentialsType": kind, **{name: principal.text(name) for name in names}}


def _credentials_type(store: Datastore) -> str:
    if store.account_key:
        return "AccountKey"
    if store.sas_token:
        return "Sas"
    return "ServicePrincipal" if _principal(store).text("clientSecret") else "None"


def _principal(store: Datastore) -> Body:
    return Body(store.section).object("clientCredentials") or Body({})
