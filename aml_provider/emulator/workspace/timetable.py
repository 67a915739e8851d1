"""The next instants of several endless series."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Timetable:
    """Named series of instants; only the next instant of each series is computed."""

    def __init__(self) -> None:
        self._next: dict[str, float] = {}
        self._later: dict[str, Iterator[float]] = {}

    def put(self, name: str, times: Iterator[float]) -> None:
        """Add a series, replacing the one with its name."""
        self._later[name] = times
        self._next[name] = next(times, inf)

    def remove(self, name: str) -> None:
        """Remove a series, if there is one with this name."""
        self._later.pop(name, None)
        self._next.pop(name, None)

    def next_due(self) -> float:
        """The earliest next instant; infinity if there is none."""
        return min(self._next.values(), default=inf)

    def take(self, until: float) -> Iterator[tuple[float, str]]:
        """The instants up to ``until`` in order, each with the name of its series."""
        while self.next_due() <= until:
            due, name = min((due, name) for name, due in self._next.items())
            self._next[name] = next(self._later[name], inf)
            yield due, name
