"""The emulator as a server in a thread of this process, for tests and for the command line."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from aml_provider.emulator.emulation import Emulation
from aml_provider.emulator.quirks import Quirks
from aml_provider.emulator.serving.app import build_app
from aml_provider.emulator.serving.middleware import CLOSE_CONNECTION

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from starlette.types import ASGIApp, Receive, Scope, Send

    from aml_provider.emulator.seeds.reader import Seed

_LAST_PORT = 65535
# Seconds; uvicorn counts ten ticks to a second.
_TICK = 0.1


class EmulatorServer:
    """A context manager that serves an emulated workspace.

    Args:
        seed: ``demo``, ``none``, a file, or a mapping in the format of a seed file.
        host: The address to listen on.
        port: The port to listen on; 0 uses a free one.
        blob_endpoint: Where step functions reach blobs, for example Azurite's address with the account's name.
        state_file: The file that keeps the workspace; if it exists, it replaces the seed.
        speed: Workspace seconds per real second.
        quirks: Texts like ``history_lag=30s``.
        token: The bearer token that API calls must send; without it any token is accepted.
        control_token: The bearer token of the control API; without it the API answers only to this machine.
        certificate: A PEM file; with it the workspace is served over https. It may contain the key too.
        key: The PEM file of the certificate's private key, without a password.
        allowed_hosts: Names of this machine under which it answers, besides ``localhost`` and ``host``. Requests to an
            IP address are always answered.

    Raises:
        OSError: It cannot listen there, or a file cannot be read.
        ValueError: An argument is invalid.

    Attributes:
        url: Where the emulator listens; known from the start.
        state: The workspace.
        clock: The workspace's clock: ``hold``, ``release``, ``advance(seconds)``.
        faults: The faults: ``add("drop", method="POST", path="*PipelineSubmit*")``.
    """

    def __init__(
        self,
        seed: Seed = "demo",
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        blob_endpoint: str | None = None,
        state_file: str | Path | None = None,
        speed: float = 1.0,
        quirks: Iterable[str] = (),
        token: str | None = None,
        control_token: str | None = None,
        allowed_hosts: Iterable[str] = (),
        certificate: str | Path | None = None,
        key: str | Path | None = None,
    ) -> None:
        _check_certificate(certificate, key)
        self._emulation = Emulation(
            seed,
            speed=speed,
            quirks=Quirks.parse(quirks),
            blob_endpoint=blob_endpoint,
            state_file=Path(state_file) if state_file else None,
        )
        self.state = self._emulation.workspace
        self.clock = self._emulation.clock
        self.faults = self._emulation.faults
        app = build_app(self._emulation, token=token, control_token=control_token, hosts=[host, *allowed_hosts])
        self._ready = threading.Event()
        self._server = _Server(app, self._ready, certificate, key)
        self._thread = threading.Thread(target=self._serve, name="emulator-server", daemon=True)
        self._socket = _listen(host, port)
        name = f"[{host}]" if ":" in host else host
        self.url = f"{'https' if certificate else 'http'}://{name}:{self._socket.getsockname()[1]}"

    def requests(self, method: str | None = None, path_contains: str | None = None) -> list[dict[str, Any]]:
        """The logged requests, oldest first."""
        return self._emulation.requests.find(method, path_contains)

    def reset(self) -> None:
        """Return to the seed and to real time, without faults and logged requests."""
        self._emulation.reset()

    def __enter__(self) -> Self:
        self._emulation.start()
        self._thread.start()
        self._ready.wait()
        if not self._server.started:
            self._thread.join()
            self._emulation.stop()
            raise RuntimeError(f"the emulator could not start on {self.url}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop()
        self._thread.join()
        self._emulation.stop()

    def _serve(self) -> None:
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self._socket.close()
            self._ready.set()


class _Server(uvicorn.Server):
    def __init__(
        self, app: ASGIApp, ready: threading.Event, certificate: str | Path | None, key: str | Path | None
    ) -> None:
        # uvicorn's access log contains whole queries, and so signatures.
        config = uvicorn.Config(
            app,
            http=_ClosableProtocol,
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            access_log=False,
            # The workspace has a clock of its own.
            date_header=False,
            # Trust what a proxy on this machine reports about its callers, whatever FORWARDED_ALLOW_IPS says.
            forwarded_allow_ips=["127.0.0.1", "::1"],
            timeout_graceful_shutdown=1,
            # httpx keeps an idle connection for five seconds. Who polls every five seconds would meet its end.
            timeout_keep_alive=75,
            ssl_certfile=certificate,
            ssl_keyfile=key,
        )
        super().__init__(config)
        self._ready = ready
        self._stopped = asyncio.Event()
        logging.getLogger("uvicorn").setLevel(logging.WARNING)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._loop = asyncio.get_running_loop()
        self._ready.set()

    async def main_loop(self) -> None:
        # uvicorn's own loop notices a stop only at its next tick, and tests start many servers.
        counter = 0
        while not await self.on_tick(counter):
            counter += 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), _TICK)

    def stop(self) -> None:
        """Stop the server, from another thread."""
        self.should_exit = True
        # The loop is closed if the server has ended by itself.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._stopped.set)


class _ClosableProtocol(H11Protocol):
    """Lets the application close its connection without a reply; ASGI has no message for that."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        app = cast("ASGIApp", self.app)

        async def extended(scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault("extensions", {})[CLOSE_CONNECTION] = {"close": self.transport.close}
            await app(scope, receive, send)

        self.app = cast("Any", extended)


def _check_certificate(certificate: str | Path | None, key: str | Path | None) -> None:
    """Check at the start, not in the server's thread, that a certificate and its key can be used.

    Raises:
        OSError: A file cannot be read.
        ValueError: They are not a certificate and its key.
    """
    if certificate is None:
        if key is not None:
            raise ValueError("a key needs its certificate")
        return
    for file in (certificate, *(() if key is None else (key,))):
        Path(file).read_bytes()
    try:
        # An encrypted key would ask for its password at the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except (ssl.SSLError, ValueError) as error:
        raise ValueError(
            f"{certificate} and {key or certificate} are not a certificate and its key: {error}"
        ) from error


def _listen(host: str, port: int) -> socket.socket:
    if not 0 <= port <= _LAST_PORT:
        raise ValueError(f"port is a whole number from 0 to {_LAST_PORT}, not {port}")
    # asyncio sets TCP_NODELAY only on sockets that name their protocol; without it each reply takes 40 ms.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener
