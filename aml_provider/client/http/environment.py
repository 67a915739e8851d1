"""The proxies and trusted certificates that this process's environment variables name.

httpx, requests and aiohttp each read these variables differently, and each fails on values that are meant for another
library. Here the variables are read once, for all of our requests. Entries that cannot be understood are ignored. If a
variable is needed and cannot be used, the error names it, but does not show its value, because a proxy's address may
hold a password.
"""

from __future__ import annotations

import base64
import functools
import importlib.util
import os
import re
import ssl
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self
from urllib.parse import unquote, urlsplit

from aml_provider.client.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Mapping
    from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

_PORTS = {"http": 80, "https": 443}
_SOCKS = frozenset({"socks5", "socks5h"})
# The first one that is set is used. The last two are for requests and curl, but are used if nothing else is set.
_BUNDLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
# A host, of IPv6 in brackets, and a port.
_NAME_AND_PORT = re.compile(r"(?P<name>\[[^\]]*\]|[^:]*)(?::(?P<port>[0-9]{0,5}))?")
# The login between the slashes and the host of an address.
_LOGIN = re.compile(r"(?<=//)[^/\s]*@")
# Shorter than this, a password is a word.
_WORD = 4


class Proxy(NamedTuple):
    """A proxy that a variable names.

    Attributes:
        variable: The variable.
        url: The proxy's address, with its user name and password if it has them.
    """

    variable: str
    url: str

    def __repr__(self) -> str:
        return f"Proxy({self.variable})"

    @property
    def is_socks(self) -> bool:
        """Whether it speaks SOCKS rather than HTTP."""
        return urlsplit(self.url).scheme in _SOCKS

    @property
    def place(self) -> str:
        """Its address without secrets, for messages."""
        return f"the proxy {urlsplit(self.url).netloc.rpartition('@')[2]} ({self.variable})"

    def hidden(self, text: str) -> str:
        """Remove the proxy's user name and password from a text: errors may show them, and the proxy may echo them."""
        text = _LOGIN.sub("***@", text)
        login = self.url.rpartition("@")[0].rpartition("//")[2]
        password = login.partition(":")[2]
        sent = base64.b64encode(unquote(login).encode()).decode()
        for form in sorted({login, password, unquote(password), sent}, key=len, reverse=True):
            if len(form) >= _WORD:
                text = text.replace(form, "***")
        return text

    def check(self) -> None:
        """Check that our HTTP client can use it.

        Raises:
            InvalidArgument: A package is missing.
        """
        if self.is_socks and importlib.util.find_spec("socksio") is None:
            raise self.refused(
                "names a SOCKS proxy, for which the package socksio is needed: install httpx[socks], or name an HTTP "
                "proxy"
            )

    def refused(self, problem: str) -> InvalidArgument:
        """The error for a proxy that cannot be used."""
        return InvalidArgument(self.variable, f"the environment variable {problem}")


class _Exception(NamedTuple):
    """An entry of NO_PROXY.

    Attributes:
        scheme: The scheme that it is for; empty: all.
        name: A host's name; it includes all hosts in its domain.
        network: A network, instead of a name.
        port: The port that it is for; None: all.
    """

    scheme: str = ""
    name: str = ""
    network: IPv4Network | IPv6Network | None = None
    port: int | None = None

    @classmethod
    def read(cls, entry: str) -> _Exception | None:
        """Read an entry as curl, requests and httpx write them; None if none of them understands it."""
        scheme, slashes, rest = entry.lower().rpartition("://")
        if not slashes or scheme == "all":
            scheme = ""
        network = _network(rest)
        if network is not None:
            return cls(scheme, network=network)
        parts = _NAME_AND_PORT.fullmatch(rest.rstrip("/"))
        if parts is None:
            return None
        port = int(parts["port"]) if parts["port"] else None
        network = _network(parts["name"].strip("[]"))
        name = _ascii(parts["name"].lstrip("*").strip("."))
        return cls(scheme, "" if network else name, network, port) if network or name else None

    def covers(self, scheme: str, host: str, address: IPv4Address | IPv6Address | None, port: int) -> bool:
        """Whether it includes an address."""
        if self.scheme not in {"", scheme} or self.port not in {None, port}:
            return False
        if self.network is not None:
            return address is not None and address.version == self.network.version and address in self.network
        return host == self.name or host.endswith(f".{self.name}")


class Proxies:
    """The proxies for requests.

    Args:
        named: The proxies by scheme: ``http``, ``https`` or ``all``.
        without: The value of NO_PROXY.
    """

    def __init__(self, named: Mapping[str, Proxy], without: str = "") -> None:
        self._named = {} if "*" in _entries(without) else named
        self._exceptions = _exceptions(without)
        self._known: dict[tuple[str, str, int | None], Proxy | None] = {}

    @classmethod
    def of_environment(cls) -> Self:
        """Read the variables of this process."""
        named = {name: Proxy(*_variable(name)) for name in ("http", "https", "all")}
        return cls({name: proxy for name, proxy in named.items() if proxy.url}, _variable("no")[1])

    def to(self, scheme: str, host: str, port: int | None = None) -> Proxy | None:
        """Find the proxy for a server, or None. Requests to this host never go through a proxy.

        Raises:
            InvalidArgument: The proxy's address cannot be used; the message names the variable.
        """
        key = (scheme, host, port)
        if key not in self._known:
            name = _ascii(host.lower().strip("[]").rstrip("."))
            self._known[key] = self._find(scheme, name, _PORTS.get(scheme, 0) if port is None else port)
        return self._known[key]

    def hidden(self, text: str) -> str:
        """Remove the user names and passwords of all proxies from a text."""
        for proxy in self._named.values():
            text = proxy.hidden(text)
        return text

    def to_url(self, url: str) -> Proxy | None:
        """Find the proxy for a URL, as :meth:`to` does for a server."""
        parts = urlsplit(url)
        return self.to(parts.scheme, parts.hostname or "", parts.port)

    def _find(self, scheme: str, host: str, port: int) -> Proxy | None:
        proxy = self._named.get(scheme) or self._named.get("all")
        network = _network(host)
        address = None if network is None else network.network_address
        # Plain http to this host is allowed because the token does not leave it.
        if proxy is None or host == "localhost" or (address is not None and address.is_loopback):
            return None
        if any(exception.covers(scheme, host, address, port) for exception in self._exceptions):
            return None
        return _checked(proxy)


class Trust(NamedTuple):
    """The place of the certificates of trusted authorities.

    Attributes:
        variable: The variable that names the place; empty: the certificates of a Python package are used.
        path: A file, or a directory; SSL_CERT_DIR can name several directories.
    """

    variable: str = ""
    path: str = ""

    @classmethod
    def of_environment(cls) -> Self:
        """Read the variables of this process.

        Raises:
            InvalidArgument: The path does not exist or cannot be read; the message names the variable.
        """
        variable = next((name for name in _BUNDLES if os.environ.get(name)), "")
        if not variable:
            return cls()
        trust = cls(variable, os.environ[variable])
        if variable == "SSL_CERT_DIR":
            if not trust.directory:
                raise trust.refused("is not a directory")
        elif variable == "SSL_CERT_FILE" and trust.directory:
            raise trust.refused("is a directory; use SSL_CERT_DIR for that")
        elif not trust.directory:
            try:
                Path(trust.path).open("rb").close()
            except OSError as error:
                raise trust.refused(f"cannot be read here: {error.strerror}") from None
        return trust

    @property
    def directory(self) -> str:
        """The directory, or the first of several that exists; empty if the path is a file."""
        places = self.path.split(os.pathsep) if self.variable == "SSL_CERT_DIR" else [self.path]
        return next(filter(os.path.isdir, places), "")

    def context(self) -> ssl.SSLContext | None:
        """Load the certificates, which takes 20 to 50 ms of CPU; returns None if no variable names any.

        Raises:
            InvalidArgument: They cannot be used; the message names the variable.
        """
        if not self.variable:
            return None
        try:
            if self.directory:
                return ssl.create_default_context(capath=self.path)
            return ssl.create_default_context(cafile=self.path)
        except (OSError, ValueError) as error:
            raise self.refused(f"cannot be read as such: {getattr(error, 'strerror', None) or error}") from None

    @property
    def words(self) -> str:
        """A description of what is trusted, for messages."""
        if not self.variable:
            return "the public authorities are trusted; set SSL_CERT_FILE to a file that also has yours"
        return f"the authorities in {self.path} are trusted, as {self.variable} says"

    def refused(self, problem: str) -> InvalidArgument:
        """The error for certificates that cannot be used."""
        return InvalidArgument(
            self.variable,
            f"the environment variable names {self.path!r}, which {problem}; it must name the certificates of the "
            "trusted authorities, as PEM",
        )


def _variable(name: str) -> tuple[str, str]:
    """The variable that is used, and its value; an empty lower-case variable overrides the upper-case one."""
    lower = f"{name}_proxy"
    # In a CGI script, HTTP_PROXY holds the value of a request's header named Proxy.
    upper = "" if name == "http" and "REQUEST_METHOD" in os.environ else lower.upper()
    variable = lower if lower in os.environ else upper
    return variable, os.environ.get(variable, "").strip()


def _entries(without: str) -> list[str]:
    return without.replace(",", " ").split()


@functools.lru_cache(maxsize=4)
def _exceptions(without: str) -> tuple[_Exception, ...]:
    """The entries of NO_PROXY, parsed once: thousands of them would block an event loop each time."""
    return tuple(found for found in map(_Exception.read, _entries(without)) if found is not None)


def _ascii(name: str) -> str:
    """A host's name in the form that DNS uses."""
    if name.isascii():
        return name
    try:
        return name.encode("idna").decode()
    except UnicodeError:
        return name


def _network(text: str) -> IPv4Network | IPv6Network | None:
    """An address, or a network of them, as a network."""
    try:
        return ip_network(text, strict=False)
    except ValueError:
        pass
    try:
        return ip_network(ip_address(text.partition("%")[0]))
    except ValueError:
        return None


def _checked(proxy: Proxy) -> Proxy:
    """The proxy with a complete address."""
    url = proxy.url.strip()
    url = url if "://" in url else f"http://{url.removeprefix('//')}"
    hint = "write it as http://HOST:PORT, with % codes for special letters in a user name or password"
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and parts.port != 0 and parts.path in {"", "/"}
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment or re.search(r"[^!-~]|\\", url):
        raise proxy.refused(f"is not the address of a proxy; {hint}")
    if parts.scheme not in _PORTS and parts.scheme not in _SOCKS:
        raise proxy.refused(f"names a proxy of the kind {parts.scheme!r}; http, https, socks5 and socks5h can be used")
    return proxy._replace(url=f"{parts.scheme}:{url.partition(':')[2]}")


def way_to(url: str, reason: str) -> str:
    """A phrase about the proxy or the certificates of a failed connection, if they may be the reason; often empty."""
    proxy = Proxies.of_environment().to_url(url)
    through = f" through {proxy.place}" if proxy is not None else ""
    if "CERTIFICATE_VERIFY_FAILED" not in reason:
        return through
    return f"{through} ({Trust.of_environment().words})"


def check_key_log() -> None:
    """Check that TLS can log its keys, if SSLKEYLOGFILE is set: ``ssl`` opens the file with each context.

    Raises:
        InvalidArgument: The file cannot be written; the message names the variable.
    """
    path = os.environ.get("SSLKEYLOGFILE")
    if not path:
        return
    try:
        Path(path).open("ab").close()
    except OSError as error:
        raise InvalidArgument(
            "SSLKEYLOGFILE",
            f"the environment variable names {path!r}, which cannot be written here: {error.strerror}; unset it, or "
            "name a writable file",
        ) from None
