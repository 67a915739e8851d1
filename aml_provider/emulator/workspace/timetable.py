"""The next instants of several endless series."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Timetable:
    """Named series of instants; only the next instant of each is computed."""

    def __init__(self) -> None:
        self._next: dict[str, float] = {}
        self._later: dict[str, Iterator[float]] = {}

    def put(self, name: str, times: Iterator[float]) -> None:
        """Add a series, replacing the one with its name."""
        self._later[name] = times
        self._move_on(name)

    def drop(self, name: str) -> None:
        """Remove a series, if it exists."""
        self._next.pop(name, None)
        self._later.pop(name, None)

    def first(self) -> tuple[float, str] | None:
        """The earliest next instant, and the name of its series."""
        return min(((due, name) for name, due in self._next.items()), default=None)

    def take(self, name: str) -> float:
        """The next instant of a series; the series moves on to the following one."""
        due = self._next[name]
        self._move_on(name)
        return due

    def clear(self) -> None:
        """Remove all series."""
        self._next.clear()
        self._later.clear()

    def _move_on(self, name: str) -> None:
        due = next(self._later[name], None)
        if due is None:
            self.drop(name)
        else:
            self._next[name] = due
