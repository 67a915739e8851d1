"""The two drivers that carry out what a :class:`~aml_provider.client.http.protocol.Session` requests, over httpx.

Besides this module only :mod:`aml_provider.client.http.routes` and :mod:`aml_provider.client.http.transfer` import
httpx.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING, Any, Self, TypeVar

import anyio
import httpx

from aml_provider.client.auth import credentials
from aml_provider.client.auth.diagnosis import drop_own_warnings
from aml_provider.client.auth.tokens import identity_of
from aml_provider.client.errors import AzureMLError
from aml_provider.client.http.messages import ON_ITS_WAY, Flow, Machine, Observe, Pause, Request, Work, flow_of
from aml_provider.client.http.protocol import Session
from aml_provider.client.http.retry import RetryPolicy
from aml_provider.client.http.routes import AsyncRoutes, Routes
from aml_provider.client.http.transfer import Transfer, check_trust

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator
    from datetime import datetime

    from aml_provider.client.calls import Call
    from aml_provider.client.secret import Secret
    from aml_provider.client.settings import WorkspaceSettings

T = TypeVar("T")

# A submission makes the service build a run's graph; the other calls answer in well under a second.
_TIMEOUT = httpx.Timeout(ON_ITS_WAY, connect=15.0)


class Clock:
    """Waits in real time. Tests pass a clock that they drive."""

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


class Client:
    """A workspace's API for workers: one connection pool, one credential.

    Use it as a context manager; it closes what it opened.

    Args:
        settings: The workspace.
        policy: How long requests are repeated.
        clock: Waits between requests.
        hide: Called with the secrets in replies before anything else can show them.
        observe: Called after each exchange, for metrics; it must not raise or block.

    Attributes:
        settings: The workspace.
        last_date: The time of the latest reply, by the clock of the service that sent it; None if that did not say it.
    """

    def __init__(
        self,
        settings: WorkspaceSettings,
        *,
        policy: RetryPolicy | None = None,
        clock: Clock | None = None,
        hide: Callable[[Iterable[Secret[Any]]], None] | None = None,
        observe: Observe | None = None,
    ) -> None:
        self.settings = settings
        self._hide = hide
        self._observe = observe
        self._session = Session(settings, policy or RetryPolicy())
        self._clock = clock or Clock()
        _quiet_loggers()
        # First: its errors name the environment variables that cannot be used.
        routes = Routes()
        self._credential = credentials.build_credential(settings)
        self._http = httpx.Client(timeout=_TIMEOUT, follow_redirects=False, trust_env=False, transport=routes)
        self.last_date: datetime | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close connections and credential."""
        try:
            self._http.close()
        finally:
            self._credential.close()

    @contextlib.contextmanager
    def observed(self, observe: Observe) -> Iterator[None]:
        """Meanwhile, call this instead after each exchange."""
        before, self._observe = self._observe, observe
        try:
            yield
        finally:
            self._observe = before

    def authenticate(self) -> None:
        """Get a token now, to find out whether that works; later requests use the same token."""
        credentials.get_token(self._credential, self.settings, self.settings.token_scope)

    def identity(self) -> dict[str, str]:
        """The identity that the token for the workspace is for, see :func:`.identity_of`."""
        return identity_of(credentials.get_token(self._credential, self.settings, self.settings.token_scope))

    def ml_problem(self) -> str | None:
        """Why jobs are submitted without a token for Azure Machine Learning itself; None if they carry one."""
        scope = self.settings.ml_token_scope
        if scope is None:
            return "auth_method 'static_token' has a token for one audience"
        try:
            credentials.get_token(self._credential, self.settings, scope)
        except AzureMLError as error:
            return error.text
        return None

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

    def _act(self, step: Request | Pause | Work) -> Any:
        self._hide_found()
        if isinstance(step, Work):
            return step.function()
        if isinstance(step, Pause):
            if step.seconds:
                self._clock.sleep(step.seconds)
            return None
        check_trust(self.settings, step)
        token = None
        if step.scope is not None:
            token = credentials.get_token(self._credential, self.settings, step.scope)
        ml_token = None
        if step.ml_scope is not None:
            with contextlib.suppress(AzureMLError):
                ml_token = credentials.get_token(self._credential, self.settings, step.ml_scope)
        transfer = Transfer(step, token, self._http.timeout, ml_token)
        reply = None
        try:
            with transfer, self._http.stream(**transfer.arguments) as response:
                transfer.begin(response)
                for piece in response.iter_raw():
                    if not transfer.add(piece):
                        break
                transfer.end()
            reply = transfer.reply()
            self.last_date = reply.date()
        finally:
            if self._observe is not None:
                self._observe(step, None if reply is None else reply.status)
        return reply


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
        observe: Observe | None = None,
    ) -> None:
        self.settings = settings
        self._hide = hide
        self._observe = observe
        self._session = Session(settings, policy or RetryPolicy())
        self._clock = clock or Clock()

    async def __aenter__(self) -> Self:
        self._credential, self._http = await asyncio.to_thread(self._build)
        return self

    def _build(self) -> tuple[Any, httpx.AsyncClient]:
        _quiet_loggers()
        # httpx would load this with the first request, and block the event loop for 20 ms.
        anyio.run(anyio.sleep, 0)
        # First: its errors name the environment variables that cannot be used.
        routes = AsyncRoutes()
        return (
            credentials.build_async_credential(self.settings),
            httpx.AsyncClient(timeout=_TIMEOUT, follow_redirects=False, trust_env=False, transport=routes),
        )

    async def __aexit__(self, *_: object) -> None:
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

    async def _act(self, step: Request | Pause | Work) -> Any:
        await self._hide_found()
        if isinstance(step, Work):
            return await asyncio.to_thread(step.function)
        if isinstance(step, Pause):
            await (self._clock.asleep(step.seconds) if step.seconds else asyncio.sleep(0))
            return None
        check_trust(self.settings, step)
        token = None
        if step.scope is not None:
            token = await credentials.get_async_token(self._credential, self.settings, step.scope)
        ml_token = None
        if step.ml_scope is not None:
            with contextlib.suppress(AzureMLError):
                ml_token = await credentials.get_async_token(self._credential, self.settings, step.ml_scope)
        transfer = Transfer(step, token, self._http.timeout, ml_token)
        reply = None
        try:
            with transfer:
                async with (
                    asyncio.timeout(transfer.deadline.seconds),
                    self._http.stream(**transfer.arguments) as response,
                ):
                    transfer.begin(response)
                    async for piece in response.aiter_raw():
                        if not transfer.add(piece):
                            break
                    transfer.end()
            reply = transfer.reply()
        finally:
            if self._observe is not None:
                self._observe(step, None if reply is None else reply.status)
        return reply
