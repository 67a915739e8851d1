"""The places of data: datastores of the workspace, and the artifacts of runs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from aml_provider.client.entities.wire import read_id
from aml_provider.client.portable import Portable
from aml_provider.client.secret import Secret


@dataclass(frozen=True, slots=True)
class ServicePrincipal(Portable):
    """The application as which a datastore signs in, with a secret or with a certificate and its key (sealed)."""

    tenant_id: str
    client_id: str
    sealed_secret: Secret[str]
    sealed_certificate: Secret[str]

    @property
    def client_secret(self) -> str:
        """The application's secret; empty if it has none."""
        return self.sealed_secret.reveal()

    @property
    def certificate(self) -> str:
        """The application's certificate with its key; empty if it has none."""
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

    The credentials are sealed: they are neither shown nor passed to other tasks. In other tasks ``account_key`` and
    similar attributes raise InvalidArgument.

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
        """The credentials that were read together with the datastore."""
        return tuple(secret for secret in self._sealed if secret and not secret.is_withheld)

    @property
    def lacks_secrets(self) -> bool:
        """Whether the datastore has a credential that was not read together with it."""
        return any(secret.is_withheld for secret in self._sealed)

    @property
    def _sealed(self) -> tuple[Secret[str], ...]:
        principal = self.principal
        return self.sealed_key, self.sealed_sas, principal.sealed_secret, principal.sealed_certificate

    @property
    def account_key(self) -> str:
        """The key of its account; empty if it has none."""
        return self.sealed_key.reveal()

    @property
    def sas_token(self) -> str:
        """Its SAS; empty if it has none."""
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

    @classmethod
    def from_arm(cls, wire: dict[str, Any]) -> Datastore:
        """Read it from Azure Resource Manager, which returns the secrets separately (azureml-v2-rest 7).

        Its credentials are withheld until :meth:`with_secrets` adds them: an empty text would mean that it has no
        credentials.
        """
        properties = wire["properties"]
        credentials = properties.get("credentials") or {}
        kind = str(credentials.get("credentialsType") or "None")
        principal = ServicePrincipal.from_wire(credentials)
        if kind == "ServicePrincipal":
            principal = replace(principal, sealed_secret=Secret.withheld())
        elif kind == "Certificate":
            principal = replace(principal, sealed_certificate=Secret.withheld())
        containers = (properties.get(key) for key in ("containerName", "filesystem", "fileShareName"))
        return cls(
            name=read_id(wire, "name"),
            kind=str(properties.get("datastoreType") or ""),
            account=str(properties.get("accountName") or ""),
            container=str(next(filter(None, containers), "")),
            protocol=str(properties.get("protocol") or "https"),
            endpoint=str(properties.get("endpoint") or "core.windows.net"),
            credential_type=_CREDENTIALS.get(kind, kind),
            sealed_key=Secret.withheld() if kind == "AccountKey" else Secret(""),
            sealed_sas=Secret.withheld() if kind == "Sas" else Secret(""),
            principal=principal,
        )

    def with_secrets(self, wire: dict[str, Any]) -> Datastore:
        """A copy with the secrets that Azure Resource Manager returned for it."""
        # It must be there: an answer without it is not that of a datastore without secrets.
        wire["secretsType"]
        principal = replace(
            self.principal,
            sealed_secret=Secret(str(wire.get("clientSecret") or "")),
            sealed_certificate=Secret(str(wire.get("certificate") or "")),
        )
        key, sas = Secret(str(wire.get("key") or "")), Secret(str(wire.get("sasToken") or ""))
        return replace(self, sealed_key=key, sealed_sas=sas, principal=principal)


# The kinds of credentials in Azure Resource Manager, in the words of v1's datastore service.
_CREDENTIALS = {"ServicePrincipal": "ClientCredentials", "Certificate": "ClientCredentials"}


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
