"""How long an event loop stands still."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Heart:
    """Beats in the event loop; what runs between two beats stalls whatever else waits there.

    Args:
        beat: Seconds between two beats; 0: one in each turn of the loop, so that nothing else is counted along.
        clock: By default the CPU time of the loop's thread: on a machine that does other things too, the time on the
            wall would show those. What another thread does is seen on the wall only, such as an import that holds
            Python's lock.
    """

    def __init__(self, beat: float = 0.005, clock: Callable[[], float] = time.thread_time) -> None:
        self.longest = 0.0
        self._clock = clock
        self._beat = beat
        self._rest = 0.0 if clock is time.thread_time else beat
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while True:
            began = self._clock()
            try:
                await asyncio.sleep(self._beat)
            finally:  # also of the last one, which is stopped
                self.longest = max(self.longest, self._clock() - began - self._rest)

    async def stop(self) -> float:
        """The longest stall in milliseconds."""
        self._task.cancel()
        await asyncio.wait([self._task])
        return self.longest * 1000
