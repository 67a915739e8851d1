"""Routes to servers, over httpx: direct ones, or through the proxy that the environment names."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import httpcore
import httpx

from aml_provider.client.http.environment import Proxies, Proxy, Trust, check_key_log
from aml_provider.client.http.exchange import TimedBackend, TimedSocket

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

T = TypeVar("T", httpx.HTTPTransport, httpx.AsyncHTTPTransport)


@functools.cache
def tls_context() -> ssl.SSLContext:
    """The TLS context of this process, made once: to read the certificates of all authorities takes 20 to 50 ms of CPU.

    Raises:
        InvalidArgument: The certificates that the environment names cannot be used; the message names the variable.
    """
    check_key_log()
    return Trust.of_environment().context() or httpx.create_ssl_context(trust_env=False)


class _Ways(Generic[T]):
    """One transport for each proxy, made when it is first needed, and one without a proxy."""

    def __init__(self, make: Callable[..., T]) -> None:
        self._make: Callable[..., T] = make
        self._verify = tls_context()
        self._proxies = Proxies.of_environment()
        self.made: dict[Proxy | None, T] = {}

    def to(self, url: httpx.URL) -> T:
        proxy = self._proxies.to(url.scheme, url.raw_host.decode("ascii"), url.port)
        if proxy not in self.made:
            self.made[proxy] = self._make(verify=self._verify, trust_env=False, proxy=self._address(proxy))
        return self.made[proxy]

    def _address(self, proxy: Proxy | None) -> httpx.Proxy | None:
        if proxy is None:
            return None
        proxy.check()
        try:
            return httpx.Proxy(proxy.url, ssl_context=self._verify if proxy.url.startswith("https:") else None)
        except (httpx.InvalidURL, ValueError):
            # Its text repeats the address.
            raise proxy.refused("is not the address of a proxy") from None


def _tls_inside(tunnel: TimedSocket, context: ssl.SSLContext, host: str | None, timeout: float | None) -> Any:
    """TLS inside of TLS, with the HTTP library's stream and errors."""
    from httpcore._backends.sync import TLSinTLSStream  # noqa: PLC0415 - few have such a proxy, and it has no public name

    try:
        return TLSinTLSStream(tunnel, context, host, timeout)  # type: ignore[arg-type]
    except OSError as error:
        tunnel.close()
        kind = httpcore.ConnectTimeout if isinstance(error, TimeoutError) else httpcore.ConnectError
        raise kind(str(error)) from error


def _timed(**options: Any) -> httpx.HTTPTransport:
    """A transport whose connections respect the deadline of the exchange; httpx has no public API for it."""
    transport = httpx.HTTPTransport(**options)
    pool: Any = transport._pool  # noqa: SLF001
    pool._network_backend = TimedBackend(pool._network_backend, _tls_inside)  # noqa: SLF001
    return transport


class Routes(httpx.BaseTransport):
    """The transport of a client for workers."""

    def __init__(self) -> None:
        self._ways = _Ways(_timed)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request."""
        return self._ways.to(request.url).handle_request(request)

    def close(self) -> None:
        """Close all connections."""
        for transport in self._ways.made.values():
            transport.close()


class AsyncRoutes(httpx.AsyncBaseTransport):
    """The transport of a client for event loops; the twin of :class:`Routes`."""

    def __init__(self) -> None:
        self._ways = _Ways(httpx.AsyncHTTPTransport)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request."""
        return await self._ways.to(request.url).handle_async_request(request)

    async def aclose(self) -> None:
        """Close all connections, even if this is cancelled meanwhile.

        The pool closes one connection in each turn of the event loop. If it is cancelled in between, it has
        already forgotten the connections that are still open, and they stay open.
        """
        cancelled: asyncio.CancelledError | None = None
        for transport in self._ways.made.values():
            pool: Any = transport._pool  # noqa: SLF001 - httpx has no public API for it
            for connection in pool.connections:
                try:
                    await connection.aclose()
                except asyncio.CancelledError as error:
                    cancelled = error
        if cancelled is not None:
            raise cancelled
