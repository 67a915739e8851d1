"""Machines whose clocks differ, within one process and for real ones."""

from __future__ import annotations

import time
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from unittest import mock

if TYPE_CHECKING:
    from collections.abc import Iterator

_TIME = time.time


@contextmanager
def clock_off_by(seconds: float) -> Iterator[None]:
    """What runs meanwhile is on another machine, whose clock is ahead by so much, or behind.

    A patch, since nothing but the process tells which machine's clock it is. Waiting goes by the monotonic clock.
    """
    with mock.patch.object(time, "time", side_effect=lambda: _TIME() + seconds):
        yield


@contextmanager
def clock_standing() -> Iterator[datetime]:
    """Let no time pass by the clock of this process, however slow the machine is; yields the time."""
    now = _TIME()
    with mock.patch.object(time, "time", return_value=now):
        yield datetime.fromtimestamp(now, UTC)
