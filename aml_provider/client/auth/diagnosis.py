"""Why a sign-in failed, and what to do about it."""

from __future__ import annotations

import logging
import os
import re
import subprocess
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from aml_provider.client.errors import AzureMLError, CredentialError, Unreachable
from aml_provider.client.help import sentence
from aml_provider.client.http.environment import Proxies, way_to
from aml_provider.client.text import LONGEST, masked, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aml_provider.client.settings import WorkspaceSettings

# Whether this package itself is asking for a token.
_SIGNING_IN: ContextVar[bool] = ContextVar("signing_in", default=False)
# The modules of azure-identity that log the error of a failed sign-in. A logger's filter does not apply to those below.
_WARNING = (
    "_internal.decorators",
    "_internal.get_token_mixin",
    "_internal.msal_managed_identity_client",
    "_credentials.chained",
)
# Longer answers are cut before they are searched for secrets, and shown.
_SEARCHED = 8 * LONGEST

#: The connection's names of settings, where they differ.
FIELDS = {"client_id": "login", "secret": "password", "has_certificate": "certificate_path"}

_RENEW = "Put a current client secret of the application, its value and not its id, into the connection's password."
_CHECK_APPLICATION = "Check login (the application's client id) and tenant_id."
_CHECK_TENANT = "Check tenant_id, and cloud: each cloud has tenants of its own."
_CHECK_CERTIFICATE = "Upload the certificate in certificate_path to the application."
_CHECK_FEDERATION = "Compare the federated credential of the identity with this pod: issuer, subject and audience."

#: A variable of pods with an identity binding of AKS: the cluster's own address for requests for tokens.
BINDING = "AZURE_KUBERNETES_TOKEN_PROXY"

#: The next step where the Azure CLI has no account.
AZ_LOGIN = "Run `az login` as the user of workers and triggerers."

# The assertion that was presented is not valid yet, or not any more.
_NOT_IN_TIME = r"AADSTS700024\b"

# The next step for a message; the first match wins. For people only: Microsoft may change the codes at any time
# (learn.microsoft.com/entra/identity-platform/reference-error-codes).
_HINTS = (
    (re.compile(r"AADSTS(70002|7000215|7000222)\b"), _RENEW),
    (re.compile(r"AADSTS(700011|700016)\b"), _CHECK_APPLICATION),
    (re.compile(r"AADSTS(70001|7000112)\b"), "The application is disabled in this tenant; enable it."),
    (re.compile(r"AADSTS(90002|900023|90038|900382|900432)\b|get authority configuration"), _CHECK_TENANT),
    (re.compile(r"AADSTS(50012|700027|700030)\b"), _CHECK_CERTIFICATE),
    (re.compile(rf"{_NOT_IN_TIME}|AADSTS50013\b"), "Check the clock of this host."),
    (re.compile(r"AADSTS(70021|70021\d|700213\d|70025)\b"), _CHECK_FEDERATION),
    (re.compile(r"AADSTS90061\b"), "The issuer of the federated credential must be reachable from the internet."),
    (re.compile(r"AADSTS500011\b"), "This tenant does not know Azure Resource Manager of the connection's cloud."),
    (re.compile(r"AADSTS(53003|530032|530035)\b"), "A Conditional Access policy of the tenant forbids it."),
    (re.compile(r"^Azure CLI not found"), f"Install the Azure CLI where workers and triggerers run. {AZ_LOGIN}"),
)
# Answers that Microsoft describes as temporary. The credentials for workers hide the HTTP status.
_PASSING = re.compile(r"AADSTS(50033|50196|90006|90012|90024|90033|90055)\b|HTTP (Error|status): (429|5\d\d)\b")
# The text that azure-identity wraps an answer in.
_WRAPPING = re.compile(r"Microsoft Entra ID error '\(\w+\) ((?:.|\n)*?)'(\nContent: .*)?(?=\n|$)")
_SMALL_TALK = re.compile(
    r"(To mitigate this issue, please refer to the troubleshooting guidelines here at|Visit|"
    r"See the troubleshooting guide for more information:) https://aka\.ms/\S+( to\s+troubleshoot this issue\.)?"
    r"|\b\w+Credential authentication unavailable[.,] (?=\S)|Authentication failed: "
)
# aiohttp's text for the certificates that it trusts.
_OBJECT = re.compile(r" ssl:(default|<[^>]*>)")
# An answer inside one that says less: msal reports only that it could not get a tenant's configuration.
_BURIED = re.compile(r'AADSTS\d+: [^"]+')


def asks_entra(settings: WorkspaceSettings) -> bool:
    """Whether this process itself requests tokens from Microsoft Entra, not a program or an endpoint nearby."""
    if settings.auth_method == "managed_identity":
        # In a pod with the workload identity webhook, azure-identity uses that.
        return bool(os.environ.get("AZURE_FEDERATED_TOKEN_FILE"))
    if settings.auth_method == "workload_identity":
        return not os.environ.get(BINDING)
    return settings.auth_method not in {"azure_cli", "static_token"}


@contextmanager
def explained(settings: WorkspaceSettings, hint: str) -> Iterator[None]:
    """Turn errors of azure-identity into ours, which have the identity, the answer and the next step.

    The next step is ``hint``, unless the answer itself suggests one.
    """
    from azure.core.exceptions import AzureError  # noqa: PLC0415 - see the module's docstring

    signing_in = _SIGNING_IN.set(True)
    try:
        yield
    except (AzureError, OSError, ValueError) as error:
        raise _explain(settings, error, hint) from None
    finally:
        _SIGNING_IN.reset(signing_in)


def drop_own_warnings() -> None:
    """Drop what azure-identity logs about failures of our own sign-ins, but not of others in this process.

    A failed sign-in becomes our error; what azure-identity writes before that may show a proxy's password. It writes a
    warning, and within a chain a line of the level DEBUG.
    """
    for package in ("azure.identity", "azure.identity.aio"):
        for module in _WARNING:
            logging.getLogger(f"{package}.{module}").addFilter(_is_wanted)


def _is_wanted(record: logging.LogRecord) -> bool:
    values = record.args if isinstance(record.args, tuple) else ()
    is_failure = record.exc_info or any(isinstance(value, BaseException) for value in values)
    return not _SIGNING_IN.get() or (record.levelno < logging.WARNING and not is_failure)


def _explain(settings: WorkspaceSettings, error: Exception, hint: str) -> AzureMLError:
    said = _said(settings, error)
    pod_token = _pod_token_at_fault(settings, error, said)
    if pod_token:
        hint = (
            f"Kubernetes writes the pod's token to {pod_token} and renews it before it ends. Check that the file is "
            "there and new, and the kubelet of the node; a new pod gets a new token."
        )
    else:
        hint = next((known for pattern, known in _HINTS if pattern.search(said)), hint)
    # After a list the hint is a line of its own, after a sentence it follows.
    advice = ("\n" if "\n" in said else " ").join(filter(None, (said, hint)))
    way = way_to(settings.cloud.authority, said) if asks_entra(settings) else ""
    if _is_outage(error):
        return Unreachable(f"{_identity(settings)}: the identity provider did not answer{way}: {advice}")
    # The chain reports a network outage and a missing identity with the same text.
    is_open = settings.auth_method == "default" and "AADSTS" not in said
    if is_open and re.search("connect", said, re.IGNORECASE):
        advice = f"{sentence(advice)} The request to Microsoft Entra went{way}." if way else advice
    refusal = CredentialError(f"{_identity(settings)}: no token: {advice}")
    # Another pod, or this one a minute later, has a token that is valid.
    refusal.permanent = not is_open and not pod_token
    return refusal


def _pod_token_at_fault(settings: WorkspaceSettings, error: Exception, said: str) -> str:
    """The file of the pod's Kubernetes token, if it is missing or its token is not valid at this time; else empty."""
    path = os.environ.get("AZURE_FEDERATED_TOKEN_FILE", "")
    if not path or settings.auth_method not in {"default", "managed_identity", "workload_identity"}:
        return ""
    # A chain of credentials keeps only the text of an error.
    is_unreadable = any(isinstance(link, OSError) and link.filename == path for link in _links(error))
    is_unreadable = is_unreadable or f"No such file or directory: {path!r}" in said
    return path if is_unreadable or re.search(_NOT_IN_TIME, said) else ""


def _identity(settings: WorkspaceSettings) -> str:
    facts = [f"auth_method {settings.auth_method}"]
    for name, variable in {"tenant_id": "AZURE_TENANT_ID", "client_id": "AZURE_CLIENT_ID"}.items():
        value = getattr(settings, name)
        if value is None and settings.auth_method == "workload_identity":
            value = os.environ.get(variable)
        if value:
            facts.append(f"{FIELDS.get(name, name)} {value}")
    return ", ".join([*facts, f"cloud {settings.cloud.name}"])


def _said(settings: WorkspaceSettings, error: Exception) -> str:
    """The other side's message: one line, or one line for each credential of a chain."""
    text = (str(getattr(error, "message", None) or error) or type(error).__name__)[:_SEARCHED]
    if "AADSTS" not in text:
        buried = next(filter(None, (_BURIED.search(str(link)) for link in _links(error))), None)
        text = buried[0].replace(r"\r\n", " ") if buried else text
    text = _SMALL_TALK.sub("", _WRAPPING.sub(r"\1", text))
    secrets = [secret.reveal() for secret in (settings.secret, settings.certificate_password) if secret]
    for secret in secrets:
        # Short ones too, which `masked` leaves.
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
    """Whether the provider could not be reached, or could not answer; azure-identity reports that like a refusal."""
    from azure.core.exceptions import ServiceRequestError, ServiceResponseError  # noqa: PLC0415

    silent = (
        ServiceRequestError,
        ServiceResponseError,
        ConnectionError,
        TimeoutError,
        subprocess.TimeoutExpired,
    )
    for link in _links(error):
        status = getattr(link, "status_code", None) or 0
        if isinstance(link, silent) or _PASSING.search(str(link)) or status in {408, 429} or status >= 500:
            return True
        if isinstance(link, KeyError) and link.args == ("error",):
            # msal before 1.33 reads the error of an answer that has none, such as a gateway's 503.
            return True
    return False
