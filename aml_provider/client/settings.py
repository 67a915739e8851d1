"""Which workspace, in which cloud, as whom: plain values, and where a token may go."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from aml_provider.client.errors import InvalidArgument

AUTH_METHODS = (
    "default",
    "client_secret",
    "client_certificate",
    "managed_identity",
    "workload_identity",
    "azure_cli",
    "static_token",
)

#: The audience of tokens for blob storage; it is the same in every cloud.
STORAGE_SCOPE = "https://storage.azure.com/.default"

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_PORTS = {"http": 80, "https": 443}
# What a token that travels in a header can be made of.
_TOKEN = re.compile(r"[!-~]+")
# Python's own reader of URLs drops line breaks and takes a backslash for a letter; others do not.
_AMBIGUOUS = re.compile(r"[^!-~]|\\")
_REGION = re.compile(r"[A-Za-z0-9-]+")
_HOST = re.compile(r"[a-z0-9.-]+")


class _Origin(NamedTuple):
    """What tells one server from another."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> _Origin | None:
        """The origin of a URL; None for whatever two readers of URLs might read as two different hosts."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            return None
        if parts.scheme not in _PORTS or not parts.hostname or "@" in parts.netloc or _AMBIGUOUS.search(url):
            return None
        return cls(parts.scheme, parts.hostname, _PORTS[parts.scheme] if port is None else port)


class Cloud(NamedTuple):
    """The hosts of one Azure cloud.

    ``trusted`` are the hosts and host suffixes under which that cloud's own services live (older regional hosts still
    occur in replies): only they, and the connection's own endpoint, ever see a token for the workspace.
    """

    name: str
    authority: str
    management: str
    api_suffix: str
    studio: str
    storage_suffix: str
    trusted: tuple[str, ...]


CLOUDS = {
    "public": Cloud(
        name="public",
        authority="https://login.microsoftonline.com",
        management="https://management.azure.com",
        api_suffix="api.azureml.ms",
        studio="https://ml.azure.com",
        storage_suffix="core.windows.net",
        trusted=("management.azure.com", ".azureml.ms", ".azureml.net", ".aether.ms"),
    ),
    "usgov": Cloud(
        name="usgov",
        authority="https://login.microsoftonline.us",
        management="https://management.usgovcloudapi.net",
        api_suffix="api.ml.azure.us",
        studio="https://ml.azure.us",
        storage_suffix="core.usgovcloudapi.net",
        trusted=("management.usgovcloudapi.net", ".ml.azure.us"),
    ),
    "china": Cloud(
        name="china",
        authority="https://login.chinacloudapi.cn",
        management="https://management.chinacloudapi.cn",
        api_suffix="api.ml.azure.cn",
        studio="https://studio.ml.azure.cn",
        storage_suffix="core.chinacloudapi.cn",
        trusted=("management.chinacloudapi.cn", ".ml.azure.cn"),
    ),
}


@dataclass(frozen=True, kw_only=True)
class WorkspaceSettings:
    """Everything that a connection says, checked.

    Args:
        subscription_id: The workspace's subscription.
        resource_group: The workspace's resource group.
        workspace_name: The workspace.
        region: The Azure region, such as ``westeurope``; None: discovered through Azure Resource Manager.
        endpoint: The base URL of the workspace API, where it is not the region's own.
        cloud: One of :data:`CLOUDS`.
        auth_method: One of :data:`AUTH_METHODS`.
        tenant_id: The Microsoft Entra tenant.
        client_id: The application, or the user-assigned identity.
        secret: The client secret, or the static token.
        certificate_path: A PEM or PKCS12 file with its private key.
        certificate: What such a file holds, in place of its path.
        certificate_password: That file's password.
        blob_endpoint: The base URL of the storage account behind the datastores, where it is not the public one.
        allow_http: Let a static token go to a plain http endpoint that is not on loopback.

    Raises:
        InvalidArgument: A value that cannot be used; named as the connection's field is.
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
    secret: str | None = field(default=None, repr=False)
    certificate_path: str | None = None
    certificate: bytes | None = field(default=None, repr=False)
    certificate_password: str | None = field(default=None, repr=False)
    blob_endpoint: str | None = None
    allow_http: bool = False

    def __post_init__(self) -> None:
        for name in ("subscription_id", "resource_group", "workspace_name"):
            if not getattr(self, name):
                raise InvalidArgument(name, "is empty; set it in the connection, or paste config.json there")
        if self.auth_method not in AUTH_METHODS:
            raise InvalidArgument("auth_method", f"is {self.auth_method!r}; use one of {', '.join(AUTH_METHODS)}")
        if self.allow_http and self.auth_method != "static_token":
            raise InvalidArgument("allow_http", "works only together with auth_method static_token")
        if self.auth_method == "static_token" and self.secret and not _TOKEN.fullmatch(self.secret):
            raise InvalidArgument("password", "holds a blank, a line break or a letter that no bearer token has")
        if self.region and not _REGION.fullmatch(self.region):
            raise InvalidArgument("region", f"is {self.region!r}; write its short name, such as westeurope")
        for name in ("endpoint", "blob_endpoint"):
            url = getattr(self, name)
            if url is not None:
                self._check_base_url(name, url)

    def _check_base_url(self, name: str, url: str) -> None:
        if any(mark in url for mark in "?#@"):
            # Not shown: what follows may be a secret.
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
    def api_url(self) -> str | None:
        """The base URL of the workspace API, or None where only discovery knows it."""
        if self.endpoint:
            return self.endpoint.rstrip("/")
        return f"https://{self.region}.{self.cloud.api_suffix}" if self.region else None

    @property
    def _stands_alone(self) -> bool:
        """Whether the endpoint is a workspace of its own (an emulator), rather than Azure by another address."""
        return self.endpoint is not None and not self._under_cloud(urlsplit(self.endpoint).hostname or "")

    @property
    def management_url(self) -> str:
        """The base URL of Azure Resource Manager; an endpoint outside Azure answers for it too."""
        return (self.api_url or "") if self._stands_alone else self.cloud.management

    @property
    def studio_url(self) -> str:
        """The base URL of the studio's pages; an endpoint outside Azure serves its own."""
        return (self.api_url or "") if self._stands_alone else self.cloud.studio

    @property
    def has_certificate(self) -> bool:
        """Whether there is a certificate, as a file or as its content."""
        return bool(self.certificate_path or self.certificate)

    @property
    def token_scope(self) -> str:
        """The audience of tokens for the workspace and for Azure Resource Manager."""
        return f"{self.cloud.management}/.default"

    def run_url(self, run_id: str) -> str:
        """The run's page in the studio."""
        wsid = (
            f"/subscriptions/{self.subscription_id}/resourcegroups/{self.resource_group}"
            f"/workspaces/{self.workspace_name}"
        )
        tenant = f"&tid={self.tenant_id}" if self.tenant_id else ""
        return f"{self.studio_url}/runs/{quote(run_id, safe='')}?wsid={quote(wsid, safe='/')}{tenant}"

    def trusts(self, url: str, scope: str) -> bool:
        """Whether a token of this audience may be sent to this URL, whoever named it.

        A token for the workspace goes to the cloud's own services or the connection's endpoint, one for storage to the
        cloud's blob hosts or the connection's blob endpoint.
        """
        origin = _Origin.of(url)
        if origin is None or not self._scheme_allowed(origin):
            return False
        storage = scope == STORAGE_SCOPE
        own = self.blob_endpoint if storage else self.endpoint
        if own and origin == _Origin.of(own):
            return True
        if origin.scheme != "https" or not _HOST.fullmatch(origin.host):
            return False
        return origin.host.endswith(f".blob.{self.cloud.storage_suffix}") if storage else self._under_cloud(origin.host)

    def _under_cloud(self, host: str) -> bool:
        host = host.lower()
        return any(host.endswith(suffix) if suffix.startswith(".") else host == suffix for suffix in self.cloud.trusted)
