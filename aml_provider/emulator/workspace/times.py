"""Instants in the formats of the services and of filters."""

from __future__ import annotations

import re
from datetime import UTC, datetime

# The first and last instants of the calendar, in seconds; earlier and later ones are written as these.
_CALENDAR = (datetime(1, 1, 1, tzinfo=UTC).timestamp(), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp())
_FRACTION = re.compile(r"(\.\d{6})\d+")


def wire_time(seconds: float) -> str:
    """An instant with seven fractional digits and a Z, as in the services' replies."""
    first, last = _CALENDAR
    return datetime.fromtimestamp(min(max(seconds, first), last), UTC).strftime("%Y-%m-%dT%H:%M:%S.%f0Z")


def optional_wire_time(seconds: float | None) -> str | None:
    """As :func:`wire_time`; None, for an instant that is not known yet, stays None."""
    return None if seconds is None else wire_time(seconds)


def parse_time(text: str) -> float:
    """An instant from ISO 8601 with any number of fractional digits; without a zone it is UTC.

    Raises:
        ValueError: The text is not an instant.
    """
    moment = datetime.fromisoformat(_FRACTION.sub(r"\1", text.strip()))
    try:
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except OverflowError as error:
        raise ValueError(f"{text!r} is beyond the calendar") from error
