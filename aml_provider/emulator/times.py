"""Instants as the services write them and as filters name them."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_FRACTION = re.compile(r"(\.\d{6})\d+")


def wire_time(seconds: float) -> str:
    """An instant with seven fractional digits and a Z, as in the services' replies."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f0Z")


def optional_wire_time(seconds: float | None) -> str | None:
    """The same, or null for what has not happened yet."""
    return None if seconds is None else wire_time(seconds)


def parse_time(text: str) -> float:
    """An instant from ISO 8601 with any number of fractional digits; without a zone it is UTC.

    Raises:
        ValueError: The text is no instant.
    """
    moment = datetime.fromisoformat(_FRACTION.sub(r"\1", text.strip()))
    try:
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except OverflowError as error:
        raise ValueError(f"{text!r} is beyond the calendar") from error
