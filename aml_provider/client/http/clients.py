"""The two drivers that carry out what a protocol asks for, over httpx.

This module and :mod:`aml_provider.client.http.routes` are the only ones that import httpx.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import platform
import socket
import ssl
import sys
import time
import uuid
from typing import TYPE_CHECKING, Any, Self, TypeVar
from typing import Protocol as Interface
from urllib.parse import parse_qsl, urlsplit

import anyio
import httpx

from aml_provider import __version__
from aml_provider.client.auth import credentials
from aml_provider.client.auth.diagnosis import drop_own_warnings
from aml_provider.client.errors import AzureMLError, InvalidArgument, MalformedReply, ReplyLost, Unreachable
from aml_provider.client.http.environment import Proxies, way_to
from aml_provider.client.http.exchange import CURRENT, MOST_OF_AN_ERROR, Body, Deadline, TooLarge, Unreadable
from aml_provider.client.http.messages import ON_ITS_WAY, Flow, Machine, Pause, Request, flow_of
from aml_provider.client.http.protocol import Session
from aml_provider.client.http.reply import Reply
from aml_provider.client.http.retry import RetryPolicy
from aml_provider.client.http.routes import AsyncRoutes, Routes
from aml_provider.client.secret import Secret
from aml_provider.client.settings import STORAGE_SCOPE
from aml_provider.client.text import LONGEST, masked, one_line

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from types import TracebackType

    from aml_provider.client.calls import Call
    from aml_provider.client.settings import WorkspaceSettings

T = TypeVar("T")

# A submission makes the service build a run's graph; the other calls answer in well under a second.
_TIMEOUT = httpx.Timeout(ON_ITS_WAY, connect=15.0)
# The timeout for reading counts from byte to byte, so what trickles in would never end. Whole, an exchange may take so
# many times as long.
_PATIENCE = 5
# Only these say for sure that no request left. (A dropped connection looks different on other HTTP stacks, so nothing
# else is trusted to mean that.)
_NOTHING_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
_NO_ADDRESS = (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError)
_FAILURES = (httpx.HTTPError, httpx.InvalidURL, TimeoutError, UnicodeError, TooLarge, Unreadable)
_LONGEST_HOST = 300


class Clock(Interface):
    """Where waiting comes from; tests pass one that they drive."""

    def sleep(self, seconds: float) -> None:
        """Wait in a worker."""

    async def asleep(self, seconds: float) -> None:
        """Wait in an event loop."""


class RealClock:
    """Real time."""

    def sleep(self, seconds: float) -> None:
        """Wait in a worker."""
        time.sleep(seconds)

    async def asleep(self, seconds: float) -> None:
        """Wait in an event loop."""
        await asyncio.sleep(seconds)


def _quiet_loggers() -> None:
    """Set the HTTP stacks' loggers to WARNING: at INFO they write full URLs, the signature of a SAS included.

    Done for each client and not at import, because Airflow configures logging again in each of its processes.
    """
    for name in ("httpx", "httpcore", "azure.core.pipeline.policies.http_logging_policy"):
        logging.getLogger(name).setLevel(logging.WARNING)
    drop_own_warnings()


def _user_agent() -> str:
    # Not by importlib.metadata: it reads the names of all installed packages, and keeps them.
    return _user_agent_with(getattr(sys.modules.get("airflow"), "__version__", "none"))


@functools.cache
def _user_agent_with(airflow: str) -> str:
    return (
        f"airflow-provider-azureml/{__version__} apache-airflow/{airflow} httpx/{httpx.__version__} "
        f"python/{platform.python_version()}"
    )


def _headers(request: Request, request_id: str, token: str | None) -> dict[str, str]:
    headers = dict(request.headers)
    headers["User-Agent"] = _user_agent()
    # One that can be decompressed bit by bit, and no other.
    headers["Accept-Encoding"] = "gzip"
    headers["x-ms-client-request-id"] = request_id
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    return headers


def _sent(request: Request, token: str | None) -> tuple[Secret[str], ...]:
    """The secrets in a request: an answer may echo them."""
    query = parse_qsl(urlsplit(request.url).query) if request.is_link else request.query
    signatures = [value for name, value in query if name.lower() == "sig"]
    return tuple(Secret(value) for value in (token, *signatures) if value)


def _check_trust(settings: WorkspaceSettings, request: Request) -> None:
    if request.scope is not None and not settings.trusts(request.url, request.scope):
        host = _host(request.url)
        raise InvalidArgument(
            "blob_endpoint" if request.scope == STORAGE_SCOPE else "endpoint",
            f"{request.operation}: no token is sent to {host!r}, which is neither a host of the cloud "
            f"{settings.cloud.name!r} nor the connection's own endpoint",
        )

    if request.is_link and not settings.may_fetch(request.url):
        raise InvalidArgument(
            "link",
            f"{request.operation}: its link leads to {_host(request.url)!r}, which is neither a host of the cloud "
            f"{settings.cloud.name!r} nor the connection's own endpoint, and is not asked. If it is yours, whoever "
            "operates Airflow lists it in [azureml] trusted_endpoints",
        )


def _host(url: str) -> str:
    try:
        host = httpx.URL(url).netloc.decode()
    except (httpx.InvalidURL, UnicodeError):
        host = url.partition("?")[0]
    return host[:_LONGEST_HOST]


def _failure(
    request: Request,
    error: Exception,
    *,
    deadline: Deadline,
    status: int,
    request_id: str,
    sent: tuple[Secret[str], ...],
) -> AzureMLError:
    """What is told of an exchange that failed.

    The HTTP library's error is neither its cause nor its context: it holds what came, in clear and at any length, and
    Airflow logs causes. So drivers raise this one outside of the handler.

    Args:
        request: What was sent.
        error: One of ``_FAILURES``.
        deadline: When the exchange was to end.
        status: The answer's status, where it had come so far.
        request_id: The id that the request carried.
        sent: The secrets that it carried.
    """
    if isinstance(error, TooLarge):
        our_id = f"x-ms-client-request-id={request_id}"
        return MalformedReply(request.operation, status=status, message=str(error), request_ids=[our_id])
    if isinstance(error, (httpx.ReadTimeout, httpx.WriteTimeout, TimeoutError)) and deadline.has_passed:
        # Who waits for a byte sees the end of the whole as its own.
        error = TimeoutError(str(deadline))
    host = _host(request.url)
    # It may hold a part of the answer.
    reason = one_line(masked(_reason(error)[:LONGEST], [secret.reveal() for secret in sent])) or type(error).__name__
    if isinstance(error, _NO_ADDRESS):
        return InvalidArgument("address", f"{request.operation}: {host!r} cannot be asked: {reason}")
    ids = f"[x-ms-client-request-id={request_id}]"
    way = way_to(request.url, reason)
    check = "the name (the connection's region or endpoint, or the storage account), DNS and firewall"
    proxy = Proxies.of_environment().to_url(request.url)
    if proxy is not None:
        reason = proxy.hidden(reason)
        check = f"{proxy.variable} (its address, user name and password) and NO_PROXY"
    if isinstance(error, _NOTHING_SENT):
        return Unreachable(
            f"{request.operation}: no connection to {host}{way}: {reason}. Nothing was sent; check {check} {ids}"
        )
    return ReplyLost(
        f"{request.operation}: the connection to {host}{way} broke before the answer was there: {reason} {ids}"
    )


def _reason(error: BaseException) -> str:
    """What the system said, where it said something: the HTTP stack for event loops keeps that to itself."""
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


def _deadline(timeout: httpx.Timeout) -> Deadline:
    return Deadline(None if timeout.read is None else _PATIENCE * timeout.read)


def _body(request: Request, response: httpx.Response) -> Body:
    encoding = ", ".join(response.headers.get_list("content-encoding"))
    if response.is_success:
        return Body(encoding, request.most, tail=request.tail)
    return Body(encoding, MOST_OF_AN_ERROR, cut=True)


def _without_body(response: httpx.Response, request_id: str, sent: tuple[Secret[str], ...]) -> Reply:
    """A refusal whose body cannot be taken is one all the same."""
    return Reply(response.status_code, response.headers, b"", request_id, sent)


class Client:
    """A workspace's API for workers: one connection pool, one credential.

    Use it as a context manager; it closes what it opened.

    Args:
        settings: The workspace.
        policy: How long requests are repeated.
        clock: Where waiting comes from.
        hide: Called with secrets that replies hold, before anybody else gets them.
    """

    def __init__(
        self,
        settings: WorkspaceSettings,
        *,
        policy: RetryPolicy | None = None,
        clock: Clock | None = None,
        hide: Callable[[Iterable[Secret[Any]]], None] | None = None,
    ) -> None:
        self.settings = settings
        self._hide = hide
        self._session = Session(settings, policy or RetryPolicy())
        self._clock = clock or RealClock()
        _quiet_loggers()
        # First: it names what of the environment cannot be used.
        routes = Routes()
        self._credential = credentials.build_credential(settings)
        self._http = httpx.Client(timeout=_TIMEOUT, follow_redirects=False, trust_env=False, transport=routes)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close connections and credential."""
        try:
            self._http.close()
        finally:
            self._credential.close()

    def authenticate(self) -> None:
        """Get a token now, to know that one can be had; later requests use it."""
        credentials.get_token(self._credential, self.settings, self.settings.token_scope)

    def call(self, call: Call[T]) -> T:
        """Carry out one call."""
        return self.run(flow_of(call))

    def run(self, flow: Flow[T]) -> T:
        """Carry out a flow to its end and return its result."""
        machine = self._session.run(flow)
        try:
            step = next(machine)
            while True:
                try:
                    result = self._act(step)
                except AzureMLError as error:
                    step = machine.throw(error)
                else:
                    step = machine.send(result)
        except StopIteration as stop:
            value: T = stop.value
            return value
        finally:
            machine.close()
            self._hide_found()

    def _hide_found(self) -> None:
        found, self._session.secrets = self._session.secrets, []
        if found and self._hide is not None:
            self._hide(found)

    def _act(self, step: Request | Pause) -> Reply | None:
        self._hide_found()
        if isinstance(step, Pause):
            if step.seconds:
                self._clock.sleep(step.seconds)
            return None
        _check_trust(self.settings, step)
        token = None
        if step.scope is not None:
            token = credentials.get_token(self._credential, self.settings, step.scope)
        request_id = str(uuid.uuid4())
        sent = _sent(step, token)
        deadline, status = _deadline(self._http.timeout), 0
        current = CURRENT.set(deadline)
        try:
            with self._http.stream(
                step.method,
                step.url,
                params=step.query or None,
                headers=_headers(step, request_id, token),
                content=step.content,
            ) as response:
                try:
                    status = response.status_code
                    body = _body(step, response)
                    for piece in response.iter_raw():
                        deadline.left()
                        if not body.add(piece):
                            break
                    return Reply(status, response.headers, body.end(), request_id, sent)
                except (TooLarge, Unreadable):
                    if response.is_success:
                        raise
                    return _without_body(response, request_id, sent)
        except _FAILURES as error:
            failure = _failure(step, error, deadline=deadline, status=status, request_id=request_id, sent=sent)
        finally:
            CURRENT.reset(current)
        raise failure


class AsyncClient:
    """A workspace's API for event loops; the twin of :class:`Client`.

    Entering it builds the TLS context and the credential in a thread, because the first time takes some 300 ms.
    """

    def __init__(
        self,
        settings: WorkspaceSettings,
        *,
        policy: RetryPolicy | None = None,
        clock: Clock | None = None,
        hide: Callable[[Iterable[Secret[Any]]], Awaitable[None]] | None = None,
    ) -> None:
        self.settings = settings
        self._hide = hide
        self._session = Session(settings, policy or RetryPolicy())
        self._clock = clock or RealClock()

    async def __aenter__(self) -> Self:
        self._credential, self._http = await asyncio.to_thread(self._build)
        return self

    def _build(self) -> tuple[Any, httpx.AsyncClient]:
        _quiet_loggers()
        # httpx loads what it needs of this with the first request, and the event loop would stand still for 20 ms.
        anyio.run(anyio.sleep, 0)
        # First: it names what of the environment cannot be used.
        routes = AsyncRoutes()
        return (
            credentials.build_async_credential(self.settings),
            httpx.AsyncClient(timeout=_TIMEOUT, follow_redirects=False, trust_env=False, transport=routes),
        )

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._http.aclose()
        finally:
            await self._credential.close()

    async def call(self, call: Call[T]) -> T:
        """Carry out one call."""
        return await self.run(flow_of(call))

    async def run(self, flow: Flow[T]) -> T:
        """Carry out a flow to its end and return its result."""
        machine: Machine[T] = self._session.run(flow)
        try:
            step = next(machine)
            while True:
                try:
                    result = await self._act(step)
                except AzureMLError as error:
                    step = machine.throw(error)
                else:
                    step = machine.send(result)
        except StopIteration as stop:
            value: T = stop.value
            return value
        finally:
            machine.close()
            await self._hide_found()

    async def _hide_found(self) -> None:
        found, self._session.secrets = self._session.secrets, []
        if found and self._hide is not None:
            await self._hide(found)

    async def _act(self, step: Request | Pause) -> Reply | None:
        await self._hide_found()
        if isinstance(step, Pause):
            await (self._clock.asleep(step.seconds) if step.seconds else asyncio.sleep(0))
            return None
        _check_trust(self.settings, step)
        token = None
        if step.scope is not None:
            token = await credentials.get_async_token(self._credential, self.settings, step.scope)
        request_id = str(uuid.uuid4())
        sent = _sent(step, token)
        deadline, status = _deadline(self._http.timeout), 0
        try:
            async with (
                asyncio.timeout(deadline.seconds),
                self._http.stream(
                    step.method,
                    step.url,
                    params=step.query or None,
                    headers=_headers(step, request_id, token),
                    content=step.content,
                ) as response,
            ):
                try:
                    status = response.status_code
                    body = _body(step, response)
                    async for piece in response.aiter_raw():
                        deadline.left()
                        if not body.add(piece):
                            break
                    return Reply(status, response.headers, body.end(), request_id, sent)
                except (TooLarge, Unreadable):
                    if response.is_success:
                        raise
                    return _without_body(response, request_id, sent)
        except _FAILURES as error:
            failure = _failure(step, error, deadline=deadline, status=status, request_id=request_id, sent=sent)
        raise failure
