"""An event loop whose clock stands still until a test moves it, while real requests go on."""

from __future__ import annotations

import asyncio
import functools
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


class HeldLoop(asyncio.SelectorEventLoop):
    """A loop whose timers see only the time that a test lets pass, whatever the machine's load; sockets are real."""

    def __init__(self) -> None:
        super().__init__()
        self._held = super().time()

    def time(self) -> float:
        """Return the clock's seconds."""
        return self._held

    def advance(self, seconds: float) -> None:
        """Let time pass; the timers that are then due run with the test's next await."""
        self._held += seconds


async def passed_until(condition: Callable[[], Any], *, step: float) -> float:
    """Let time pass, a step for each check, until the condition holds; returns the seconds that have passed.

    On a busy machine more of them pass, as there are more checks: only a lower bound may be asserted.
    """
    loop = asyncio.get_running_loop()
    assert isinstance(loop, HeldLoop)
    began = loop.time()
    gives_up = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < gives_up, "the condition did not hold within two minutes"
        loop.advance(step)
        # The condition depends on sockets and other threads, in real time.
        await asyncio.to_thread(time.sleep, 0.01)
    return loop.time() - began


def held(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test in a :class:`HeldLoop`."""

    @functools.wraps(test)
    def run(**fixtures: Any) -> None:
        with asyncio.Runner(loop_factory=HeldLoop) as runner:
            runner.run(test(**fixtures))

    return run
