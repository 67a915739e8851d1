"""Lets the starts of many triggers take turns, so that together they do not block their event loop."""

from __future__ import annotations

import asyncio
from collections import deque

from aml_provider.triggerer.per_loop import PerLoop

# Starts that continue in one turn of the event loop. To read a connection takes 0.2 to 0.4 ms of CPU, so a turn takes a
# few milliseconds, and what is waiting in the loop for something else runs in between.
_AT_ONCE = 10


class Turns:
    """The turns of one event loop.

    Starts that wait for the same thing, such as an import, or for replies that arrive together, would all continue in
    one turn of the loop. Here only a few of them do, in the order in which they came. Nobody holds a place: a start
    that is cancelled while it waits delays no other start, and a start that waits for a reply later does not either.
    """

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._left = _AT_ONCE
        self._is_counting = False

    async def take(self) -> None:
        """Return in this turn of the loop, or in a later one if enough starts have continued in this one."""
        loop = asyncio.get_running_loop()
        if not self._is_counting:
            self._is_counting = True
            loop.call_soon(self._next, loop)
        if self._left and not self._waiting:
            self._left -= 1
            return
        turn = loop.create_future()
        self._waiting.append(turn)
        await turn

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        self._left = _AT_ONCE
        self._is_counting = bool(self._waiting)
        while self._left and self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():  # it was cancelled
                turn.set_result(None)
                self._left -= 1
        if self._is_counting:
            loop.call_soon(self._next, loop)


_TURNS = PerLoop(Turns)


async def take_turn() -> None:
    """Continue in one of the next turns of this event loop, together with only a few other starts."""
    await _TURNS.here.take()
