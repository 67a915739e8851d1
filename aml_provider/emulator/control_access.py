"""Who may control the workspace, through the control API and with the buttons of the pages."""

from __future__ import annotations

import hmac
import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aml_provider.emulator.workspace.errors import ServiceError

if TYPE_CHECKING:
    from starlette.requests import Request


@dataclass(frozen=True, slots=True, repr=False)
class ControlAccess:
    """Access for callers with the control token; if there is no such token, for callers on this machine."""

    token: str | None

    def check(self, request: Request, given: str | None = None) -> None:
        """Refuse a caller who may not control the workspace.

        Args:
            request: The caller's request.
            given: The caller's token; None: the bearer token of the request.

        Raises:
            ServiceError: The token is missing or wrong (401), or the caller is on another machine (403).
        """
        if self.token is not None:
            value = bearer_token(request) if given is None else given
            # A form can contain lone surrogates, which cannot be encoded.
            if not hmac.compare_digest(value.encode(errors="replace"), self.token.encode()):
                raise ServiceError(401, "The control API needs its token.", code="Unauthorized")
        elif not is_on_this_machine(request):
            raise ServiceError(
                403, "Without a control token, the control API answers only to this machine.", code="Forbidden"
            )

    def offered(self, request: Request) -> bool:
        """Whether the caller may control the workspace, perhaps after giving the token."""
        return self.token is not None or is_on_this_machine(request)


def bearer_token(request: Request) -> str:
    """The token of a request; empty if it has none."""
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" else ""


def is_on_this_machine(request: Request) -> bool:
    """Whether a request comes from this machine."""
    try:
        address = ipaddress.ip_address(request.client.host if request.client is not None else "")
    except ValueError:
        # A proxy can report anything about its caller.
        return False
    # A socket for both families reports 127.0.0.1 as an IPv6 address.
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
