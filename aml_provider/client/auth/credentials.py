"""As whom: one row per ``auth_method`` says how its credential is built, for workers and for event loops alike.

azure-identity does the work. Here is what it leaves to its callers: which fields a method needs, a token kept until it
is nearly over, and errors that say what to change in the connection. Nothing of ``azure`` is imported before a
credential is built.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import os
import re
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from aml_provider.client.errors import AzureMLError, CredentialError, InvalidArgument, Unreachable
from aml_provider.client.http.environment import Proxies, Trust, way_to
from aml_provider.client.http.reply import Reply
from aml_provider.client.secret import Secret
from aml_provider.client.text import LONGEST, masked, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from azure.core.credentials import AccessToken

    from aml_provider.client.settings import WorkspaceSettings

__all__ = [
    "AsyncCredential",
    "Credential",
    "build_async_credential",
    "build_credential",
    "get_async_token",
    "get_token",
]

# A token is renewed this long before it ends; Azure's own clients do the same (azure-core, _authentication.py).
_RENEW_BEFORE = 300.0
_FOREVER = 253402300799  # the last second of the year 9999

# How a PEM file says that its key is encrypted, in PKCS#8 and in OpenSSL's older form.
_LOCKED_KEY = re.compile(rb"BEGIN ENCRYPTED PRIVATE KEY|Proc-Type: 4,ENCRYPTED")

# More of an answer is not searched for secrets, and not shown.
_SEARCHED = 8 * LONGEST

# What a setting is called in the connection, where that differs.
_FIELDS = {"client_id": "login", "secret": "password", "has_certificate": "certificate_path"}

# azure-core would wait 300 s for a connection and try four times. Trying again later is the caller's, who has a budget
# for it; one immediate repeat covers a dropped connection.
_PATIENCE = {"connection_timeout": 10, "read_timeout": 30}
_ONE_REPEAT = {"retry_total": 1}
# The most seconds before that repeat, whatever the other side asks for.
_LONGEST_PAUSE = 30.0
_PAUSE_HEADERS = ("retry-after", "retry-after-ms", "x-ms-retry-after-ms")


def _limit_pause(response: Any) -> None:
    """Let an answer ask for no long pause: azure-core sleeps for as long as it says, and fails where it says nonsense.

    Args:
        response: What azure-core's pipeline passes to its hooks.
    """
    headers = response.http_response.headers
    said = {name: str(headers.pop(name)) for name in _PAUSE_HEADERS if name in headers}
    asked = Reply(response.http_response.status_code, {**said, "date": headers.get("date", "")}, b"", "").retry_after()
    if asked is not None:
        headers["Retry-After"] = str(min(asked, _LONGEST_PAUSE))


def _way(settings: WorkspaceSettings, *, for_loops: bool) -> dict[str, Any]:
    """The way to Microsoft Entra as our own requests take it.

    Left alone, requests and aiohttp read the environment each in its own way: the one goes through ALL_PROXY and trusts
    REQUESTS_CA_BUNDLE, the other does not. Other hosts, the identity endpoints of this one, are asked without a proxy.

    Raises:
        InvalidArgument: A variable cannot be used; the message names it.
    """
    options: dict[str, Any] = {"use_env_settings": False}
    proxies = Proxies.of_environment()
    # Within `default`, workload identity asks where its webhook says.
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
    # aiohttp has read SSL_CERT_FILE and SSL_CERT_DIR itself, and would read a file anew with each request.
    if trust.variable and not (for_loops and trust.variable.startswith("SSL_")):
        if for_loops and trust.directory:
            raise trust.refused("is a directory, which sign-in in the triggerer cannot use; name a file")
        options["connection_verify"] = trust.directory or trust.path
    return options


def _host(authority: str) -> str:
    return authority.removeprefix("https://").partition("/")[0]


def _entra(settings: WorkspaceSettings) -> dict[str, Any]:
    """What every credential that asks Microsoft Entra is told.

    Instance discovery is off: it validates authorities, and ours are a table in the code. msal would ask for it after
    each refusal (application.py, _get_authority_aliases), and in a closed network its failure hides the refusal.
    """
    options = {"disable_instance_discovery": True, "raw_response_hook": _limit_pause}
    return {"authority": settings.cloud.authority, **options, **_PATIENCE}


def _asks_entra(settings: WorkspaceSettings) -> bool:
    """Whether Microsoft Entra is asked by this process, rather than an endpoint on this host or another program."""
    if settings.auth_method == "managed_identity":
        # In a pod with the workload identity webhook, azure-identity uses that.
        return bool(os.environ.get("AZURE_FEDERATED_TOKEN_FILE"))
    return settings.auth_method not in {"azure_cli", "static_token"}


def _given(**options: str | bytes | Secret[Any] | None) -> dict[str, Any]:
    return {name: value.reveal() if isinstance(value, Secret) else value for name, value in options.items() if value}


def _workload_identity(settings: WorkspaceSettings) -> dict[str, Any]:
    if not os.environ.get("AZURE_FEDERATED_TOKEN_FILE"):
        raise InvalidArgument(
            "auth_method",
            "workload_identity needs AZURE_FEDERATED_TOKEN_FILE, which the webhook sets in pods labelled "
            "azure.workload.identity/use=true; label the pods of workers and triggerers",
        )
    return {**_entra(settings), **_ONE_REPEAT, **_given(tenant_id=settings.tenant_id, client_id=settings.client_id)}


class _Method(NamedTuple):
    """How the credential of one ``auth_method`` is built.

    Attributes:
        credential: The class, by its name in both azure.identity and azure.identity.aio.
        needs: The settings that must be there, each with the environment variable that may stand in for it.
        options: The class's keyword arguments.
        hint: The next step where the answer itself does not suggest one.
    """

    credential: str
    needs: dict[str, str]
    options: Callable[[WorkspaceSettings], dict[str, Any]]
    hint: str = ""


_METHODS = {
    "default": _Method(
        "DefaultAzureCredential",
        {},
        lambda s: {
            **_entra(s),
            # Left out where there is none: None would hide AZURE_CLIENT_ID.
            **_given(
                managed_identity_client_id=s.client_id,
                workload_identity_client_id=s.client_id,
                workload_identity_tenant_id=s.tenant_id,
            ),
        },
        "Give one of these what it lacks, or name the one that you mean as auth_method.",
    ),
    "client_secret": _Method(
        "ClientSecretCredential",
        {"tenant_id": "", "client_id": "", "secret": ""},
        lambda s: {
            **_entra(s),
            **_ONE_REPEAT,
            **_given(tenant_id=s.tenant_id, client_id=s.client_id, client_secret=s.secret),
        },
    ),
    # The chain is not sent (Subject Name/Issuer authentication): the credential for event loops cannot.
    "client_certificate": _Method(
        "CertificateCredential",
        {"tenant_id": "", "client_id": "", "has_certificate": ""},
        lambda s: {
            **_entra(s),
            **_ONE_REPEAT,
            **_given(
                tenant_id=s.tenant_id,
                client_id=s.client_id,
                certificate_path=s.certificate_path,
                certificate_data=s.certificate,
                password=s.certificate_password,
            ),
        },
    ),
    # Little else: the endpoint is on this host, and azure-identity's patience with it is tuned to it.
    "managed_identity": _Method(
        "ManagedIdentityCredential",
        {},
        # No proxy leads to an endpoint on this host.
        lambda s: {**_given(client_id=s.client_id), "use_env_settings": False, "raw_response_hook": _limit_pause},
        "Has this host a managed identity? Then login is its client id, or empty for the system-assigned one.",
    ),
    "workload_identity": _Method(
        "WorkloadIdentityCredential",
        {"tenant_id": "AZURE_TENANT_ID", "client_id": "AZURE_CLIENT_ID"},
        _workload_identity,
    ),
    "azure_cli": _Method(
        "AzureCliCredential",
        {},
        lambda s: _given(tenant_id=s.tenant_id),
        "Run `az login` as the user of workers and triggerers.",
    ),
    "static_token": _Method("", {"secret": ""}, lambda _: {}),
}

_RENEW = "Put a current client secret of the application, its value and not its id, into the connection's password."
_CHECK_APPLICATION = "Check login (the application's client id) and tenant_id."
_CHECK_TENANT = "Check tenant_id, and cloud: each cloud has tenants of its own."
_CHECK_CERTIFICATE = "Upload the certificate in certificate_path to the application."
_CHECK_FEDERATION = "Compare the federated credential of the identity with this pod: issuer, subject and audience."
_AZ_LOGIN = _METHODS["azure_cli"].hint

# The next step by what was said, the first match wins. For people only: Microsoft may change the codes at any time
# (learn.microsoft.com/entra/identity-platform/reference-error-codes).
_HINTS = (
    (re.compile(r"AADSTS(70002|7000215|7000222)\b"), _RENEW),
    (re.compile(r"AADSTS(700011|700016)\b"), _CHECK_APPLICATION),
    (re.compile(r"AADSTS(70001|7000112)\b"), "The application is disabled in this tenant; enable it."),
    (re.compile(r"AADSTS(90002|900023|90038|900382|900432)\b|get authority configuration"), _CHECK_TENANT),
    (re.compile(r"AADSTS(50012|700027|700030)\b"), _CHECK_CERTIFICATE),
    (re.compile(r"AADSTS(700024|50013)\b"), "Compare the clock of this host with the time: is it wrong?"),
    (re.compile(r"AADSTS(70021|70021\d|700213\d)\b"), _CHECK_FEDERATION),
    (re.compile(r"AADSTS500011\b"), "This tenant does not know Azure Resource Manager of the connection's cloud."),
    (re.compile(r"AADSTS(53003|530032|530035)\b"), "A Conditional Access policy of the tenant forbids it."),
    (re.compile(r"^Azure CLI not found"), f"Install the Azure CLI where workers and triggerers run. {_AZ_LOGIN}"),
)

# Answers that Microsoft describes as passing. The credentials for workers hide the status that would tell.
_PASSING = re.compile(r"AADSTS(50033|50196|90006|90012|90024|90033|90055)\b|HTTP (Error|status): (429|5\d\d)\b")

# What azure-identity puts around an answer.
_WRAPPING = re.compile(r"Microsoft Entra ID error '\(\w+\) ((?:.|\n)*?)'(\nContent: .*)?(?=\n|$)")
_SMALL_TALK = re.compile(
    r"(To mitigate this issue, please refer to the troubleshooting guidelines here at|Visit|"
    r"See the troubleshooting guide for more information:) https://aka\.ms/\S+( to\s+troubleshoot this issue\.)?"
    r"|\b\w+Credential authentication unavailable[.,] (?=\S)|Authentication failed: "
)
# How aiohttp shows which certificates count.
_OBJECT = re.compile(r" ssl:(default|<[^>]*>)")
# An answer inside one that tells less: msal says only that a tenant's configuration cannot be had.
_BURIED = re.compile(r'AADSTS\d+: [^"]+')


class Credential:
    """A credential for workers whose tokens are kept: the Azure CLI would start a process for each."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._kept: dict[tuple[str, ...], AccessToken] = {}

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """Return a token for these scopes; with options, one that is made for them and not kept."""
        if options:
            token: AccessToken = self._inner.get_token(*scopes, **options)
            return token
        kept = self._kept.get(scopes)
        if kept is None or kept.expires_on - time.time() < _RENEW_BEFORE:
            kept = self._kept[scopes] = self._inner.get_token(*scopes)
        return kept

    def close(self) -> None:
        """Close its connections."""
        self._inner.close()


class AsyncCredential:
    """A credential for one event loop, the twin of :class:`Credential`.

    Whoever needs a token that is being asked for waits for that answer, good or bad: a triggerer that starts with a
    thousand waits asks once.
    """

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._kept: dict[tuple[str, ...], AccessToken] = {}
        self._asking: dict[tuple[str, ...], asyncio.Task[AccessToken]] = {}

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """Return a token for these scopes; with options, one that is made for them and not kept."""
        if options:
            token: AccessToken = await self._inner.get_token(*scopes, **options)
            return token
        kept = self._kept.get(scopes)
        if kept is not None and kept.expires_on - time.time() >= _RENEW_BEFORE:
            return kept
        if scopes not in self._asking:
            self._asking[scopes] = asyncio.create_task(self._ask(*scopes))
        # Who stops waiting must not take the answer from the others.
        return await asyncio.shield(self._asking[scopes])

    async def _ask(self, *scopes: str) -> AccessToken:
        try:
            token: AccessToken = await self._inner.get_token(*scopes)
            self._kept[scopes] = token
            return token
        finally:
            del self._asking[scopes]

    async def close(self) -> None:
        """Close its connections."""
        asking = list(self._asking.values())
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        await self._inner.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        await self.close()


class _StaticToken:
    """The connection's password, used as the token as it is."""

    def __init__(self, token: str) -> None:
        from azure.core.credentials import AccessToken  # noqa: PLC0415 - see the module's docstring

        self._token = AccessToken(token, _FOREVER)

    def get_token(self, *_: str, **__: Any) -> AccessToken:
        return self._token

    def close(self) -> None:
        pass


class _AsyncStaticToken:
    def __init__(self, token: str) -> None:
        self._sync = _StaticToken(token)

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        return self._sync.get_token(*scopes, **options)

    async def close(self) -> None:
        pass


def build_credential(settings: WorkspaceSettings) -> Credential:
    """Build the credential that the connection asks for, without sending anything.

    Raises:
        InvalidArgument: A field that its ``auth_method`` needs is empty or cannot be used; named as in the connection.
    """
    return Credential(_build(settings, "azure.identity", _StaticToken, for_loops=False))


def build_async_credential(settings: WorkspaceSettings) -> AsyncCredential:
    """Build the same for an event loop, best in a thread: the first time imports for some 300 ms.

    Raises:
        InvalidArgument: As :func:`build_credential`.
    """
    return AsyncCredential(_build(settings, "azure.identity.aio", _AsyncStaticToken, for_loops=True))


def get_token(credential: Credential, settings: WorkspaceSettings, scope: str) -> str:
    """Return a bearer token for this audience.

    Raises:
        CredentialError: There is none to be had; says who asked, what the answer was and what to change.
        Unreachable: The identity provider could not be asked, or could not answer.
    """
    with _explained(settings):
        return credential.get_token(scope).token


async def get_async_token(credential: AsyncCredential, settings: WorkspaceSettings, scope: str) -> str:
    """Return a bearer token for this audience.

    Raises:
        CredentialError: There is none to be had; says who asked, what the answer was and what to change.
        Unreachable: The identity provider could not be asked, or could not answer.
    """
    with _explained(settings):
        return (await credential.get_token(scope)).token


def _build(settings: WorkspaceSettings, module: str, static: Callable[[str], Any], *, for_loops: bool) -> Any:
    method = _METHODS[settings.auth_method]
    options = method.options(settings)
    for name, variable in method.needs.items():
        if not getattr(settings, name) and not os.environ.get(variable):
            instead = f", and so is {variable}" if variable else ""
            raise InvalidArgument(
                _FIELDS.get(name, name), f"is empty{instead}; auth_method {settings.auth_method} needs it"
            )
    if settings.tenant_id and not re.fullmatch(r"[0-9A-Za-z.-]+", settings.tenant_id):
        raise InvalidArgument("tenant_id", f"is {settings.tenant_id!r}; write the tenant's id or one of its domains")
    if not method.credential:
        return static(settings.secret.reveal() if settings.secret else "")
    if _asks_entra(settings):
        options.update(_way(settings, for_loops=for_loops))
    try:
        return getattr(importlib.import_module(module), method.credential)(**options)
    except Exception as error:
        # Of a key that it cannot read, cryptography raises errors of its own too, which are no ValueError.
        if settings.auth_method == "client_certificate":
            raise _unusable_certificate(settings, error) from None
        if not isinstance(error, (OSError, ValueError)):
            raise
        raise InvalidArgument("auth_method", f"{settings.auth_method} cannot be used: {error}") from None


def _unusable_certificate(settings: WorkspaceSettings, error: Exception) -> InvalidArgument:
    path = settings.certificate_path or "the certificate"
    if isinstance(error, OSError):
        return InvalidArgument("certificate_path", f"{path} cannot be read here: {error.strerror}")
    # azure-identity puts its own words around those of cryptography, which tell a wrong password from a wrong file.
    reason = str(error.__cause__ or error).rstrip(".")
    if "password" in reason.lower():
        return InvalidArgument("certificate_password", f"does not fit {path}: {reason}")
    if _decrypts_to_garbage(settings):
        return InvalidArgument(
            "certificate_password", f"does not fit {path}, or the key in it is damaged: what it decrypts is no key"
        )
    return InvalidArgument(
        "certificate_path", f"{path} is not a PEM or PKCS12 file with a certificate and its RSA key: {reason}"
    )


def _decrypts_to_garbage(settings: WorkspaceSettings) -> bool:
    """Whether the password decrypts the private key of a PEM file, but not to a key.

    A wrong password shows in the padding of the decrypted bytes. Once in about 256 times that padding is right by
    chance, and cryptography reports an unreadable file instead. (PKCS12 has a checksum, which a wrong password fails.)
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


@contextmanager
def _explained(settings: WorkspaceSettings) -> Iterator[None]:
    from azure.core.exceptions import AzureError  # noqa: PLC0415 - see the module's docstring

    try:
        yield
    except (AzureError, OSError, ValueError) as error:
        raise _explain(settings, error) from None


def _explain(settings: WorkspaceSettings, error: Exception) -> AzureMLError:
    said = _said(settings, error)
    hint = next((hint for pattern, hint in _HINTS if pattern.search(said)), _METHODS[settings.auth_method].hint)
    # A list stands for itself, a sentence goes on.
    advice = ("\n" if "\n" in said else " ").join(filter(None, (said, hint)))
    way = way_to(settings.cloud.authority, said) if _asks_entra(settings) else ""
    if _is_outage(error):
        return Unreachable(f"{_identity(settings)}: the identity provider did not answer{way}: {advice}")
    # The chain shows the same text for a network that is down as for an identity that is missing.
    is_open = settings.auth_method == "default" and "AADSTS" not in said
    if is_open and re.search("connect", said, re.IGNORECASE):
        advice = f"{advice} Microsoft Entra was asked{way}." if way else advice
    refusal = CredentialError(f"{_identity(settings)}: no token: {advice}")
    refusal.permanent = not is_open
    return refusal


def _identity(settings: WorkspaceSettings) -> str:
    facts = [f"auth_method {settings.auth_method}"]
    for name, variable in {"tenant_id": "AZURE_TENANT_ID", "client_id": "AZURE_CLIENT_ID"}.items():
        value = getattr(settings, name)
        if value is None and settings.auth_method == "workload_identity":
            value = os.environ.get(variable)
        if value:
            facts.append(f"{_FIELDS.get(name, name)} {value}")
    return ", ".join([*facts, f"cloud {settings.cloud.name}"])


def _said(settings: WorkspaceSettings, error: Exception) -> str:
    """What the other side said: one line, or one line for each credential of a chain."""
    text = (str(getattr(error, "message", None) or error) or type(error).__name__)[:_SEARCHED]
    if "AADSTS" not in text:
        buried = next(filter(None, (_BURIED.search(str(link)) for link in _links(error))), None)
        text = buried[0].replace(r"\r\n", " ") if buried else text
    text = _SMALL_TALK.sub("", _WRAPPING.sub(r"\1", text))
    secrets = [secret.reveal() for secret in (settings.secret, settings.certificate_password) if secret]
    for secret in secrets:
        # Also a short one.
        text = text.replace(secret, "***")
    text = _OBJECT.sub("", Proxies.of_environment().hidden(text))
    lines = [one_line(masked(" ".join(line.split()), secrets)) for line in text.split("\n\t")]
    said = "\n  ".join(line for line in lines if line)
    return said if said.endswith((".", "!", "?")) else f"{said}."


def _links(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_outage(error: Exception) -> bool:
    """Whether the provider could not be asked, or could not answer; azure-identity makes that look like a refusal."""
    from azure.core.exceptions import ServiceRequestError, ServiceResponseError  # noqa: PLC0415

    silent = (ServiceRequestError, ServiceResponseError, ConnectionError, TimeoutError, subprocess.TimeoutExpired)
    for link in _links(error):
        status = getattr(link, "status_code", None) or 0
        if isinstance(link, silent) or _PASSING.search(str(link)) or status in {408, 429} or status >= 500:
            return True
    return False
