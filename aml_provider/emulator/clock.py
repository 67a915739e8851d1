"""The workspace's clock: real time at some speed, or held still and moved by hand."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import Protocol

LAST_INSTANT = datetime(2200, 1, 1, tzinfo=UTC).timestamp()
"""Where the clock stops: later there are no start times either, and the calendar of replies has an end."""

SPEEDS = (1e-6, 1e6)
"""The slowest and the fastest."""

LONGEST_MOVE = 366 * 86400.0
"""Seconds, at most, by which the clock is moved at once: every run that is due on the way is made."""

_MOST_DIGITS = 18
_MOST_SHOWN = 80


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

    Raises:
        ValueError: No clock has this speed.
    """

    def __init__(self, speed: float = 1.0) -> None:
        self._lock = threading.Lock()
        check_speed(speed)
        self._first_speed = self._speed = speed
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

    def ahead(self) -> float:
        """Seconds that the clock is ahead of real time; below 0 it is behind."""
        return self.now() - time.time()

    def hold(self) -> None:
        """Let time stand still until it is released; ``advance`` still moves it."""
        self.set(held=True)

    def release(self) -> None:
        """Let time run on."""
        self.set(held=False)

    def set(self, *, held: bool | None = None, speed: float | None = None) -> None:
        """Hold or release the clock, or change its speed, without a jump.

        Raises:
            ValueError: No clock has this speed; nothing has changed.
        """
        if speed is not None:
            check_speed(speed)
        with self._lock:
            self._move_to(self._now())
            self._held = self._held if held is None else held
            self._speed = self._speed if speed is None else speed
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

        Raises:
            ValueError: The clock does not move so far; it has not moved.
        """
        check_move(seconds)
        # What is due after the end is never reached, and so must not be waited for.
        target = min(self.now() + seconds, LAST_INSTANT)
        self.agenda.catch_up()
        while (due := self.agenda.next_due(target)) is not None:
            self._reach(due)
            self.agenda.catch_up()
        self._reach(target)
        self.agenda.wake()

    def _reach(self, instant: float) -> None:
        with self._lock:
            self._move_to(min(max(instant, self._now()), LAST_INSTANT))

    def _move_to(self, instant: float) -> None:
        self._anchor_time = instant
        self._anchor_real = time.monotonic()

    def _now(self) -> float:
        if self._held:
            return self._anchor_time
        return min(LAST_INSTANT, self._anchor_time + (time.monotonic() - self._anchor_real) * self._speed)


def check_speed(speed: float) -> None:
    """Make sure that a clock can have a speed.

    Raises:
        ValueError: It cannot.
    """
    least, most = SPEEDS
    # A comparison is false for what is no number, and needs no float of a huge whole number.
    if not least <= speed <= most:
        raise ValueError(f"speed is a number from {least:g} to {most:,.0f}, not {shown(speed)}")


def check_move(seconds: float) -> None:
    """Make sure that a clock can be moved so far at once.

    Raises:
        ValueError: It cannot.
    """
    if not 0 < seconds <= LONGEST_MOVE:
        raise ValueError(
            f"advance is a number of seconds above 0 and at most {LONGEST_MOVE:,.0f} (366 days), not {shown(seconds)}"
        )


def shown(value: object) -> str:
    """A value for a message, however long it is; a whole number can have more digits than Python writes."""
    if isinstance(value, int) and abs(value) >= 10**_MOST_DIGITS:
        return f"a number of more than {_MOST_DIGITS} digits"
    text = repr(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"
