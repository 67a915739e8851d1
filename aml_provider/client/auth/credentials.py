"""Credentials for workers and for event loops, from a table with one row for each ``auth_method``.

azure-identity does the work. This module adds the parts that azure-identity leaves to its callers: the fields that a
method requires, tokens that are kept until they are about to expire, and errors that say what to change in the
connection. The packages of ``azure`` are imported only when a credential is built.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from aml_provider.client.auth.diagnosis import AZ_LOGIN, BINDING, FIELDS, asks_entra, explained
from aml_provider.client.auth.tokens import AsyncCredential, AsyncStaticToken, Credential, StaticToken
from aml_provider.client.errors import InvalidArgument
from aml_provider.client.http.environment import Proxies, Trust
from aml_provider.client.http.reply import Reply
from aml_provider.client.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from aml_provider.client.settings import WorkspaceSettings

__all__ = ["build_async_credential", "build_credential", "get_async_token", "get_token"]

# How a PEM file says that its key is encrypted, in PKCS#8 and in OpenSSL's older form.
_LOCKED_KEY = re.compile(rb"BEGIN ENCRYPTED PRIVATE KEY|Proc-Type: 4,ENCRYPTED")

# azure-core would wait 300 s for a connection and try four times. The caller has a budget for retries; one immediate
# repeat covers a dropped connection.
_TIMEOUTS = {"connection_timeout": 10, "read_timeout": 30}
# The most seconds before that repeat, whatever the other side requests.
_LONGEST_PAUSE = 30.0
# The version of azure-identity that supports identity bindings of AKS.
_BINDINGS_SINCE = 1, 27
_PAUSE_HEADERS = ("retry-after", "retry-after-ms", "x-ms-retry-after-ms")


def _limit_pause(response: Any) -> None:
    """Limit the pause that a reply requests: azure-core sleeps for that long, and fails if the value is nonsense."""
    headers = response.http_response.headers
    said = {name: str(headers.pop(name)) for name in _PAUSE_HEADERS if name in headers}
    asked = Reply(response.http_response.status_code, {**said, "date": headers.get("date", "")}, b"", "").retry_after()
    if asked is not None:
        headers["Retry-After"] = str(min(asked, _LONGEST_PAUSE))


def _route_options(settings: WorkspaceSettings, *, for_loops: bool) -> dict[str, Any]:
    """The proxy and certificates for requests to Microsoft Entra, the same as for our own requests.

    By default, the libraries ``requests`` and ``aiohttp`` read the environment differently: only ``requests`` uses
    ALL_PROXY and trusts REQUESTS_CA_BUNDLE. Identity endpoints on this host are reached without a proxy.

    Raises:
        InvalidArgument: A variable cannot be used; the message names it.
    """
    options: dict[str, Any] = {"use_env_settings": False}
    proxies = Proxies.of_environment()
    # Within `default`, workload identity uses the authority that its webhook sets.
    authorities = {settings.cloud.authority, os.environ.get("AZURE_AUTHORITY_HOST") or settings.cloud.authority}
    found = {f"https://{host}": proxies.to("https", host) for host in map(_host, authorities)}
    for proxy in found.values():
        if proxy is not None and proxy.is_socks and for_loops:
            raise proxy.refused("names a SOCKS proxy, which sign-in in the triggerer cannot use; name an HTTP proxy")
        if proxy is not None and proxy.is_socks and importlib.util.find_spec("socks") is None:
            raise proxy.refused(
                "names a SOCKS proxy, for which sign-in needs the package PySocks: install it, or name an HTTP proxy"
            )
    options["proxies"] = {place: proxy.url for place, proxy in found.items() if proxy is not None}
    trust = Trust.of_environment()
    # aiohttp has read SSL_CERT_FILE and SSL_CERT_DIR itself, and would read a file again with each request.
    if trust.variable and not (for_loops and trust.variable.startswith("SSL_")):
        if for_loops and trust.directory:
            raise trust.refused("is a directory, which sign-in in the triggerer cannot use; name a file")
        options["connection_verify"] = trust.directory or trust.path
    return options


def _host(authority: str) -> str:
    return authority.removeprefix("https://").partition("/")[0]


def _entra(settings: WorkspaceSettings, **given: str | bytes | Secret[Any] | None) -> dict[str, Any]:
    """The options of every credential that requests tokens from Microsoft Entra.

    Instance discovery is off: it validates authorities, and ours are a table in the code. msal would do it after each
    refusal (application.py, _get_authority_aliases), and in a closed network its failure would hide the refusal.
    """
    options = {"disable_instance_discovery": True, "raw_response_hook": _limit_pause}
    return {"authority": settings.cloud.authority, **options, **_TIMEOUTS, **_given(**given)}


def _repeating_once(settings: WorkspaceSettings, **given: str | bytes | Secret[Any] | None) -> dict[str, Any]:
    """The options of :func:`_entra`, for a credential that repeats a request once."""
    return {**_entra(settings, **given), "retry_total": 1}


def _given(**options: str | bytes | Secret[Any] | None) -> dict[str, Any]:
    return {name: value.reveal() if isinstance(value, Secret) else value for name, value in options.items() if value}


def _workload_identity(settings: WorkspaceSettings) -> dict[str, Any]:
    if not os.environ.get("AZURE_FEDERATED_TOKEN_FILE"):
        raise InvalidArgument(
            "auth_method",
            "workload_identity needs AZURE_FEDERATED_TOKEN_FILE, which the webhook sets in pods labelled "
            "azure.workload.identity/use=true; label the pods of workers and triggerers",
        )
    options = _repeating_once(settings, tenant_id=settings.tenant_id, client_id=settings.client_id)
    if os.environ.get(BINDING):
        # Microsoft Entra itself does not accept the token of a pod with an identity binding.
        version = importlib.import_module("azure.identity").__version__
        if tuple(map(int, re.findall("[0-9]+", version)[:2])) < _BINDINGS_SINCE:
            raise InvalidArgument(
                "auth_method",
                f"workload_identity cannot be used here: this pod has an identity binding of AKS ({BINDING} is "
                f"set), which azure-identity {version} does not support; install version 1.27 or later",
            )
        # The cluster's address is reached without a proxy, and has a certificate authority of its own.
        options |= {"enable_azure_proxy": True, "use_env_settings": False}
    return options


class _Method(NamedTuple):
    """How the credential of one ``auth_method`` is built.

    Attributes:
        credential: The name of the class, in both azure.identity and azure.identity.aio.
        needs: The settings that must be present, each with the environment variable that may replace it.
        options: The class's keyword arguments.
        hint: The next step, if the answer itself does not suggest one.
    """

    credential: str
    needs: dict[str, str]
    options: Callable[[WorkspaceSettings], dict[str, Any]]
    hint: str = ""


_METHODS = {
    "default": _Method(
        "DefaultAzureCredential",
        {},
        # Omitted if empty: None would hide AZURE_CLIENT_ID.
        lambda s: _entra(
            s,
            managed_identity_client_id=s.client_id,
            workload_identity_client_id=s.client_id,
            workload_identity_tenant_id=s.tenant_id,
        ),
        "Give one of these what it lacks, or set auth_method to the one that you want.",
    ),
    "client_secret": _Method(
        "ClientSecretCredential",
        {"tenant_id": "", "client_id": "", "secret": ""},
        lambda s: _repeating_once(s, tenant_id=s.tenant_id, client_id=s.client_id, client_secret=s.secret),
    ),
    # The chain is not sent (Subject Name/Issuer authentication): the credential for event loops cannot do it.
    "client_certificate": _Method(
        "CertificateCredential",
        {"tenant_id": "", "client_id": "", "has_certificate": ""},
        lambda s: _repeating_once(
            s,
            tenant_id=s.tenant_id,
            client_id=s.client_id,
            certificate_path=s.certificate_path,
            certificate_data=s.certificate,
            password=s.certificate_password,
        ),
    ),
    # Few options: the endpoint is on this host, and azure-identity's own timeouts suit it.
    "managed_identity": _Method(
        "ManagedIdentityCredential",
        {},
        # An endpoint on this host is reached without a proxy.
        lambda s: {**_given(client_id=s.client_id), "use_env_settings": False, "raw_response_hook": _limit_pause},
        "Check that this host has a managed identity, and that login is its client id, or empty for the "
        "system-assigned one.",
    ),
    "workload_identity": _Method(
        "WorkloadIdentityCredential",
        {"tenant_id": "AZURE_TENANT_ID", "client_id": "AZURE_CLIENT_ID"},
        _workload_identity,
    ),
    "azure_cli": _Method("AzureCliCredential", {}, lambda s: _given(tenant_id=s.tenant_id), AZ_LOGIN),
    "static_token": _Method("", {"secret": ""}, lambda _: {}),
}


def build_credential(settings: WorkspaceSettings) -> Credential:
    """Build the credential that the connection requests, without sending anything.

    Raises:
        InvalidArgument: A field that its ``auth_method`` requires is empty or cannot be used; the message names it.
    """
    return Credential(_build(settings, "azure.identity", StaticToken, for_loops=False))


def build_async_credential(settings: WorkspaceSettings) -> AsyncCredential:
    """Build the credential for an event loop; call it in a thread, because the first import takes about 300 ms.

    Raises:
        InvalidArgument: As for :func:`build_credential`.
    """
    return AsyncCredential(_build(settings, "azure.identity.aio", AsyncStaticToken, for_loops=True))


def get_token(credential: Credential, settings: WorkspaceSettings, scope: str) -> str:
    """Return a bearer token for this audience.

    Raises:
        CredentialError: No token was issued; the message has the identity, the answer and the next step.
        Unreachable: The identity provider could not be reached, or could not answer.
    """
    with explained(settings, _METHODS[settings.auth_method].hint):
        return credential.get_token(scope).token


async def get_async_token(credential: AsyncCredential, settings: WorkspaceSettings, scope: str) -> str:
    """The twin of :func:`get_token` for an event loop."""
    with explained(settings, _METHODS[settings.auth_method].hint):
        return (await credential.get_token(scope)).token


def _build(settings: WorkspaceSettings, module: str, static: Callable[[str], Any], *, for_loops: bool) -> Any:
    method = _METHODS[settings.auth_method]
    options = method.options(settings)
    for name, variable in method.needs.items():
        if not getattr(settings, name) and not os.environ.get(variable):
            instead = f", and so is {variable}" if variable else ""
            raise InvalidArgument(
                FIELDS.get(name, name), f"is empty{instead}; auth_method {settings.auth_method} needs it"
            )
    if settings.tenant_id and not re.fullmatch(r"[0-9A-Za-z.-]+", settings.tenant_id):
        raise InvalidArgument("tenant_id", f"is {settings.tenant_id!r}; write the tenant's id or one of its domains")
    if not method.credential:
        return static(settings.secret.reveal() if settings.secret else "")
    if asks_entra(settings):
        options.update(_route_options(settings, for_loops=for_loops))
    try:
        return getattr(importlib.import_module(module), method.credential)(**options)
    except Exception as error:
        # For a key that it cannot read, cryptography also raises errors of its own, which are not ValueErrors.
        if settings.auth_method == "client_certificate":
            raise _unusable_certificate(settings, error) from None
        if not isinstance(error, (OSError, ValueError)):
            raise
        raise InvalidArgument("auth_method", f"{settings.auth_method} cannot be used: {error}") from None


def _unusable_certificate(settings: WorkspaceSettings, error: Exception) -> InvalidArgument:
    path = settings.certificate_path or "the certificate"
    if isinstance(error, OSError):
        return InvalidArgument("certificate_path", f"{path} cannot be read here: {error.strerror}")
    # azure-identity wraps the message of cryptography, which distinguishes a wrong password from a wrong file.
    reason = str(error.__cause__ or error).rstrip(".")
    if "password" in reason.lower():
        return InvalidArgument("certificate_password", f"does not fit {path}: {reason}")
    if _decrypts_to_garbage(settings):
        return InvalidArgument(
            "certificate_password", f"does not fit {path}, or the key in it is damaged: the decrypted data is not a key"
        )
    return InvalidArgument(
        "certificate_path", f"{path} is not a PEM or PKCS12 file with a certificate and its RSA key: {reason}"
    )


def _decrypts_to_garbage(settings: WorkspaceSettings) -> bool:
    """Whether the password decrypts the private key of a PEM file, but not to a key.

    A wrong password usually shows in the padding of the decrypted bytes. Once in about 256 times that padding is right
    by chance, and cryptography reports an unreadable file instead. (PKCS12 has a checksum that detects it.)
    """
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415 - only for this error

    held = settings.certificate
    content = held.reveal() if held else Path(settings.certificate_path or "").read_bytes()
    if not settings.certificate_password or not _LOCKED_KEY.search(content):
        return False
    try:
        load_pem_private_key(content, settings.certificate_password.reveal().encode())
    except ValueError:
        return True
    return False
