"""A credential of azure-identity, as those see it who keep its tokens or explain its errors."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace

from azure.core.credentials import AccessToken


class Inner:
    """Counts the requests, and answers them when it is let, or fails."""

    def __init__(self, lifetime=3600.0):
        self.lifetime = lifetime
        self.asked = []
        self.answer = asyncio.Event()
        self.failure = None
        self.closed = False

    def token(self, scope):
        self.asked.append(scope)
        if self.failure:
            raise self.failure
        return AccessToken(f"token-{len(self.asked)}", int(time.time() + self.lifetime))

    def sync(self):
        return SimpleNamespace(get_token=self.token)

    async def get_token(self, scope):
        await self.answer.wait()
        return self.token(scope)

    async def close(self):
        self.closed = True
