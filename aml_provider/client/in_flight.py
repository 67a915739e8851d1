"""Calls that are under way, for all who want the same result at the same time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")


class InFlight(Generic[T]):
    """The calls of one event loop that are under way.

    A caller that wants a result which another one is fetching gets the same result, or the same error. Nothing is kept:
    a later caller begins a new call.
    """

    def __init__(self) -> None:
        self._calls: dict[str, asyncio.Task[T | Exception]] = {}

    async def result(self, key: str, call: Callable[[], Awaitable[T]]) -> T:
        """Wait for the call with this key, which is begun if there is none; raises what the call raises."""
        task = self._calls.get(key)
        if task is None:
            task = self._calls[key] = asyncio.create_task(_outcome(call))
            task.add_done_callback(lambda _: self._calls.pop(key))
        # A caller that is cancelled must not cancel the call of the others.
        outcome = await asyncio.shield(task)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def cancel(self) -> None:
        """Cancel all calls."""
        calls = list(self._calls.values())
        for task in calls:
            task.cancel()
        await asyncio.gather(*calls, return_exceptions=True)


async def _outcome(call: Callable[[], Awaitable[T]]) -> T | Exception:
    """The result of a call; an error is returned and not raised.

    If all callers have given up, asyncio would log an error that nobody has taken from the task. Its text may hold a
    secret, such as the password of a proxy.
    """
    try:
        return await call()
    except Exception as error:  # noqa: BLE001 - result() raises it
        return error
