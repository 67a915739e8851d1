"""Who may ask: programs, and browsers that show this workspace's own pages."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aml_provider.emulator.workspace.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.datastructures import Headers

_NAME = re.compile(r"(?i)[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?")
_AUTHORITY = re.compile(r"(?:\[(?P<address>[^][/]+)\]|(?P<name>[^][:/?#@\s]+))(?::\d{1,5})?")
# Of a request that a page of ours sends, and of an address that a person types.
_OWN_SITES = frozenset({"same-origin", "none"})
_MOST_SHOWN = 100


class Callers:
    """Tells the pages of other sites from everybody else; a browser sends requests for whichever page it shows.

    A page of another site cannot change how its browser calls it: by ``Sec-Fetch-Site``, ``Origin`` or ``Referer``. It
    can withhold the last; then a GET over plain http to anything but loopback looks like a program's. A site that
    pretends to be this machine, as its name resolves to a loopback address (DNS rebinding), is told by the name. A name
    that resolves on the machine itself, or an address, cannot be such a site's.

    Args:
        hosts: The names under which the workspace answers, beside ``localhost`` and addresses. Addresses may be among
            them.

    Raises:
        ValueError: One of the names is none.
    """

    def __init__(self, hosts: Iterable[str] = ()) -> None:
        self._hosts = {_checked(host) for host in hosts if not _is_address(host)}

    def refusal(self, headers: Headers, method: str, *, page: bool) -> ServiceError | None:
        """Why a request is not answered, if it is not.

        Args:
            headers: Its headers.
            method: Its method.
            page: Whether people look at what it asks for. Links of other sites may lead there.
        """
        authority = headers.get("Host", "")
        match = _AUTHORITY.fullmatch(authority)
        host = (match["address"] or match["name"]).lower().removesuffix(".") if match else ""
        if not self._knows(host):
            named = host if _NAME.fullmatch(host) else "NAME"
            return ServiceError(
                421,
                f"The workspace does not answer under the name {authority[:_MOST_SHOWN]!r}: any web page could ask for "
                "it under a name of its own. If it is a name of the machine that the workspace runs on, start it with "
                f"--allowed-host {named[:_MOST_SHOWN]}.",
                code="MisdirectedRequest",
                inner="ForeignHost",
            )
        if _comes_from_elsewhere(headers, authority) and not (page and _is_navigation(headers, method)):
            return ServiceError(
                403,
                "The workspace does not answer to the pages of other sites, other ports of this machine included. "
                "Programs are answered; in a browser, enter the address itself.",
                code="Forbidden",
                inner="ForeignOrigin",
            )
        return None

    def _knows(self, host: str) -> bool:
        return host == "localhost" or host.endswith(".localhost") or host in self._hosts or _is_address(host)


def _checked(host: str) -> str:
    if not _NAME.fullmatch(host):
        raise ValueError(
            f"{host!r} is no name or address of a machine; leave out scheme, port, path and the brackets of an address"
        )
    return host.lower()


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _comes_from_elsewhere(headers: Headers, authority: str) -> bool:
    site, origin, referer = (headers.get(name) for name in ("Sec-Fetch-Site", "Origin", "Referer"))
    if site is not None and site not in _OWN_SITES:
        return True
    if origin is not None:
        # Pages that send no Referer, as ours, have no Origin in some requests to themselves.
        return not (_is_of(origin, authority) or (origin == "null" and site == "same-origin"))
    # What is no address of https, localhost or 127.0.0.1 gets no Sec-Fetch-Site.
    return site is None and referer is not None and not _is_of(referer, authority)


def _is_of(address: str, authority: str) -> bool:
    try:
        return urlsplit(address).netloc.lower() == authority.lower()
    except ValueError:
        return False


def _is_navigation(headers: Headers, method: str) -> bool:
    """Whether a tab of the browser shows the reply, and the page that led there cannot read it."""
    if method not in ("GET", "HEAD") or "Origin" in headers:
        return False
    told = headers.get("Sec-Fetch-Mode"), headers.get("Sec-Fetch-Dest")
    return told == ("navigate", "document") or (told == (None, None) and "Sec-Fetch-Site" not in headers)
