"""The workspace, cloud and identity of a connection as plain values, and the hosts to which a token may be sent."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from urllib.parse import quote, unquote, urlsplit

from aml_provider.client.errors import InvalidArgument
from aml_provider.client.portable import Portable
from aml_provider.client.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

AUTH_METHODS = (
    "default",
    "client_secret",
    "client_certificate",
    "managed_identity",
    "workload_identity",
    "azure_cli",
    "static_token",
)

#: The audience of tokens for blobs and queues; it is the same in every cloud.
STORAGE_SCOPE = "https://storage.azure.com/.default"

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_PORTS = {"http": 80, "https": 443}
# The characters that a token in a header can have.
_TOKEN = re.compile(r"[!-~]+")
# Python's URL parser drops line breaks and takes a backslash for a letter; other parsers do not.
_AMBIGUOUS = re.compile(r"[^!-~]|\\")
_REGION = re.compile(r"[A-Za-z0-9-]{1,63}")
_HOST = re.compile(r"[a-z0-9.-]+")
# A label of a host's name that every resolver reads the same way; Docker's names have underscores.
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_LONGEST_HOST = 253
_WITH_PORT = re.compile(r":[0-9]+\Z")
_USERS_OWN = frozenset({"inference", "instances"})


class _Origin(NamedTuple):
    """The identity of a server."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> _Origin | None:
        """The origin of a URL; None if two URL parsers might read two different hosts."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            return None
        host = parts.hostname or ""
        if parts.scheme not in _PORTS or not _is_host(host) or "@" in parts.netloc or _AMBIGUOUS.search(url):
            return None
        return cls(parts.scheme, host, _PORTS[parts.scheme] if port is None else port)


def _is_host(text: str) -> bool:
    if ":" in text:
        # urlsplit() has read what is in brackets.
        return True
    return len(text) <= _LONGEST_HOST and all(map(_LABEL.fullmatch, text.removesuffix(".").split(".")))


def read_trusted(text: str) -> tuple[str, ...]:
    """Read a list of trusted endpoints.

    Args:
        text: Hosts (``aml.example.com``, ``10.0.0.5:8700``) and host suffixes (``.example.com``), separated by commas
            or white space. Without a port, all ports of a host are trusted.

    Raises:
        InvalidArgument: An entry is neither a host nor a suffix.
    """
    entries = tuple(entry.lower() for entry in re.split(r"[,\s]+", text) if entry)
    for entry in entries:
        is_read = _Origin.of(f"https://{entry.removeprefix('.')}") is not None
        if not is_read or any(mark in entry for mark in "/?#") or (entry[0] == "." and ":" in entry):
            raise InvalidArgument(
                "[azureml] trusted_endpoints", f"has the entry {entry!r}; write a host, host:port or .suffix"
            )
    return entries


def _is_listed(origin: _Origin, entries: tuple[str, ...]) -> bool:
    for entry in entries:
        if entry.startswith("."):
            if origin.host.endswith(entry):
                return True
            continue
        listed = _Origin.of(f"https://{entry}")
        if listed is None or origin.host != listed.host:
            continue
        if listed.port == origin.port or not _WITH_PORT.search(entry):
            return True
    return False


#: Where the credentials of datastores are read: in v1's datastore service (``v1``), in Azure Resource Manager
#: (``arm``), or in v1's service for as long as it exists, and then in Azure Resource Manager (``auto``).
DATASTORE_APIS = ("auto", "v1", "arm")


class Cloud(NamedTuple):
    """The hosts of one Azure cloud.

    ``trusted`` are the hosts and host suffixes of that cloud's own services (older regional hosts still occur in
    replies). A token for the workspace is sent only to them and to the connection's own endpoint.
    ``ml_resource`` is the audience of tokens for Azure Machine Learning itself, as Microsoft's SDK has it.
    ``zone_suffix`` is the domain of the storage accounts that have a DNS zone in their addresses, such as
    ``ACCOUNT.z11.blob.storage.azure.net``; empty if the cloud has none.
    """

    name: str
    authority: str
    management: str
    api_suffix: str
    studio: str
    ml_resource: str
    storage_suffix: str
    trusted: tuple[str, ...]
    zone_suffix: str = ""


CLOUDS = {
    "public": Cloud(
        name="public",
        authority="https://login.microsoftonline.com",
        management="https://management.azure.com",
        api_suffix="api.azureml.ms",
        studio="https://ml.azure.com",
        ml_resource="https://ml.azure.com",
        storage_suffix="core.windows.net",
        trusted=("management.azure.com", ".azureml.ms", ".azureml.net", ".aether.ms"),
        zone_suffix="storage.azure.net",
    ),
    "usgov": Cloud(
        name="usgov",
        authority="https://login.microsoftonline.us",
        management="https://management.usgovcloudapi.net",
        api_suffix="api.ml.azure.us",
        studio="https://ml.azure.us",
        ml_resource="https://ml.azure.us",
        storage_suffix="core.usgovcloudapi.net",
        trusted=("management.usgovcloudapi.net", ".ml.azure.us"),
    ),
    "china": Cloud(
        name="china",
        authority="https://login.chinacloudapi.cn",
        management="https://management.chinacloudapi.cn",
        api_suffix="api.ml.azure.cn",
        studio="https://studio.ml.azure.cn",
        ml_resource="https://ml.azure.cn",
        storage_suffix="core.chinacloudapi.cn",
        trusted=("management.chinacloudapi.cn", ".ml.azure.cn"),
    ),
}


@dataclass(frozen=True, kw_only=True)
class WorkspaceSettings(Portable):
    """The checked values of a connection.

    Args:
        subscription_id: The workspace's subscription.
        resource_group: The workspace's resource group.
        workspace_name: The workspace.
        region: The Azure region, such as ``westeurope``; None: it is read from Azure Resource Manager.
        endpoint: The base URL of the workspace API, if it is not the region's own.
        cloud: One of :data:`CLOUDS`.
        auth_method: One of :data:`AUTH_METHODS`.
        tenant_id: The Microsoft Entra tenant.
        client_id: The application, or the user-assigned identity.
        secret: The client secret, or the static token.
        certificate_path: A PEM or PKCS12 file with its private key.
        certificate: The content of such a file, instead of its path.
        certificate_password: That file's password.
        blob_endpoint: The base URL of the storage account behind the datastores, if it is not the public one.
        allow_http: Allow a static token for a plain http endpoint that is not on loopback.
        datastore_api: Where the credentials of datastores are read, one of :data:`DATASTORE_APIS`.
        trusted_endpoints: Hosts and host suffixes outside the cloud that may be ``endpoint`` or ``blob_endpoint``
            whatever the ``auth_method``; see :func:`read_trusted`. A connection cannot set it.

    Raises:
        InvalidArgument: A value cannot be used; the message names the connection's field.
    """

    subscription_id: str
    resource_group: str
    workspace_name: str
    region: str | None = None
    endpoint: str | None = None
    cloud: Cloud = CLOUDS["public"]
    auth_method: str = "default"
    tenant_id: str | None = None
    client_id: str | None = None
    secret: Secret[str] | None = None
    certificate_path: str | None = None
    certificate: Secret[bytes] | None = None
    certificate_password: Secret[str] | None = None
    blob_endpoint: str | None = None
    allow_http: bool = False
    trusted_endpoints: tuple[str, ...] = ()
    datastore_api: str = "auto"

    def __post_init__(self) -> None:
        for name in ("secret", "certificate", "certificate_password"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, Secret(value))
        for name in ("subscription_id", "resource_group", "workspace_name"):
            if not getattr(self, name):
                raise InvalidArgument(name, "is empty; set it in the connection, or paste config.json there")
        if self.auth_method not in AUTH_METHODS:
            raise InvalidArgument("auth_method", f"is {self.auth_method!r}; use one of {', '.join(AUTH_METHODS)}")
        if self.datastore_api not in DATASTORE_APIS:
            raise InvalidArgument("datastore_api", f"is {self.datastore_api!r}; use one of {', '.join(DATASTORE_APIS)}")
        if self.allow_http and self.auth_method != "static_token":
            raise InvalidArgument("allow_http", "works only together with auth_method static_token")
        token = self.secret if self.auth_method == "static_token" else None
        if token and not token.is_withheld and not _TOKEN.fullmatch(token.reveal()):
            raise InvalidArgument(
                "password", "contains a blank, a line break or another character that no bearer token has"
            )
        if self.region and not _REGION.fullmatch(self.region):
            raise InvalidArgument("region", f"is {self.region!r}; write its short name, such as westeurope")
        for name in ("endpoint", "blob_endpoint"):
            url = getattr(self, name)
            if url is not None:
                self._check_base_url(name, url)

    def serialize(self) -> dict[str, Any]:
        """Return everything except the secrets, for Airflow's XCom."""
        return {**super().serialize(), "cloud": self.cloud.name}

    @classmethod
    def deserialize(cls, data: Mapping[str, Any], version: int) -> Self:
        """Read what :meth:`serialize` wrote."""
        return super().deserialize({**data, "cloud": CLOUDS[data["cloud"]]}, version)

    def _check_base_url(self, name: str, url: str) -> None:
        if any(mark in url for mark in "?#@"):
            # The value is not shown: it may contain a secret.
            raise InvalidArgument(
                name, "must be an address without a query string, a fragment or a login: secrets have their own fields"
            )
        origin = _Origin.of(url)
        if origin is None:
            raise InvalidArgument(name, f"is {url!r}; write it as https://host")
        if not self._scheme_allowed(origin):
            raise InvalidArgument(
                name,
                f"is plain http to {origin.host}; use https (http is for loopback, or for static_token together "
                "with allow_http)",
            )
        storage = name == "blob_endpoint"
        if self.auth_method != "static_token" and not self._vouches_for(origin, storage=storage):
            raise InvalidArgument(
                name,
                f"{origin.host!r} is not a host of the cloud {self.cloud.name!r}, and would get tokens of auth_method "
                f"{self.auth_method!r}. If you trust this host, ask the administrator of Airflow to add it to "
                f"[azureml] trusted_endpoints. Otherwise remove {name} from the connection. A local workspace needs "
                "auth_method static_token",
            )

    def _vouches_for(self, origin: _Origin, *, storage: bool) -> bool:
        """Whether a host is one of the cloud's own, or one that the administrator of Airflow has listed as trusted."""
        return _is_listed(origin, self.trusted_endpoints) or self._is_clouds_own(origin, storage=storage)

    def knows(self, url: str) -> bool:
        """Whether a host's replies may be shown: it is a host of the cloud, a trusted host, or this machine.

        People who can edit a connection must not be able to read the replies of arbitrary servers with it.
        """
        origin = _Origin.of(url)
        return origin is not None and (
            origin.host in _LOOPBACK or any(self._vouches_for(origin, storage=storage) for storage in (False, True))
        )

    def may_fetch(self, url: str) -> bool:
        """Whether a link in a reply may be followed, without a token: its host is known, or belongs to the connection.

        Links to this machine are followed only if the workspace is on it.
        """
        origin = _Origin.of(url)
        if origin is None or not self._scheme_allowed(origin):
            return False
        own = [_Origin.of(base) for base in (self.endpoint, self.blob_endpoint) if base]
        if origin.host in _LOOPBACK:
            return any(base is not None and base.host in _LOOPBACK for base in own)
        return origin in own or self.knows(url)

    def _scheme_allowed(self, origin: _Origin) -> bool:
        return origin.scheme == "https" or origin.host in _LOOPBACK or self.allow_http

    @property
    def scope_path(self) -> str:
        """The workspace's Azure Resource Manager id, percent-encoded as a URL path."""
        return (
            f"/subscriptions/{quote(self.subscription_id, safe='')}"
            f"/resourceGroups/{quote(self.resource_group, safe='')}"
            f"/providers/Microsoft.MachineLearningServices/workspaces/{quote(self.workspace_name, safe='')}"
        )

    @property
    def arm_id(self) -> str:
        """The workspace's Azure Resource Manager id, with which the ids of its components and computes begin."""
        return unquote(self.scope_path)

    @property
    def identity(self) -> str:
        """A text that identifies the workspace, whatever the letter case in the connection. Its hash is stored."""
        return "|".join([self.cloud.name, self.endpoint or "", self.scope_path.lower()])

    @property
    def api_url(self) -> str | None:
        """The base URL of the workspace API; None if it has to be read from discovery."""
        if self.endpoint:
            return self.endpoint.rstrip("/")
        return f"https://{self.region}.{self.cloud.api_suffix}" if self.region else None

    @property
    def _stands_alone(self) -> bool:
        """Whether the endpoint is a separate workspace (an emulator), and not another address of Azure."""
        return self.endpoint is not None and not self._under_cloud(urlsplit(self.endpoint).hostname or "")

    @property
    def management_url(self) -> str:
        """The base URL of Azure Resource Manager; an endpoint outside Azure also serves this API."""
        return (self.api_url or "") if self._stands_alone else self.cloud.management

    @property
    def studio_url(self) -> str:
        """The base URL of the studio's pages; an endpoint outside Azure serves its own pages."""
        return (self.api_url or "") if self._stands_alone else self.cloud.studio

    @property
    def secrets(self) -> tuple[Secret[Any], ...]:
        """The values that no log may show."""
        return tuple(value for value in (self.secret, self.certificate, self.certificate_password) if value)

    @property
    def blob_hosts(self) -> tuple[str, ...]:
        """The host of ``blob_endpoint``, as an entry of ``trusted_endpoints``; empty if the field is empty."""
        return (urlsplit(self.blob_endpoint).netloc.lower(),) if self.blob_endpoint else ()

    @property
    def has_certificate(self) -> bool:
        """Whether there is a certificate, as a file or as its content."""
        return bool(self.certificate_path or self.certificate)

    @property
    def token_scope(self) -> str:
        """The audience of tokens for the workspace and for Azure Resource Manager."""
        return f"{self.cloud.management}/.default"

    @property
    def ml_token_scope(self) -> str | None:
        """The audience of the second token for submitting jobs; None with a static token, which has one audience."""
        return None if self.auth_method == "static_token" else f"{self.cloud.ml_resource}/.default"

    def run_url(self, run_id: str) -> str:
        """The run's page in the studio."""
        wsid = (
            f"/subscriptions/{self.subscription_id}/resourcegroups/{self.resource_group}"
            f"/workspaces/{self.workspace_name}"
        )
        tenant = f"&tid={self.tenant_id}" if self.tenant_id else ""
        return f"{self.studio_url}/runs/{quote(run_id, safe='')}?wsid={quote(wsid, safe='/')}{tenant}"

    def trusts(self, url: str, scope: str) -> bool:
        """Whether a token of this audience may be sent to this URL, whatever its source.

        A token for the workspace may go to the cloud's own services and to the connection's endpoint. A token for
        storage may go to the cloud's blob and queue hosts and to the connection's blob endpoint.
        """
        origin = _Origin.of(url)
        if origin is None or not self._scheme_allowed(origin):
            return False
        storage = scope == STORAGE_SCOPE
        own = self.blob_endpoint if storage else self.endpoint
        return (own is not None and origin == _Origin.of(own)) or self._is_clouds_own(origin, storage=storage)

    def _is_clouds_own(self, origin: _Origin, *, storage: bool) -> bool:
        holds = self._is_storage if storage else self._under_cloud
        return origin.scheme == "https" and holds(origin.host)

    def _is_storage(self, host: str) -> bool:
        domains = filter(None, (self.cloud.storage_suffix, self.cloud.zone_suffix))
        suffixes = tuple(f".{service}.{domain}" for domain in domains for service in ("blob", "queue"))
        return _HOST.fullmatch(host) is not None and host.endswith(suffixes)

    def _under_cloud(self, host: str) -> bool:
        host = host.lower()
        # Under these names, users' own programs answer: online endpoints and applications on compute instances.
        if not _HOST.fullmatch(host) or not _USERS_OWN.isdisjoint(host.split(".")):
            return False
        return any(host.endswith(suffix) if suffix.startswith(".") else host == suffix for suffix in self.cloud.trusted)
