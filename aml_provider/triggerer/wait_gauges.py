"""Reports how many runs a triggerer waits for, and when their status was last read."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aml_provider import metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from aml_provider.client.polling.waits import WaitQueue

# Seconds from the first wait to the first report, and between two reports: StatsD sends every ten seconds.
_FIRST, _EVERY = 1.0, 10.0


class WaitGauges:
    """The gauges of one event loop.

    A gauge keeps its last value wherever it is stored. So it is reported again and again while there are waits, also if
    no poll succeeds, and as 0 once after the last wait of a connection.

    Args:
        queues: Returns the queues of all waits, each with its connection.
    """

    def __init__(self, queues: Callable[[], Iterable[tuple[str, WaitQueue]]]) -> None:
        self._queues = queues
        self._reported: set[str] = set()
        # Not the timer itself, which refers to its loop: a loop that ends before the timer fires would stay in memory.
        self._is_running = False

    def start(self) -> None:
        """Report every few seconds from now on, until there are no waits; the caller has begun one."""
        if not self._is_running:
            self._is_running = True
            asyncio.get_running_loop().call_later(_FIRST, self._tick)

    def report(self, now: float) -> bool:
        """Report the gauges of each connection; returns whether there are waits.

        Args:
            now: The time by the clock of the queues.
        """
        waiting: dict[str, int] = {}
        ages: dict[str, float] = {}
        for conn_id, queue in self._queues():
            waiting[conn_id] = waiting.get(conn_id, 0) + len(queue)
            ages[conn_id] = max(ages.get(conn_id, 0.0), queue.age(now))
        for conn_id in sorted(self._reported | waiting.keys()):
            metrics.gauge(metrics.WAITING, waiting.get(conn_id, 0), conn_id=conn_id)
            metrics.gauge(metrics.POLL_AGE, round(ages.get(conn_id, 0.0), 3), conn_id=conn_id)
        self._reported = {conn_id for conn_id, number in waiting.items() if number}
        return bool(self._reported)

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        self._is_running = False
        if self.report(loop.time()):
            self._is_running = True
            loop.call_later(_EVERY, self._tick)
