"""Signs in with a connection, as a worker does and as an event loop does."""

from __future__ import annotations

import asyncio
import contextlib
from importlib import metadata

import pytest

from aml_provider.client.auth.credentials import build_async_credential, build_credential, get_async_token, get_token

KUBERNETES_TOKEN = "kubernetes-service-account-token"

both = pytest.mark.parametrize("kind", ["sync", "aio"])
default_chain_of_today = pytest.mark.skipif(
    tuple(int(part) for part in metadata.version("azure-identity").split(".")[:2]) < (1, 24),
    reason="before azure-identity 1.24, the default chain has workload identity only where AZURE_TENANT_ID is set",
)


async def token(kind, connection):
    """Build, ask twice, close; the second time must come from memory."""
    if kind == "sync":
        with contextlib.closing(build_credential(connection)) as credential:
            tokens = {get_token(credential, connection, connection.token_scope) for _ in range(2)}
    else:
        async with await asyncio.to_thread(build_async_credential, connection) as credential:
            tokens = {await get_async_token(credential, connection, connection.token_scope) for _ in range(2)}
    [one] = tokens
    return one
