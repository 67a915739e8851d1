"""The clients of an event loop: one for each connection and retry policy, shared by the triggers that need the same."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

from aml_provider import metrics
from aml_provider.client.http.clients import AsyncClient
from aml_provider.masking import async_mask
from aml_provider.triggerer.per_loop import PerLoop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aml_provider.client.calls import Call
    from aml_provider.client.http.messages import Flow
    from aml_provider.client.http.retry import RetryPolicy
    from aml_provider.client.settings import WorkspaceSettings

T = TypeVar("T")

# Concurrent requests of one client: enough to be quick, and far from the service's limits.
_AT_ONCE = 8

_CLIENTS: PerLoop[dict[tuple[str, WorkspaceSettings, RetryPolicy], SharedClient]] = PerLoop(dict)


class SharedClient:
    """A client with several users, who poll runs. It runs only a few of their flows at the same time."""

    def __init__(self, conn_id: str, settings: WorkspaceSettings, policy: RetryPolicy) -> None:
        observe = metrics.exchanges(conn_id, polls=True)
        self._client = AsyncClient(settings, policy=policy, hide=async_mask, observe=observe)
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._opening: asyncio.Task[AsyncClient] | None = None
        self.users = 0

    async def open(self) -> None:
        """Open the client, once for all users."""
        if self._opening is None:
            self._opening = asyncio.create_task(self._client.__aenter__())
        # A user that is cancelled must not cancel it for the others.
        await asyncio.shield(self._opening)

    async def close(self) -> None:
        """Close connections and credential."""
        if self._opening is not None:
            with suppress(Exception):  # reported by open()
                await self._opening
                await self._client.__aexit__(None, None, None)

    async def call(self, call: Call[T]) -> T:
        """Carry out one call."""
        async with self._slots:
            return await self._client.call(call)

    async def run(self, flow: Flow[T]) -> T:
        """Carry out a flow to its end and return its result."""
        async with self._slots:
            return await self._client.run(flow)


@asynccontextmanager
async def shared_client(conn_id: str, settings: WorkspaceSettings, policy: RetryPolicy) -> AsyncIterator[SharedClient]:
    """Use this event loop's client for a connection and a policy; its last user closes it.

    Requests that are repeated for long would take the place of others. So users that may wait and users that must not
    have different policies, and share no client.

    Args:
        conn_id: The connection.
        settings: The connection's settings. Other settings, such as another secret, make another client.
        policy: For how long requests are repeated.
    """
    clients = _CLIENTS.here
    key = (conn_id, settings, policy)
    client = clients.setdefault(key, SharedClient(conn_id, settings, policy))
    client.users += 1
    try:
        await client.open()
        yield client
    finally:
        client.users -= 1
        if not client.users:
            del clients[key]
            await client.close()
