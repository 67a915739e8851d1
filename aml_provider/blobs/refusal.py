"""The error for a request that a storage account refuses: it names the reason and the next step."""

from __future__ import annotations

import html
import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from aml_provider.client.errors import BadRequest, NotFound, PermissionDenied, ServerFault, ServiceError, Throttled
from aml_provider.client.text import masked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aml_provider.blobs.access import ContainerAccess, Right
    from aml_provider.client.http.reply import Reply


_DETAIL = re.compile(rb"<AuthenticationErrorDetail>(?:<!\[CDATA\[)?([^<]*)")
_SIGNED = re.compile(r"string\W*to\W*sign|canonicali[sz]ed", re.IGNORECASE)
# Text as long as a signature, in base64 and URL-encoded.
_SIGNATURE = re.compile(r"[A-Za-z0-9+/%]{40,}=*")

# The sr= of a SAS for one blob, one version or one snapshot.
_SINGLE = frozenset({"b", "bv", "bs"})

_ANY = (
    "an identity needs the role {right.role!r} on the {right.place}, a SAS the permission to {right.words}, and the "
    "account's firewall must let this host in"
)
_BY_CODE = {
    "AuthorizationSourceIPMismatch": "the SAS is for requests from {sip} only",
    "AuthorizationProtocolMismatch": "the SAS is for {spr} only",
    "AuthorizationServiceMismatch": "the SAS is for other services; it must be for blobs (ss={ss}, needed: b)",
    "AuthorizationResourceTypeMismatch": (
        "the SAS is for other kinds of resources (srt={srt}; containers and queues are c, blobs and messages are o, "
        "and both are needed)"
    ),
    "AuthorizationFailure": (
        "the account's firewall, or the lack of a private endpoint from here, is the usual reason: let this host's "
        "network in"
    ),
    "KeyBasedAuthenticationNotPermitted": (
        "the account accepts neither account keys nor SAS made from them; use an identity that has the role "
        "{right.role!r} on the {right.place}"
    ),
    "AccountIsDisabled": "the storage account is disabled",
}


def refusal(
    operation: str, url: str, access: ContainerAccess, right: Right, reply: Reply, *, begun: bool = False
) -> ServiceError:
    """The error for a refused request; it says what a person can do about it.

    ``begun`` means that the same access was enough for the previous request.
    """
    kind: type[ServiceError] = BadRequest
    hint = ""
    code, message = error_facts(reply.body)
    code = code or reply.headers.get("x-ms-error-code", "")
    if reply.status in {401, 403}:
        now = datetime.fromtimestamp(time.time(), UTC)
        message = " ".join(filter(None, (message, detail_of(reply.body))))
        signed = dict(access.signature(url, right))
        reason = reason_of(code, message, access.kind, signed, right, reply.date() or now)
        if reply.is_page:
            reason = "a proxy or a gateway has answered with its own page, not the storage account"
            message = message or reply.excerpt()
        # Not permanent if it worked before: a token or SAS that has expired meanwhile is read again for the next poll.
        kind = ServiceError if begun else PermissionDenied
        hint = f"{url} was refused to {access.kind}"
        if begun:
            hint = f"The right to {url}, {access.kind}, ended while it was in use"
        hint = f"{hint}: {reason}.{reply.on_clocks(now)}"
    elif reply.status == 404:
        # Without a code it may be the answer of a proxy: it proves nothing, and may pass.
        kind = NotFound if code else ServerFault
        hint = f"Is there a {right.place} {url}?"
        if not code:
            hint += " Azure gives an error code with each 404, and this one has none: a proxy may have answered."
    elif reply.status == 412 and code.startswith("Lease"):
        hint = f"Somebody holds a lease on a blob of {url} that is written here; break the lease"
    elif reply.status == 429:
        kind = Throttled
    elif reply.status >= 500 or reply.status == 408:
        kind = ServerFault
    ids = [f"x-ms-client-request-id={reply.request_id}"]
    if "x-ms-request-id" in reply.headers:
        ids.append(reply.clean(f"x-ms-request-id={reply.headers['x-ms-request-id']}"))
    return kind(
        operation,
        status=reply.status,
        code=reply.clean(code),
        message=reply.clean(message),
        request_ids=ids,
        retry_after=reply.retry_after(),
        hint=hint,
    )


def error_facts(body: bytes) -> tuple[str, str]:
    """The code and the message in the storage service's error document; each is empty if it is missing."""
    code, message = (
        found[1].decode(errors="replace") if (found := re.search(pattern, body[:4096])) else ""
        for pattern in (rb"<Code>([^<]*)</Code>", rb"<Message>([^<\r\n]*)")
    )
    return code, message


def detail_of(body: bytes) -> str:
    """The service's detail about the credential, without signatures and without the text that was signed."""
    found = _DETAIL.search(body[:8192])
    if found is None:
        return ""
    text = html.unescape(found[1].decode(errors="replace"))
    signed = _SIGNED.search(text)
    if signed is not None:
        # Remove the sentence that repeats the signed text, and everything after it.
        text = text[: max(text.rfind(mark, 0, signed.start()) for mark in ".:") + 1]
    return " ".join(_SIGNATURE.sub("***", masked(text)).split())


def reason_of(code: str, message: str, kind: str, signed: Mapping[str, str], right: Right, there: datetime) -> str:
    """A phrase: why a request was refused, and what to do.

    Args:
        code: The service's error code.
        message: The service's error message.
        kind: The kind of access, see :attr:`ContainerAccess.kind`.
        signed: The parameters of the SAS; empty where a bearer token was sent.
        right: The right that the operation needs.
        there: When the request was refused, by the service's clock.
    """
    begins, ends = _moment(signed.get("st")), _moment(signed.get("se"))
    key_ends = _moment(signed.get("ske"))
    if key_ends is not None and key_ends <= there and (ends is None or key_ends < ends):
        return f"the key that signed the SAS ended at {key_ends:%Y-%m-%dT%H:%M:%SZ}; make a new one, with a new key"
    if ends is not None and ends <= there:
        if kind == "a SAS":
            return f"the SAS ended at {ends:%Y-%m-%dT%H:%M:%SZ}; put a current one in its place"
        return "the SAS that was made from the account key had ended before it arrived; set this host's clock"
    if begins is not None and begins > there:
        return f"the SAS begins at {begins:%Y-%m-%dT%H:%M:%SZ}, which is in the future"
    if right.place == "queue" and ("sr" in signed or "q" not in signed.get("ss", "q")):
        of_blobs = f"sr={signed['sr']}" if "sr" in signed else f"ss={signed['ss']}"
        return (
            f"the SAS is for blobs only ({of_blobs}); a queue needs an account SAS for blobs and queues (ss=bq), an "
            "account key or an identity"
        )
    missing = "".join(letter for letter in right.letters if "sp" in signed and letter not in signed["sp"])
    if missing:
        return (
            f"an identity needs the role {right.role!r} there, a SAS the permission to {right.words}; this SAS has "
            f"sp={signed['sp']} and lacks {missing}"
        )
    if code == "AuthorizationPermissionMismatch" and "skoid" in signed:
        return (
            f"the identity that made the SAS (object id {signed['skoid']}) needs the role {right.role!r} on the "
            f"{right.place}; a new assignment takes some minutes"
        )
    if code == "AuthorizationPermissionMismatch" and not signed:
        return f"the identity needs the role {right.role!r} on the {right.place}; a new assignment takes some minutes"
    # Azurite answers AuthorizationFailure for both.
    if code in {"AuthenticationFailed", "InvalidAuthenticationInfo"} or "failed to authenticate" in message:
        if not signed:
            return "the token was not accepted; check the tenant and the cloud of the identity"
        if "time frame" in message:
            return "the SAS, or the stored access policy that it names, is not valid at this time"
        if "si" in signed and "signed identifier" in message:
            return f"the container has no stored access policy {signed['si']!r}, which the SAS names; make a new one"
        if signed.get("sr", "c") in _SINGLE:
            return f"the SAS is for a single blob (sr={signed['sr']}); one for the whole container is needed (sr=c)"
        if kind == "a SAS":
            return (
                "the SAS was changed after it was made, is of another account or container, or the key that signed it "
                "was rotated or revoked; make a new one"
            )
        return (
            "the key is not one of the account's current keys; it may have been rotated, or belong to another account"
        )
    fields = {name: signed.get(name, "?") for name in ("sip", "spr", "ss", "srt")}
    return _BY_CODE.get(code, _ANY).format(right=right, **fields)


def _moment(text: str | None) -> datetime | None:
    """Read a time in a SAS: a day, alone or with a time of day in minutes or seconds."""
    try:
        found = datetime.fromisoformat((text or "").strip())
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
