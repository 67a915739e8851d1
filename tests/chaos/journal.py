"""What a storm did, as it did it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from datetime import UTC, datetime
from typing import NamedTuple


class Entry(NamedTuple):
    """One thing that was done.

    Args:
        time: When, in seconds since the epoch.
        kind: What kind of thing it was; the report counts them.
        detail: What exactly.
    """

    time: float
    kind: str
    detail: str

    def __str__(self) -> str:
        return f"{told(self.time)} {self.kind}{f' ({self.detail})' if self.detail else ''}"


class Journal:
    """All entries, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: list[Entry] = []

    def note(self, kind: str, detail: str = "") -> None:
        """Add an entry."""
        with self._lock:
            self._entries.append(Entry(time.time(), kind, detail))

    def counts(self) -> dict[str, int]:
        """How many there are of each kind."""
        with self._lock:
            return dict(sorted(Counter(entry.kind for entry in self._entries).items()))

    def kills(self) -> int:
        """How many kills there are."""
        return sum(number for kind, number in self.counts().items() if kind.startswith("kill -9"))

    def between(self, since: float, until: float) -> list[Entry]:
        """The entries of a span of time."""
        with self._lock:
            return [entry for entry in self._entries if since <= entry.time <= until]


def told(instant: float) -> str:
    """An instant, as the report and Airflow's logs write it."""
    return datetime.fromtimestamp(instant, UTC).strftime("%H:%M:%S.%f")[:-4]
