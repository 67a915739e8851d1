"""Access: the workspace answers programs and its own pages, but not the pages of other sites."""

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
# Requests of our own pages, and addresses that a person enters.
_OWN_SITES = frozenset({"same-origin", "none"})
_MOST_SHOWN = 100


class Callers:
    """Recognises requests of other sites' pages; a browser sends requests for any page that it shows.

    Browsers identify such a page in ``Sec-Fetch-Site``, ``Origin`` or ``Referer``. The page can withhold only the
    ``Referer``; then a GET over plain http to any address except loopback looks like a GET of a program. A site whose
    name resolves to this machine (DNS rebinding) is recognised by its name in ``Host``. An address, or a name that only
    this machine resolves, cannot belong to such a site.

    Args:
        hosts: The names under which the workspace answers, besides ``localhost`` and addresses. Addresses among them
            are ignored.

    Raises:
        ValueError: One of the names is invalid.
    """

    def __init__(self, hosts: Iterable[str] = ()) -> None:
        self._hosts = {_checked(host) for host in hosts if not _is_address(host)}

    def refusal(self, headers: Headers, method: str, *, page: bool) -> ServiceError | None:
        """The refusal of a request; None if its caller may be answered. Other sites may link to pages for people."""
        authority = headers.get("Host", "")
        match = _AUTHORITY.fullmatch(authority)
        host = (match["address"] or match["name"]).lower().removesuffix(".") if match else ""
        if not self._knows(host):
            named = host if _NAME.fullmatch(host) else "NAME"
            return ServiceError(
                421,
                f"The workspace does not answer under the name {authority[:_MOST_SHOWN]!r}, because any web page could "
                "use a name that resolves to this machine. If the name is that of the workspace's machine, start the "
                f"workspace with --allowed-host {named[:_MOST_SHOWN]}.",
                code="MisdirectedRequest",
                inner="ForeignHost",
            )
        if _comes_from_elsewhere(headers, authority) and not (page and _is_navigation(headers, method)):
            return ServiceError(
                403,
                "The workspace does not answer pages of other sites, including other ports of this machine. "
                "It answers programs; in a browser, enter the address yourself.",
                code="Forbidden",
                inner="ForeignOrigin",
            )
        return None

    def _knows(self, host: str) -> bool:
        return host == "localhost" or host.endswith(".localhost") or host in self._hosts or _is_address(host)


def _checked(host: str) -> str:
    if not _NAME.fullmatch(host):
        raise ValueError(f"{host!r} is not the name or address of a machine; leave out scheme, port, path and brackets")
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
        # Our pages send no Referer; some requests of such a page to itself have the Origin null.
        return not (_is_of(origin, authority) or (origin == "null" and site == "same-origin"))
    # Browsers send Sec-Fetch-Site only to https, localhost and 127.0.0.1.
    return site is None and referer is not None and not _is_of(referer, authority)


def _is_of(address: str, authority: str) -> bool:
    try:
        return urlsplit(address).netloc.lower() == authority.lower()
    except ValueError:
        return False


def _is_navigation(headers: Headers, method: str) -> bool:
    """Whether a browser tab shows the reply, so that the linking page cannot read it."""
    if method not in ("GET", "HEAD") or "Origin" in headers:
        return False
    fetch = headers.get("Sec-Fetch-Mode"), headers.get("Sec-Fetch-Dest")
    return fetch == ("navigate", "document") or (fetch == (None, None) and "Sec-Fetch-Site" not in headers)
