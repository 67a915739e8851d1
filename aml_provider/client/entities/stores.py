"""Where data is: datastores of the workspace, and the artifacts of runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from aml_provider.client.entities.wire import read_id


@dataclass(frozen=True, slots=True)
class ServicePrincipal:
    """An application that a datastore signs in as, with a secret or with a certificate and its key (never shown)."""

    tenant_id: str
    client_id: str
    client_secret: str = field(repr=False)
    certificate: str = field(repr=False)

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> ServicePrincipal:
        """Read it from a datastore's ``clientCredentials``."""
        return cls(
            tenant_id=str(wire.get("tenantId") or ""),
            client_id=str(wire.get("clientId") or ""),
            client_secret=str(wire.get("clientSecret") or ""),
            certificate=str(wire.get("certificate") or ""),
        )


@dataclass(frozen=True, slots=True)
class Datastore:
    """A datastore of the workspace, its credentials included (never shown).

    ``kind`` is the service's ``dataStoreType``: AzureBlob, AzureDataLakeGen2, AzureFile, …; ``credential_type`` is
    None, Sas, AccountKey or ClientCredentials.
    """

    name: str
    kind: str
    account: str
    container: str
    protocol: str
    endpoint: str
    credential_type: str
    account_key: str = field(repr=False)
    sas_token: str = field(repr=False)
    principal: ServicePrincipal

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Datastore:
        """Read it from the datastore service's JSON."""
        section = wire.get("azureStorageSection") or {}
        return cls(
            name=read_id(wire, "name"),
            kind=str(wire.get("dataStoreType") or ""),
            account=str(section.get("accountName") or ""),
            container=str(section.get("containerName") or ""),
            protocol=str(section.get("protocol") or "https"),
            endpoint=str(section.get("endpoint") or "core.windows.net"),
            credential_type=str(section.get("credentialType") or "None"),
            account_key=str(section.get("accountKey") or ""),
            sas_token=str(section.get("sasToken") or ""),
            principal=ServicePrincipal.from_wire(section.get("clientCredentials") or {}),
        )


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file that a run left behind, such as a log.

    ``url`` carries its own signature, so it is not shown; it is empty where only the file's name was asked for.
    """

    origin: str
    container: str
    path: str
    url: str = field(repr=False)

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Artifact:
        """Read it from the artifact service's JSON."""
        return cls(
            origin=str(wire.get("origin") or ""),
            container=str(wire.get("container") or ""),
            path=read_id(wire, "path"),
            url=str(wire.get("contentUri") or ""),
        )
