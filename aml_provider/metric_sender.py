"""Sends metrics through Airflow's stats, and never fails what they count.

A backend looks up a host when it is first used, and may raise anything, or block. So its errors are logged once for
each process, and the metrics of an event loop are sent by a thread. Elsewhere they are sent immediately, as Airflow
sends its own: the process of a task may end with the next line.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import queue
import re
import threading
from typing import Any

from aml_provider import compat

log = logging.getLogger(__name__)

# Characters that have a meaning to StatsD or InfluxDB; StatsD's client sends only ASCII.
_SPECIAL = re.compile(r"[^\w.-]", re.ASCII)
# Airflow's StatsD logger refuses a name of more than 250 characters, tags included, and logs a traceback each time. If
# the values of the tags have more characters than the first number, each is cut to the second.
_ROOM, _SHORT = 180, 60
# The most metrics that wait for a backend that does not answer.
_MOST = 10_000


def send(method: str, name: str, value: Any, tags: dict[str, str | None], *, is_of_host: bool = False) -> None:
    """Send one metric, in an event loop without waiting for that.

    Args:
        method: The method of Airflow's stats.
        name: The metric's name.
        value: Its value.
        tags: The values of its tags; None: the tag is left out.
        is_of_host: Whether it gets the tag ``hostname``.
    """
    item = functools.partial(_send_now, method, name, value, tags, is_of_host=is_of_host)
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        item()
    else:
        _SENDER.put(item)


def _send_now(method: str, name: str, value: Any, tags: dict[str, str | None], *, is_of_host: bool) -> None:
    try:
        if is_of_host:
            tags = {"hostname": _hostname(), **tags}
        getattr(compat.stats(), method)(name, value, tags=_clean(tags))
    except Exception as error:  # noqa: BLE001 - a backend may raise anything
        _log_once(error)


def _clean(tags: dict[str, str | None]) -> dict[str, str]:
    # A rendered connection id can be anything.
    known = {name: _SPECIAL.sub("_", str(value)) for name, value in tags.items() if value}
    if sum(map(len, known.values())) > _ROOM:
        known = {name: value[:_SHORT] for name, value in known.items()}
    return known


@functools.cache
def _hostname() -> str:
    """The name that Airflow gives to the same tag of its own metrics; looking it up may take long."""
    name: str = compat.get_hostname()
    return name


_failures: list[Exception] = []


def _log_once(error: Exception) -> None:
    if not _failures:
        _failures.append(error)
        log.warning("Airflow's stats could not take a metric of this provider; this is logged once. %r", error)


class _Sender:
    """Sends metrics in a thread, which begins with the first one."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[functools.partial[None]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def put(self, item: functools.partial[None]) -> None:
        """Send it soon; drop it if too many are waiting."""
        if self._queue.qsize() >= _MOST:
            return
        self._queue.put(item)
        # In a forked process, the parent's thread is not alive.
        if self._thread is None or not self._thread.is_alive():
            with self._lock:
                if self._thread is None or not self._thread.is_alive():
                    self._thread = threading.Thread(target=self._run, name="azureml-metrics", daemon=True)
                    self._thread.start()

    def _run(self) -> None:
        while True:
            self._queue.get()()


_SENDER = _Sender()
