"""The JSON of the datastore service: camelCase, one section per type of storage."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from aml_provider.emulator.workspace.body import Body, JsonObject
from aml_provider.emulator.workspace.errors import bad_request
from aml_provider.emulator.workspace.models import Datastore

_STORAGE = "azureStorageSection"
# Per type its section and the required keys of that section; other keys are stored unchanged.
_SECTIONS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "AzureBlob": (_STORAGE, ("accountName", "containerName")),
    "AzureFile": (_STORAGE, ("accountName", "containerName")),
    "AzureDataLakeGen2": (_STORAGE, ("accountName", "containerName")),
    "AzureDataLake": ("azureDataLakeSection", ("storeName",)),
    "AzureSqlDatabase": ("azureSqlDatabaseSection", ("serverName", "databaseName")),
    "AzurePostgreSql": ("azurePostgreSqlSection", ("serverName", "databaseName")),
    "AzureMySql": ("azureMySqlSection", ("serverName", "databaseName")),
    "Hdfs": ("hdfsSection", ("nameNodeAddress",)),
    "GlusterFs": ("glusterFsSection", ("serverAddress", "volumeName")),
    "DBFS": ("", ()),
    "Custom": ("", ()),
    "Git": ("", ()),
    "OneLake": ("", ()),
}
_ALL_SECTIONS = tuple(dict.fromkeys(section for section, _ in _SECTIONS.values() if section))
# The keys of a storage section with fields of their own in Datastore; the others go into ``Datastore.section``.
_OWN = frozenset({"accountname", "containername", "endpoint", "protocol", "accountkey", "sastoken"})
_SECRETS = frozenset(
    {"accountkey", "sastoken", "credential", "clientsecret", "certificate", "userpassword", "credentialvalue"}
)
_NAME = re.compile(r"[A-Za-z0-9_]{1,255}")


def datastore_dto(store: Datastore, subscription_id: str, resource_group: str, *, secrets: bool = True) -> JsonObject:
    """``DataStore``. As in the real service it contains the credentials, unless a list is requested without them.

    Its storage is in the given subscription and resource group, unless its section names others.
    """
    key, _ = _SECTIONS.get(store.type, ("", ()))
    section = _with_small_letters(store.section)
    if key == _STORAGE:
        section = _storage_section(store, section, subscription_id, resource_group)
    return {
        "name": store.name,
        "dataStoreType": store.type,
        "hasBeenValidated": True,
        "tags": store.tags or None,
        **dict.fromkeys(_ALL_SECTIONS),
        **({key: section if secrets else _without_secrets(section)} if key else {}),
    }


def datastore_from_wire(body: object, name: str | None = None) -> Datastore:
    """The datastore that a request's ``DataStore`` describes. If the path has a name, the body can repeat it.

    Raises:
        ServiceError: Something in the body is missing or wrong.
    """
    given = Body(body)
    own = given.text("name") or name or ""
    check_store_name(own)
    if name is not None and own.lower() != name.lower():
        raise bad_request(f"The name {own} in the body is not that of the path, {name}.")
    kind = given.choice("dataStoreType", tuple(_SECTIONS))
    if kind is None:
        raise bad_request("dataStoreType is required.")
    tags = given.tags()
    key, needed = _SECTIONS[kind]
    if not key:
        return Datastore(own.lower(), type=kind, tags=tags)
    section = given.object(key)
    if section is None:
        raise bad_request(f"{key} is required for a datastore of type {kind}.")
    for field in needed:
        section.required(field)
    values = given.mapping(key)
    if key != _STORAGE:
        return Datastore(own.lower(), type=kind, section=values, tags=tags)
    return Datastore(
        name=own.lower(),
        account_name=section.required("accountName"),
        container=section.required("containerName"),
        type=kind,
        # Older clients put both kinds of secret into credential.
        account_key=section.text("accountKey") or _credential(section, "AccountKey"),
        sas_token=section.text("sasToken") or _credential(section, "Sas"),
        endpoint=section.text("endpoint") or "core.windows.net",
        protocol=section.text("protocol") or "https",
        section={field: value for field, value in values.items() if field.lower() not in _OWN and value is not None},
        tags=tags,
    )


def check_store_name(name: str) -> None:
    """Refuse an invalid name of a datastore."""
    if not _NAME.fullmatch(name):
        raise bad_request(f"The datastore name {name[:80]!r} is not 1 to 255 letters, digits and _.")


def _credential(section: Body, kind: str) -> str | None:
    return section.text("credential") if section.text("credentialType") == kind else None


def _storage_section(store: Datastore, section: JsonObject, subscription_id: str, resource_group: str) -> JsonObject:
    credential_type = "AccountKey" if store.account_key else "Sas" if store.sas_token else "None"
    if credential_type == "None" and section.get("clientCredentials"):
        credential_type = "ClientCredentials"
    return {
        "blobCacheTimeout": None,
        "areWorkspaceManagedIdentitiesAllowed": False,
        "subscriptionId": subscription_id,
        "resourceGroup": resource_group,
        "clientCredentials": None,
        "serviceDataAccessAuthIdentity": "None",
        **section,
        "accountName": store.account_name,
        "containerName": store.container,
        "endpoint": store.endpoint,
        "protocol": store.protocol,
        "credentialType": credential_type,
        "credential": store.account_key or store.sas_token,
        "isSas": credential_type == "Sas",
        "accountKey": store.account_key,
        "sasToken": store.sas_token,
    }


def _with_small_letters(section: Mapping[str, Any]) -> JsonObject:
    # Microsoft's SDK sends ServiceDataAccessAuthIdentity, but reads it with a small first letter.
    return {f"{key[:1].lower()}{key[1:]}": value for key, value in section.items()}


def _without_secrets(section: Mapping[str, Any]) -> JsonObject:
    hidden: JsonObject = {}
    for key, value in section.items():
        if isinstance(value, Mapping):
            hidden[key] = _without_secrets(value)
        else:
            hidden[key] = None if key.lower() in _SECRETS else value
    return hidden
