"""An event loop whose clock stands still until a test moves it, and while a request is on its way."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from typing import TYPE_CHECKING, Any
from unittest import mock

import httpx

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine


class HeldLoop(asyncio.SelectorEventLoop):
    """A loop whose timers see only the time that a test lets pass, whatever the machine's load; sockets are real.

    Attributes:
        requests: The number of requests that are on their way.
    """

    def __init__(self) -> None:
        super().__init__()
        self._held = super().time()
        self.requests = 0

    def time(self) -> float:
        """Return the clock's seconds."""
        return self._held

    def advance(self, seconds: float) -> None:
        """Let time pass; the timers that are then due run with the test's next await."""
        self._held += seconds


async def passed_until(condition: Callable[[], Any], *, step: float) -> float:
    """Let time pass, a step for each check, until the condition holds; returns the seconds that have passed.

    No time passes while a request is on its way: it takes real time, and would take minutes, or meet its timeout. On a
    busy machine more seconds pass, as there are more checks: only a lower bound may be asserted.
    """
    loop = asyncio.get_running_loop()
    assert isinstance(loop, HeldLoop)
    began = loop.time()
    gives_up = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < gives_up, "the condition did not hold within two minutes"
        if not loop.requests:
            loop.advance(step)
        # The condition depends on sockets and other threads, in real time.
        await asyncio.to_thread(time.sleep, 0.01)
    return loop.time() - began


def held(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test in a :class:`HeldLoop`."""
    stream = httpx.AsyncClient.stream

    @contextlib.asynccontextmanager
    async def counted(client: httpx.AsyncClient, *arguments: Any, **options: Any) -> AsyncIterator[httpx.Response]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, HeldLoop)
        loop.requests += 1
        try:
            async with stream(client, *arguments, **options) as response:
                yield response
        finally:
            loop.requests -= 1

    @functools.wraps(test)
    def run(**fixtures: Any) -> None:
        # A patch, since nothing but the library knows when a request begins and ends.
        with (
            mock.patch.object(httpx.AsyncClient, "stream", counted),
            asyncio.Runner(loop_factory=HeldLoop) as runner,
        ):
            runner.run(test(**fixtures))

    return run
