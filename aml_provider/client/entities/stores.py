"""Where data is: datastores of the workspace, and the artifacts of runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aml_provider.client.entities.wire import read_id
from aml_provider.client.portable import Portable
from aml_provider.client.secret import Secret


@dataclass(frozen=True, slots=True)
class ServicePrincipal(Portable):
    """An application that a datastore signs in as, with a secret or with a certificate and its key (sealed)."""

    tenant_id: str
    client_id: str
    sealed_secret: Secret[str]
    sealed_certificate: Secret[str]

    @property
    def client_secret(self) -> str:
        """The application's secret; empty without one."""
        return self.sealed_secret.reveal()

    @property
    def certificate(self) -> str:
        """The application's certificate with its key; empty without one."""
        return self.sealed_certificate.reveal()

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> ServicePrincipal:
        """Read it from a datastore's ``clientCredentials``."""
        return cls(
            tenant_id=str(wire.get("tenantId") or ""),
            client_id=str(wire.get("clientId") or ""),
            sealed_secret=Secret(str(wire.get("clientSecret") or "")),
            sealed_certificate=Secret(str(wire.get("certificate") or "")),
        )


@dataclass(frozen=True, slots=True)
class Datastore(Portable):
    """A datastore of the workspace, its credentials included.

    They are sealed: neither shown nor passed on to other tasks, where ``account_key`` and its like raise
    InvalidArgument.

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
    sealed_key: Secret[str]
    sealed_sas: Secret[str]
    principal: ServicePrincipal

    @property
    def secrets(self) -> tuple[Secret[str], ...]:
        """Its credentials, those that it has."""
        principal = self.principal
        found = (self.sealed_key, self.sealed_sas, principal.sealed_secret, principal.sealed_certificate)
        return tuple(filter(None, found))

    @property
    def account_key(self) -> str:
        """The key of its account; empty without one."""
        return self.sealed_key.reveal()

    @property
    def sas_token(self) -> str:
        """Its SAS; empty without one."""
        return self.sealed_sas.reveal()

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
            sealed_key=Secret(str(section.get("accountKey") or "")),
            sealed_sas=Secret(str(section.get("sasToken") or "")),
            principal=ServicePrincipal.from_wire(section.get("clientCredentials") or {}),
        )


@dataclass(frozen=True, slots=True)
class Artifact(Portable):
    """A file that a run wrote, such as a log.

    ``url`` carries its own signature, so it is a secret; it is empty if only the file's name was requested.
    """

    origin: str
    container: str
    path: str
    sealed_url: Secret[str]

    @property
    def url(self) -> str:
        """The signed address of its content."""
        return self.sealed_url.reveal()

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Artifact:
        """Read it from the artifact service's JSON."""
        return cls(
            origin=str(wire.get("origin") or ""),
            container=str(wire.get("container") or ""),
            path=read_id(wire, "path"),
            sealed_url=Secret(str(wire.get("contentUri") or "")),
        )
