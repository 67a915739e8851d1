"""The workspace's clock: real time at some speed, or held still and moved by hand."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

LAST_INSTANT = datetime(2200, 1, 1, tzinfo=UTC).timestamp()
"""The instant at which the clock stops, because dates in replies have a limit. Start times have the same limit."""

SPEEDS = (1e-6, 1e6)
"""The slowest and the fastest speed."""

LONGEST_MOVE = 366 * 86400.0
"""The longest move, in seconds: every run that is due on the way has to be created."""

_MOST_DIGITS = 18
_MOST_SHOWN = 80


class Agenda(Protocol):
    """Work that is due at certain instants, which a move of the clock must not skip."""

    def next_due(self) -> float:
        """The first instant at which something is due; infinity if nothing is."""

    def catch_up(self) -> None:
        """Do what is due now, and wait until it is done."""

    def wake(self) -> None:
        """Check again what is due, because the clock was changed."""


class Clock:
    """Seconds since 1970 in workspace time.

    Args:
        speed: Workspace seconds per real second.

    Raises:
        ValueError: The speed is out of range.

    Attributes:
        agendas: The work that a move must not skip; at each instant, one agenda finishes before the next one begins.
    """

    def __init__(self, speed: float = 1.0) -> None:
        self._lock = threading.Lock()
        check_speed(speed)
        self._first_speed = self._speed = speed
        self._held = False
        self._moves = 0
        self._move_to(time.time())
        self.agendas: tuple[Agenda, ...] = ()

    @property
    def speed(self) -> float:
        """Workspace seconds per real second while the clock is not held."""
        return self._speed

    @property
    def held(self) -> bool:
        """Whether time stands still."""
        return self._held

    def now(self) -> float:
        """The present instant."""
        with self._lock:
            return self._now()

    def ahead(self) -> float:
        """Seconds that the clock is ahead of real time; below 0 it is behind."""
        return self.now() - time.time()

    def hold(self) -> None:
        """Stop time until ``release``; ``advance`` still moves it."""
        self.set(held=True)

    def release(self) -> None:
        """Let time continue."""
        self.set(held=False)

    def set(self, *, held: bool | None = None, speed: float | None = None) -> None:
        """Hold or release the clock, or change its speed, without a jump.

        Raises:
            ValueError: The speed is out of range; nothing has changed.
        """
        if speed is not None:
            check_speed(speed)
        with self._lock:
            self._move_to(self._now())
            self._held = self._held if held is None else held
            self._speed = self._speed if speed is None else speed
        self._wake()

    def reset(self) -> None:
        """Return to real time and the initial speed."""
        with self._lock:
            self._move_to(time.time())
            self._held = False
            self._speed = self._first_speed
        self._wake()

    def not_before(self, instant: float) -> None:
        """Move time forward to an instant, for example to an instant that an earlier process has already reached."""
        with self._lock:
            self._move_to(min(max(instant, self._now()), LAST_INSTANT))

    def advance(self, seconds: float) -> None:
        """Move time forward, and stop at everything that is due on the way.

        A step function takes no time on this clock: it starts when it is due, and time moves on only after it has
        returned.

        Raises:
            ValueError: The move is too long, or does not go forward; the clock has not moved.
        """
        check_move(seconds)
        with self._standing():
            # The clock never gets beyond its end, so nothing that is due later may be waited for.
            target = min(self.now() + seconds, LAST_INSTANT)
            self._catch_up()
            while (due := min((agenda.next_due() for agenda in self.agendas), default=math.inf)) <= target:
                self.not_before(due)
                self._catch_up()
            self.not_before(target)
        self._wake()

    @contextlib.contextmanager
    def _standing(self) -> Iterator[None]:
        """Stop time during a move: otherwise work could become due meanwhile, and nothing would wait for its end."""
        with self._lock:
            self._move_to(self._now())
            self._moves += 1
        try:
            yield
        finally:
            with self._lock:
                self._move_to(self._now())
                self._moves -= 1

    def _catch_up(self) -> None:
        for agenda in self.agendas:
            agenda.catch_up()

    def _wake(self) -> None:
        for agenda in self.agendas:
            agenda.wake()

    def _move_to(self, instant: float) -> None:
        self._anchor_time = instant
        self._anchor_real = time.monotonic()

    def _now(self) -> float:
        if self._held or self._moves:
            return self._anchor_time
        return min(LAST_INSTANT, self._anchor_time + (time.monotonic() - self._anchor_real) * self._speed)


def check_speed(speed: float) -> None:
    """Check the speed of a clock.

    Raises:
        ValueError: It is out of range.
    """
    least, most = SPEEDS
    # A comparison is false for NaN, and works for whole numbers too large for a float.
    if not least <= speed <= most:
        raise ValueError(f"speed is a number from {least:g} to {most:,.0f}, not {shown(speed)}")


def check_move(seconds: float) -> None:
    """Check the length of one move.

    Raises:
        ValueError: It is too long, or not forward.
    """
    if not 0 < seconds <= LONGEST_MOVE:
        raise ValueError(
            f"advance is a number of seconds above 0 and at most {LONGEST_MOVE:,.0f} (366 days), not {shown(seconds)}"
        )


def shown(value: object) -> str:
    """A value for a message, shortened; Python refuses to write whole numbers with thousands of digits."""
    if isinstance(value, int) and abs(value) >= 10**_MOST_DIGITS:
        return f"a number of more than {_MOST_DIGITS} digits"
    text = repr(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"
