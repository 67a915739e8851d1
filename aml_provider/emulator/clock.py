"""The workspace's clock: real time at some speed, or held still and moved by hand."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Agenda(Protocol):
    """Work that has to be done at certain instants, so that time must not jump over it."""

    def next_due(self, until: float) -> float | None:
        """The first instant up to ``until`` at which something has to be done."""

    def catch_up(self) -> None:
        """Do what is due now and wait until it is done."""

    def wake(self) -> None:
        """Look again: the clock was changed."""


class Agendas:
    """Several agendas as one; what an earlier one does is done before a later one looks."""

    def __init__(self, *agendas: Agenda) -> None:
        self._agendas = agendas

    def next_due(self, until: float) -> float | None:
        """The first instant up to ``until`` at which any of them has something to do."""
        found = (agenda.next_due(until) for agenda in self._agendas)
        return min((due for due in found if due is not None), default=None)

    def catch_up(self) -> None:
        """Let each do what is due now."""
        for agenda in self._agendas:
            agenda.catch_up()

    def wake(self) -> None:
        """Let each look again."""
        for agenda in self._agendas:
            agenda.wake()


class Clock:
    """Seconds since 1970 in workspace time.

    Args:
        speed: Workspace seconds per real second.
    """

    def __init__(self, speed: float = 1.0) -> None:
        self._lock = threading.Lock()
        self._first_speed = self._speed = _positive("speed", speed)
        self._held = False
        self._move_to(time.time())
        self.agenda: Agenda = Agendas()

    @property
    def speed(self) -> float:
        """Workspace seconds per real second while the clock is not held."""
        return self._speed

    @property
    def held(self) -> bool:
        """Whether time stands still."""
        return self._held

    def now(self) -> float:
        """The current instant."""
        with self._lock:
            return self._now()

    def hold(self) -> None:
        """Let time stand still until it is released; ``advance`` still moves it."""
        self.set(held=True)

    def release(self) -> None:
        """Let time run on."""
        self.set(held=False)

    def set(self, *, held: bool | None = None, speed: float | None = None) -> None:
        """Hold or release the clock, or change its speed, without a jump."""
        with self._lock:
            self._move_to(self._now())
            self._held = self._held if held is None else held
            self._speed = self._speed if speed is None else _positive("speed", speed)
        self.agenda.wake()

    def reset(self) -> None:
        """Go back to real time and the first speed."""
        with self._lock:
            self._move_to(time.time())
            self._held = False
            self._speed = self._first_speed
        self.agenda.wake()

    def not_before(self, instant: float) -> None:
        """Move time forward to an instant that has been before, for example in an earlier process."""
        self._reach(instant)

    def advance(self, seconds: float) -> None:
        """Move time forward, stopping at everything that has to be done on the way.

        A bound step function takes no time here: it starts at its instant and has returned before time moves on.
        """
        target = self.now() + _positive("seconds", seconds)
        self.agenda.catch_up()
        while (due := self.agenda.next_due(target)) is not None:
            self._reach(due)
            self.agenda.catch_up()
        self._reach(target)
        self.agenda.wake()

    def _reach(self, instant: float) -> None:
        with self._lock:
            self._move_to(max(instant, self._now()))

    def _move_to(self, instant: float) -> None:
        self._anchor_time = instant
        self._anchor_real = time.monotonic()

    def _now(self) -> float:
        if self._held:
            return self._anchor_time
        return self._anchor_time + (time.monotonic() - self._anchor_real) * self._speed


def _positive(name: str, value: float) -> float:
    if not value > 0:
        raise ValueError(f"{name} must be above 0, got {value}")
    return value
