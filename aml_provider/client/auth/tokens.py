"""Tokens of a credential, kept until they are about to expire."""

from __future__ import annotations

import base64
import json
import re
import time
from typing import TYPE_CHECKING, Any, Self

from aml_provider.client.in_flight import InFlight

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken

# A token is renewed this long before it ends; Azure's own clients do the same (azure-core, _authentication.py).
_RENEW_BEFORE = 300.0
_FOREVER = 253402300799  # the last second of the year 9999


# Ids and words, which can go into a command line as they are.
_PLAIN = re.compile(r"[0-9A-Za-z._-]{1,100}")
_CLAIMS = ("oid", "appid", "idtyp")


def identity_of(token: str) -> dict[str, str]:
    """The identity that a token of Microsoft Entra is for; empty if the token does not say.

    Returns:
        The claims ``oid`` (the object id), ``appid`` (the client id) and ``idtyp`` (``app`` or ``user``), as far as
        the token has them. Nothing is verified: they are for messages.
    """
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, ValueError, RecursionError):
        return {}
    if not isinstance(claims, dict):
        return {}
    found = {name: claims.get(name) for name in _CLAIMS}
    return {name: value for name, value in found.items() if isinstance(value, str) and _PLAIN.fullmatch(value)}


class Credential:
    """A credential for workers that caches its tokens.

    Without the cache, each request would make the Azure CLI start a process to get a token.
    """

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._kept: dict[str, AccessToken] = {}

    def get_token(self, scope: str) -> AccessToken:
        """Return a token for this audience."""
        kept = self._kept.get(scope)
        if kept is None or kept.expires_on - time.time() < _RENEW_BEFORE:
            kept = self._kept[scope] = self._inner.get_token(scope)
        return kept

    def close(self) -> None:
        """Close its connections."""
        self._inner.close()


class AsyncCredential:
    """A credential for one event loop, the twin of :class:`Credential`.

    Callers that need the same token at the same time share one request and its result or error: a triggerer that starts
    with a thousand waits requests one token.
    """

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._kept: dict[str, AccessToken] = {}
        self._asking: InFlight[AccessToken] = InFlight()

    async def get_token(self, scope: str) -> AccessToken:
        """Return a token for this audience."""
        kept = self._kept.get(scope)
        if kept is not None and kept.expires_on - time.time() >= _RENEW_BEFORE:
            return kept
        return await self._asking.result(scope, lambda: self._ask(scope))

    async def _ask(self, scope: str) -> AccessToken:
        token: AccessToken = await self._inner.get_token(scope)
        self._kept[scope] = token
        return token

    async def close(self) -> None:
        """Close its connections."""
        await self._asking.cancel()
        await self._inner.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class StaticToken:
    """The connection's password, which is the token."""

    def __init__(self, token: str) -> None:
        from azure.core.credentials import AccessToken  # noqa: PLC0415 - see the module's docstring

        self._token = AccessToken(token, _FOREVER)

    def get_token(self, _scope: str) -> AccessToken:
        """Return the password, whatever the audience."""
        return self._token

    def close(self) -> None:
        """There is nothing to close."""


class AsyncStaticToken:
    """The twin of :class:`StaticToken` for an event loop."""

    def __init__(self, token: str) -> None:
        self._sync = StaticToken(token)

    async def get_token(self, scope: str) -> AccessToken:
        """Return the password, whatever the audience."""
        return self._sync.get_token(scope)

    async def close(self) -> None:
        """There is nothing to close."""
