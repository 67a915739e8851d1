"""A thread that does what is due, when the clock says so."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from aml_provider.emulator.clock import LAST_INSTANT

if TYPE_CHECKING:
    from collections.abc import Callable

    from aml_provider.emulator.clock import Clock

# What is due in more real time than this is looked at again before; a wait cannot be arbitrarily long.
_LONGEST_WAIT = 3600.0


class Watch:
    """Calls a function whenever the clock reaches what is due next, and after every change.

    Args:
        clock: The workspace's clock.
        work: Does what is due and returns when there is something to do again, if that is known.
        name: The thread's name.
    """

    def __init__(self, clock: Clock, work: Callable[[], float | None], name: str) -> None:
        self._clock = clock
        self._work = work
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Begin nothing more, and wait for what is being done."""
        self._stopping = True
        self._wake.set()
        self._thread.join()

    def wake(self) -> None:
        """Look again, because something changed."""
        self._wake.set()

    def left(self, due: float | None) -> float | None:
        """Real seconds until an instant, or until it is looked at again; None: only a change ends the wait.

        Args:
            due: The instant; None: there is none.
        """
        # A held clock does not get there, and no clock gets beyond its end.
        if due is None or due > LAST_INSTANT or self._clock.held:
            return None
        return min(max(0.0, (due - self._clock.now()) / self._clock.speed), _LONGEST_WAIT)

    def _loop(self) -> None:
        while not self._stopping:
            self._wake.clear()
            self._wake.wait(self.left(self._work()))
