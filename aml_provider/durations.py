"""Durations, which an author gives as seconds or as a timedelta."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from aml_provider.client.arguments import shown
from aml_provider.client.errors import InvalidArgument

# Airflow and its database cannot compute instants much later.
_LONGEST_YEARS = 1000


def in_seconds(argument: str, value: Any, *, minimum: float = 0.0) -> float:
    """Convert a duration, given as seconds or as a timedelta, to seconds.

    Raises:
        InvalidArgument: The value is not a duration, is shorter than ``minimum`` seconds, or is longer than a thousand
            years; the message names ``argument``.
    """
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise InvalidArgument(argument, f"is {shown(value)}; use seconds or a timedelta")
    if not seconds >= minimum:
        raise InvalidArgument(argument, f"is {seconds:g} s; it must be at least {minimum:g} s")
    if seconds > _LONGEST_YEARS * 366 * 86400.0:
        raise InvalidArgument(argument, f"is {shown(seconds)} s; it must be at most {_LONGEST_YEARS} years")
    return float(seconds)
