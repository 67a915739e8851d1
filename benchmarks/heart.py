"""How long an event loop stands still."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class Heart:
    """Beats in the event loop; what runs between two beats stalls whatever else waits there.

    Args:
        beat: Seconds between two beats; 0: one in each turn of the loop, so that nothing else is counted along.
        clock: By default the CPU time of the loop's thread: on a machine that does other things too, the time on the
            wall would show those. What another thread does is seen on the wall only, such as an import that holds
            Python's lock.
        aside: Count full garbage collections aside, in :attr:`collections`, and not as stalls. Such a collection goes
            through all objects of the process, nearly all of which are Airflow's, and comes when many objects have been
            made since the last one, whoever made them.

    Attributes:
        collections: The milliseconds of each full garbage collection in the loop's thread.
    """

    def __init__(
        self, beat: float = 0.005, clock: Callable[[], float] = time.thread_time, *, aside: bool = False
    ) -> None:
        self.longest = 0.0
        self.collections: list[float] = []
        self._aside = 0.0
        self._collecting = 0.0
        self._thread = threading.get_ident()
        self._counts_aside = aside
        if aside:
            gc.callbacks.append(self._collect)
        self._clock = clock
        self._beat = beat
        self._rest = 0.0 if clock is time.thread_time else beat
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while True:
            began, self._aside = self._clock(), 0.0
            try:
                await asyncio.sleep(self._beat)
            finally:  # also of the last one, which is stopped
                self.longest = max(self.longest, self._clock() - began - self._rest - self._aside)

    def _collect(self, phase: str, info: dict[str, Any]) -> None:
        if info["generation"] < 2 or threading.get_ident() != self._thread:
            return
        if phase == "start":
            self._collecting = self._clock()
            return
        took = self._clock() - self._collecting
        self._aside += took
        self.collections.append(took * 1000)

    async def stop(self) -> float:
        """The longest stall in milliseconds."""
        self._task.cancel()
        await asyncio.wait([self._task])
        if self._counts_aside:
            gc.callbacks.remove(self._collect)
        return self.longest * 1000
