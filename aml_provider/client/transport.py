"""The two drivers that carry out what a protocol asks for, over httpx.

This is the one module that imports httpx.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import platform
import sys
import time
import uuid
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar
from typing import Protocol as Interface

import anyio
import httpx

from aml_provider import __version__
from aml_provider.client import credentials
from aml_provider.client.environment import Proxies, Proxy, Trust
from aml_provider.client.errors import AzureMLError, InvalidArgument, ReplyLost, Unreachable
from aml_provider.client.protocol import ON_ITS_WAY, Flow, Machine, Pause, Protocol, Request, RetryPolicy, flow_of
from aml_provider.client.reply import Reply
from aml_provider.client.settings import STORAGE_SCOPE

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from types import TracebackType

    from aml_provider.client.calls import Call
    from aml_provider.client.settings import WorkspaceSettings

T = TypeVar("T")
H = TypeVar("H", httpx.HTTPTransport, httpx.AsyncHTTPTransport)

# A submission makes the service build a run's graph; the other calls answer in well under a second.
_TIMEOUT = httpx.Timeout(ON_ITS_WAY, connect=15.0)
# The timeout for reading counts from byte to byte, so a body that trickles in would never end. Whole, it may take so
# many times as long.
_PATIENCE = 5
# Only these say for sure that no request left. (A dropped connection looks different on other HTTP stacks, so nothing
# else is trusted to mean that.)
_NOTHING_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
_NO_ADDRESS = (httpx.InvalidURL, httpx.UnsupportedProtocol)


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


def _hush_http_loggers() -> None:
    """Hold the HTTP stacks' loggers at WARNING: at INFO they write full URLs, the signature of a SAS included.

    Done for each client and not at import, because Airflow configures logging anew in its processes.
    """
    for name in ("httpx", "httpcore", "azure.core.pipeline.policies.http_logging_policy"):
        logging.getLogger(name).setLevel(logging.WARNING)


@functools.cache
def _user_agent() -> str:
    # Not by importlib.metadata: it reads the names of all installed packages, and keeps them.
    airflow = getattr(sys.modules.get("airflow"), "__version__", "none")
    return (
        f"airflow-provider-azureml/{__version__} apache-airflow/{airflow} httpx/{httpx.__version__} "
        f"python/{platform.python_version()}"
    )


def _headers(request: Request, request_id: str, token: str | None) -> dict[str, str]:
    headers = dict(request.headers)
    headers["User-Agent"] = _user_agent()
    headers["x-ms-client-request-id"] = request_id
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    return headers


def _check_trust(settings: WorkspaceSettings, request: Request) -> None:
    if request.scope is not None and not settings.trusts(request.url, request.scope):
        host = _host(request.url)
        raise InvalidArgument(
            "blob_endpoint" if request.scope == STORAGE_SCOPE else "endpoint",
            f"{request.operation}: no token is sent to {host!r}, which is neither a host of the cloud "
            f"{settings.cloud.name!r} nor the connection's own endpoint",
        )


def _host(url: str) -> str:
    try:
        return httpx.URL(url).netloc.decode()
    except httpx.InvalidURL:
        return url.partition("?")[0]


def _transport_error(request: Request, error: httpx.HTTPError | httpx.InvalidURL, request_id: str) -> AzureMLError:
    host = _host(request.url)
    reason = str(error) or type(error).__name__
    if isinstance(error, _NO_ADDRESS):
        return InvalidArgument("address", f"{request.operation}: {host!r} cannot be asked: {reason}")
    ids = f"[x-ms-client-request-id={request_id}]"
    if isinstance(error, _NOTHING_SENT):
        return Unreachable(
            f"{request.operation}: no connection to {host}{_way(request, reason)}: {reason}. Nothing was sent; check "
            f"the connection's region or endpoint, DNS and firewall {ids}"
        )
    return ReplyLost(
        f"{request.operation}: the connection to {host}{_way(request, reason)} broke before the answer was there: "
        f"{reason} {ids}"
    )


def _way(request: Request, reason: str) -> str:
    """What the environment has to do with it."""
    proxy = Proxies.of_environment().to_url(request.url)
    through = f" through {proxy.place}" if proxy is not None else ""
    if "CERTIFICATE_VERIFY_FAILED" not in reason:
        return through
    return f"{through} ({Trust.of_environment().words})"


@functools.cache
def _tls_context() -> ssl.SSLContext:
    """The one of this process: reading the certificates of all authorities takes 20 to 50 ms of CPU."""
    return Trust.of_environment().context() or httpx.create_ssl_context(trust_env=False)


class _Ways(Generic[H]):
    """One transport for each proxy, made when it is first needed, and one for no proxy."""

    def __init__(self, make: Callable[..., H]) -> None:
        self._make: Callable[..., H] = make
        self._verify = _tls_context()
        self._proxies = Proxies.of_environment()
        self.made: dict[Proxy | None, H] = {}

    def to(self, url: httpx.URL) -> H:
        proxy = self._proxies.to(url.scheme, url.host, url.port)
        if proxy not in self.made:
            address = None if proxy is None else self._address(proxy)
            self.made[proxy] = self._make(verify=self._verify, trust_env=False, proxy=address)
        return self.made[proxy]

    def _address(self, proxy: Proxy) -> httpx.Proxy:
        proxy.check()
        try:
            return httpx.Proxy(proxy.url, ssl_context=self._verify if proxy.url.startswith("https:") else None)
        except (httpx.InvalidURL, ValueError):
            # Its text repeats the address.
            raise proxy.refused("is no proxy's address") from None


class _Routes(httpx.BaseTransport):
    """Sends each request on the way that the environment names."""

    def __init__(self) -> None:
        self._ways = _Ways(httpx.HTTPTransport)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._ways.to(request.url).handle_request(request)

    def close(self) -> None:
        for transport in self._ways.made.values():
            transport.close()


class _AsyncRoutes(httpx.AsyncBaseTransport):
    def __init__(self) -> None:
        self._ways = _Ways(httpx.AsyncHTTPTransport)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._ways.to(request.url).handle_async_request(request)

    async def aclose(self) -> None:
        for transport in self._ways.made.values():
            await transport.aclose()


class _Body:
    """A reply's body, read in pieces: all of it, or its last bytes.

    Args:
        request: What was asked.
        patience: The seconds after which a body that still goes on is given up; None waits for its end.
    """

    def __init__(self, request: Request, patience: float | None) -> None:
        self._tail = request.tail
        self._patience = patience
        self._pieces: list[bytes] = []
        self._size = 0
        self._began = time.monotonic()

    def add(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._size += len(piece)
        if self._tail is not None and self._size > 2 * self._tail:
            self._pieces = [self.read()]
            self._size = self._tail
        if self._patience is not None and time.monotonic() - self._began > self._patience:
            raise httpx.ReadTimeout(f"its body had not ended after {self._patience:g} seconds")

    def read(self) -> bytes:
        whole = b"".join(self._pieces)
        return whole if self._tail is None else whole[-self._tail :]


def _patience(timeout: httpx.Timeout) -> float | None:
    return None if timeout.read is None else _PATIENCE * timeout.read


class Client:
    """A workspace's API for workers: one connection pool, one credential.

    Use it as a context manager; it closes what it opened.
    """

    def __init__(
        self, settings: WorkspaceSettings, *, policy: RetryPolicy | None = None, clock: Clock | None = None
    ) -> None:
        self.settings = settings
        self._protocol = Protocol(settings, policy or RetryPolicy())
        self._clock = clock or RealClock()
        _hush_http_loggers()
        self._credential = credentials.build_credential(settings)
        self._http = httpx.Client(timeout=_TIMEOUT, follow_redirects=False, trust_env=False, transport=_Routes())

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
        machine = self._protocol.run(flow)
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

    def _act(self, step: Request | Pause) -> Reply | None:
        if isinstance(step, Pause):
            if step.seconds:
                self._clock.sleep(step.seconds)
            return None
        _check_trust(self.settings, step)
        token = None
        if step.scope is not None:
            token = credentials.get_token(self._credential, self.settings, step.scope)
        request_id = str(uuid.uuid4())
        try:
            with self._http.stream(
                step.method,
                step.url,
                params=step.query or None,
                headers=_headers(step, request_id, token),
                content=step.content,
            ) as response:
                body = _Body(step, _patience(self._http.timeout))
                for piece in response.iter_bytes():
                    body.add(piece)
                return Reply(response.status_code, response.headers, body.read(), request_id)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _transport_error(step, error, request_id) from error


class AsyncClient:
    """A workspace's API for event loops; the twin of :class:`Client`.

    Entering it builds the TLS context and the credential in a thread, because the first time takes some 300 ms.
    """

    def __init__(
        self, settings: WorkspaceSettings, *, policy: RetryPolicy | None = None, clock: Clock | None = None
    ) -> None:
        self.settings = settings
        self._protocol = Protocol(settings, policy or RetryPolicy())
        self._clock = clock or RealClock()

    async def __aenter__(self) -> Self:
        self._credential, self._http = await asyncio.to_thread(self._build)
        return self

    def _build(self) -> tuple[Any, httpx.AsyncClient]:
        _hush_http_loggers()
        # httpx loads what it needs of this with the first request, and the event loop would stand still for 20 ms.
        anyio.run(anyio.sleep, 0)
        return (
            credentials.build_async_credential(self.settings),
            httpx.AsyncClient(timeout=_TIMEOUT, follow_redirects=False, trust_env=False, transport=_AsyncRoutes()),
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
        machine: Machine[T] = self._protocol.run(flow)
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

    async def _act(self, step: Request | Pause) -> Reply | None:
        if isinstance(step, Pause):
            await (self._clock.asleep(step.seconds) if step.seconds else asyncio.sleep(0))
            return None
        _check_trust(self.settings, step)
        token = None
        if step.scope is not None:
            token = await credentials.get_async_token(self._credential, self.settings, step.scope)
        request_id = str(uuid.uuid4())
        try:
            async with self._http.stream(
                step.method,
                step.url,
                params=step.query or None,
                headers=_headers(step, request_id, token),
                content=step.content,
            ) as response:
                body = _Body(step, _patience(self._http.timeout))
                async for piece in response.aiter_bytes():
                    body.add(piece)
                return Reply(response.status_code, response.headers, body.read(), request_id)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _transport_error(step, error, request_id) from error
