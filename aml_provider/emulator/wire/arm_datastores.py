"""The JSON of datastores on Azure Resource Manager. It has no secrets; an operation of their own returns them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aml_provider.emulator.wire.arm import resource
from aml_provider.emulator.wire.datastores import check_store_name
from aml_provider.emulator.workspace.body import Body
from aml_provider.emulator.workspace.errors import bad_request
from aml_provider.emulator.workspace.models import Datastore

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aml_provider.emulator.workspace.body import JsonObject

# The name for the container of each type; Azure Resource Manager does not have the other types.
_CONTAINERS: Mapping[str, str] = {
    "AzureBlob": "containerName",
    "AzureFile": "fileShareName",
    "AzureDataLakeGen2": "filesystem",
}


# The kinds of credentials with an identity, and the names of their secrets.
_PRINCIPALS: Mapping[str, str] = {"ServicePrincipal": "clientSecret", "Certificate": "certificate"}
# Their other fields, with the names of v1, under which they are stored.
_PRINCIPAL_FIELDS: Mapping[str, str] = {
    "clientId": "clientId",
    "tenantId": "tenantId",
    "authorityUrl": "authorityUrl",
    "resourceUrl": "resourceUri",
}
_SECTION_FIELDS = ("serviceDataAccessAuthIdentity", "subscriptionId", "resourceGroup")


def has_datastore(store: Datastore) -> bool:
    """Whether Azure Resource Manager has datastores of this type (our notes azureml-v2-rest, section 7)."""
    return store.type in _CONTAINERS


def arm_datastore_dto(store: Datastore, scope: str, *, default: bool) -> JsonObject:
    """A datastore; its storage is in the subscription and resource group of ``scope``, unless its section has others.

    ``default``: whether it is the workspace's default datastore.
    """
    _, _, subscription, _, group, *_ = scope.split("/")
    section = Body(store.section)
    properties = {
        "description": store.description,
        "tags": store.tags or None,
        "properties": store.properties or None,
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
    return resource(scope, "datastores", f"datastores/{store.name}", properties, store.created)


def arm_datastore_from_wire(name: str, body: Body) -> Datastore:
    """The datastore that a body describes; its name is stored in lower case, as in v1.

    Raises:
        ServiceError: Something in it is missing or wrong, or its type is not emulated.
    """
    check_store_name(name)
    given = body.object("properties")
    if given is None:
        raise bad_request("properties is required.")
    kind = given.text("datastoreType") or ""
    if kind not in _CONTAINERS:
        raise bad_request(f"The datastoreType {kind!r} is not supported; only {', '.join(_CONTAINERS)} are.")
    account_key, sas_token, principal = _read_credentials(given.object("credentials"))
    section: JsonObject = {field: given.text(field) for field in _SECTION_FIELDS if given.text(field) is not None}
    return Datastore(
        name=name.lower(),
        account_name=given.required("accountName"),
        container=given.required(_CONTAINERS[kind]),
        type=kind,
        account_key=account_key,
        sas_token=sas_token,
        endpoint=given.text("endpoint") or "core.windows.net",
        protocol=given.text("protocol") or "https",
        section=section | ({"clientCredentials": principal} if principal else {}),
        tags=given.tags(),
        description=given.text("description"),
        properties=given.texts("properties"),
    )


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
    if (name := _PRINCIPALS.get(kind)) is not None:
        return {"secretsType": kind, name: _principal(store).text(name)}
    raise bad_request(f"Datastore {store.name} has no credentials.", "NoCredentials")


def _read_credentials(given: Body | None) -> tuple[str | None, str | None, JsonObject]:
    """The account key, the SAS and the principal, of which at most one is given."""
    if given is None:
        raise bad_request("credentials is required; without credentials its credentialsType is None.")
    kind = given.choice("credentialsType", ("AccountKey", "Sas", *_PRINCIPALS, "None"))
    if kind is None:
        raise bad_request("credentialsType is required.")
    if kind == "None":
        return None, None, {}
    # A datastore that was read has none. The service keeps no old secret for it, as far as we know.
    secrets = given.object("secrets") or Body({})
    if secrets.text("secretsType") not in (None, kind):
        raise bad_request(f"The secretsType of {kind} credentials must be {kind}.")
    if kind == "AccountKey":
        return secrets.required("key"), None, {}
    if kind == "Sas":
        return None, secrets.required("sasToken"), {}
    secret, needed = _PRINCIPALS[kind], ["clientId", "tenantId", *(["thumbprint"] if kind == "Certificate" else [])]
    principal: JsonObject = {field: given.required(field) for field in needed}
    principal[secret] = secrets.required(secret)
    more: JsonObject = {"isCertAuth": kind == "Certificate"}
    for field, field_in_v1 in _PRINCIPAL_FIELDS.items():
        if (text := given.text(field)) is not None:
            more[field_in_v1] = text
    return None, None, principal | more


def _credentials(store: Datastore) -> JsonObject:
    kind = _credentials_type(store)
    if kind not in _PRINCIPALS:
        return {"credentialsType": kind}
    principal = _principal(store)
    found: JsonObject = {"credentialsType": kind}
    for name, name_in_v1 in _PRINCIPAL_FIELDS.items():
        found[name] = principal.text(name_in_v1)
    if kind == "Certificate":
        found["thumbprint"] = principal.text("thumbprint")
    return found


def _credentials_type(store: Datastore) -> str:
    if store.account_key:
        return "AccountKey"
    if store.sas_token:
        return "Sas"
    principal = _principal(store)
    return next((kind for kind, name in _PRINCIPALS.items() if principal.text(name)), "None")


def _principal(store: Datastore) -> Body:
    return Body(store.section).object("clientCredentials") or Body({})
