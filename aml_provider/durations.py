"""Seconds, however an author writes them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from aml_provider.client.arguments import shown
from aml_provider.client.errors import InvalidArgument

# A thousand years: nothing is reckoned with what is longer.
_LONGEST = 1000 * 366 * 86400.0


def in_seconds(argument: str, value: Any, *, minimum: float = 0.0) -> float:
    """A duration as seconds.

    Args:
        argument: Its name, for the error.
        value: Seconds, or a timedelta.
        minimum: The least that makes sense, in seconds.

    Raises:
        InvalidArgument: It is no duration, or too short.
    """
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise InvalidArgument(argument, f"is {shown(value)}; use seconds or a timedelta")
    if not seconds >= minimum:
        raise InvalidArgument(argument, f"is {seconds:g} s; it must be at least {minimum:g} s")
    if seconds > _LONGEST:
        raise InvalidArgument(argument, f"is {shown(seconds)} s; it must be a length of time that ends")
    return float(seconds)
