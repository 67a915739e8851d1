"""A thread that calls a function when something is due on the workspace's clock."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from aml_provider.emulator.clock import LAST_INSTANT, Clock

if TYPE_CHECKING:
    from collections.abc import Callable


# In real seconds; a thread cannot wait arbitrarily long.
_LONGEST_WAIT = 3600.0


class Timer:
    """Calls a function whenever the clock reaches the next due instant, and after every change.

    The function does what is due, and returns the next due instant, or infinity if it knows none.
    """

    def __init__(self, clock: Clock, work: Callable[[], float], name: str) -> None:
        self._clock = clock
        self._work = work
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Start no more work, and wait for the work in progress."""
        self._stopping = True
        self._wake.set()
        self._thread.join()

    def wake(self) -> None:
        """Check again what is due, because something changed."""
        self._wake.set()

    def wait_seconds(self, due: float) -> float | None:
        """Real seconds to wait for an instant, at most an hour; None if only a change ends the wait."""
        # A held clock does not reach it, and no clock gets beyond its end.
        if due > LAST_INSTANT or self._clock.held:
            return None
        return min(max(0.0, (due - self._clock.now()) / self._clock.speed), _LONGEST_WAIT)

    def _loop(self) -> None:
        while not self._stopping:
            self._wake.clear()
            self._wake.wait(self.wait_seconds(self._work()))
