"""One request on its way, and its reply: everything about them that both drivers share."""

from __future__ import annotations

import functools
import os
import platform
import socket
import ssl
import sys
import uuid
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import httpx

from aml_provider import __version__
from aml_provider.client.errors import AzureMLError, InvalidArgument, MalformedReply, ReplyLost, Unreachable
from aml_provider.client.http.environment import Proxies, way_to
from aml_provider.client.http.exchange import CURRENT, MOST_OF_AN_ERROR, Body, Deadline, TooLarge, Unreadable
from aml_provider.client.http.reply import Reply
from aml_provider.client.secret import Secret
from aml_provider.client.settings import STORAGE_SCOPE
from aml_provider.client.text import LONGEST, masked, one_line

if TYPE_CHECKING:
    from types import TracebackType

    from aml_provider.client.http.messages import Request
    from aml_provider.client.settings import WorkspaceSettings

# A read timeout counts from byte to byte, so a reply that trickles in would never end. The whole transfer may take this
# many read timeouts.
_READ_TIMEOUTS = 5
# Only these guarantee that no request left. (A dropped connection looks different on other HTTP stacks, so no other
# error is trusted to mean that.)
_NOTHING_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
_NO_ADDRESS = (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError)
_FAILURES = (httpx.HTTPError, httpx.InvalidURL, TimeoutError, UnicodeError, TooLarge, Unreadable)
_LONGEST_HOST = 300


class Transfer:
    """One request, from its headers to its reply; a context manager around the driver's I/O.

    The HTTP library's error holds what was received, unmasked and at any length, and Airflow logs the causes of errors.
    So that error must be neither the cause nor the context of our error: the context manager suppresses it at its end,
    and :meth:`reply` raises our error.

    Args:
        request: The request.
        token: The bearer token that it carries; None: it carries none.
        timeout: The driver's timeouts.
        ml_token: The second token that it carries; None: it carries none.

    Attributes:
        deadline: When the transfer is given up.
    """

    def __init__(
        self, request: Request, token: str | None, timeout: httpx.Timeout, ml_token: str | None = None
    ) -> None:
        self.deadline = Deadline(None if timeout.read is None else _READ_TIMEOUTS * timeout.read)
        self._request = request
        self._token = token
        self._ml_token = ml_token
        self._id = str(uuid.uuid4())
        self._sent = _secrets_of(request, token, ml_token)
        self._response: httpx.Response | None = None
        self._content = b""
        self._failure: AzureMLError | None = None

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of the HTTP library's ``stream``."""
        headers = dict(self._request.headers)
        headers["User-Agent"] = _user_agent()
        # The only encoding that we can decompress piece by piece.
        headers["Accept-Encoding"] = "gzip"
        headers["x-ms-client-request-id"] = self._id
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        if self._ml_token is not None:
            headers["x-azureml-token"] = self._ml_token
        return {
            "method": self._request.method,
            "url": _address(self._request),
            "headers": headers,
            "content": self._request.content,
        }

    def __enter__(self) -> Self:
        self._previous = CURRENT.set(self.deadline)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        CURRENT.reset(self._previous)
        if isinstance(error, (TooLarge, Unreadable)) and self._response is not None and not self._response.is_success:
            # A refusal whose body cannot be read is still a refusal.
            return True
        if isinstance(error, _FAILURES):
            self._failure = self._failure_of(error)
            return True
        return False

    def begin(self, response: httpx.Response) -> None:
        """Take the head of the reply.

        Raises:
            Unreadable: Its body is compressed in a way that was not requested.
        """
        self._response = response
        encoding = ", ".join(response.headers.get_list("content-encoding"))
        if response.is_success:
            self._body = Body(encoding, self._request.most, tail=self._request.tail)
        else:
            self._body = Body(encoding, MOST_OF_AN_ERROR, cut=True)

    def add(self, piece: bytes) -> bool:
        """Take the next piece of the body; return whether more pieces are needed.

        Raises:
            TimeoutError: The deadline has passed.
            TooLarge: The body is too large.
            Unreadable: The body cannot be decompressed.
        """
        self.deadline.left()
        return self._body.add(piece)

    def end(self) -> None:
        """Take the end of the body.

        Raises:
            Unreadable: The end is missing.
        """
        self._content = self._body.end()

    def reply(self) -> Reply:
        """The reply, once the context has been left.

        Raises:
            AzureMLError: The transfer failed.
        """
        if self._failure is not None:
            raise self._failure
        assert self._response is not None
        return Reply(self._response.status_code, self._response.headers, self._content, self._id, self._sent)

    def _failure_of(self, error: Exception) -> AzureMLError:
        request, our_id = self._request, f"x-ms-client-request-id={self._id}"
        if isinstance(error, TooLarge):
            status = 0 if self._response is None else self._response.status_code
            return MalformedReply(request.operation, status=status, message=str(error), request_ids=[our_id])
        if isinstance(error, (httpx.ReadTimeout, httpx.WriteTimeout, TimeoutError)) and self.deadline.has_passed:
            # The HTTP stack reports the deadline of the whole as a timeout of one read or write.
            error = TimeoutError(str(self.deadline))
        host = _host(request.url)
        # The reason may hold a part of the reply.
        secrets = [secret.reveal() for secret in self._sent]
        reason = one_line(masked(_reason(error)[:LONGEST], secrets)) or type(error).__name__
        if isinstance(error, _NO_ADDRESS):
            return InvalidArgument(
                "address", f"{request.operation}: {host!r} is not an address to which a request can be sent: {reason}"
            )
        way = way_to(request.url, reason)
        check = "the name (the connection's region or endpoint, or the storage account), DNS and firewall"
        proxy = Proxies.of_environment().to_url(request.url)
        if proxy is not None:
            reason = proxy.hidden(reason)
            check = f"{proxy.variable} (its address, user name and password) and NO_PROXY"
        if isinstance(error, _NOTHING_SENT):
            return Unreachable(
                f"{request.operation}: no connection to {host}{way}: {reason}. Nothing was sent; check {check} "
                f"[{our_id}]"
            )
        return ReplyLost(
            f"{request.operation}: the connection to {host}{way} broke before the reply arrived: {reason} [{our_id}]"
        )


def check_trust(settings: WorkspaceSettings, request: Request) -> None:
    """Check that a request sends its token, or follows a link, only to a host that is trusted.

    Raises:
        InvalidArgument: The host is not trusted; nothing was sent.
    """
    if request.scope is not None and not settings.trusts(request.url, request.scope):
        own = "blob_endpoint" if request.scope == STORAGE_SCOPE else "endpoint"
        raise InvalidArgument(
            own,
            f"{request.operation}: no token is sent to {_host(request.url)!r}, which is neither a host of the cloud "
            f"{settings.cloud.name!r} nor the connection's own {own}. If you trust this host, write its address into "
            f"the connection's {own}",
        )
    if request.is_link and not settings.may_fetch(request.url):
        raise InvalidArgument(
            "link",
            f"{request.operation}: its link leads to {_host(request.url)!r}, which is neither a host of the cloud "
            f"{settings.cloud.name!r} nor the connection's own endpoint, so it is not followed. If you trust this "
            "host, ask the administrator of Airflow to add it to [azureml] trusted_endpoints",
        )


def _address(request: Request) -> str:
    """The URL with its query; httpx 0.27 would send what looks encoded in a value, such as ``%2F``, as it is."""
    if not request.query:
        return request.url
    separator = "&" if "?" in request.url else "?"
    return f"{request.url}{separator}{urlencode(request.query, quote_via=quote, safe='')}"


def _user_agent() -> str:
    # Not by importlib.metadata: it reads the names of all installed packages, and keeps them.
    return _user_agent_with(getattr(sys.modules.get("airflow"), "__version__", "none"))


@functools.cache
def _user_agent_with(airflow: str) -> str:
    return (
        f"airflow-provider-azureml/{__version__} apache-airflow/{airflow} httpx/{httpx.__version__} "
        f"python/{platform.python_version()}"
    )


def _secrets_of(request: Request, *tokens: str | None) -> tuple[Secret[str], ...]:
    """The secrets that a request carries: its reply may echo them."""
    query = parse_qsl(urlsplit(request.url).query) if request.is_link else request.query
    signatures = [value for name, value in query if name.lower() == "sig"]
    return tuple(Secret(value) for value in (*tokens, *signatures) if value)


def _host(url: str) -> str:
    try:
        host = httpx.URL(url).netloc.decode()
    except (httpx.InvalidURL, UnicodeError):
        host = url.partition("?")[0]
    return host[:_LONGEST_HOST]


def _reason(error: BaseException) -> str:
    """The system's own message, where there is one: the HTTP stack for event loops leaves it out of its errors."""
    link: BaseException | None = error
    while link is not None and not isinstance(link, AzureMLError):
        if isinstance(link, BaseExceptionGroup):
            link = link.exceptions[0]
        if isinstance(link, (socket.gaierror, ssl.SSLError)):
            return str(link)
        if isinstance(link, OSError) and link.errno:
            return f"[Errno {link.errno}] {os.strerror(link.errno)}"
        link = link.__cause__ or link.__context__
    return str(error)
