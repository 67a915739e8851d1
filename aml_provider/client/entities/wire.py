"""Values as the services write them.

The readers are tolerant where the service is known to vary: enums come as names, integers or digit strings, dates with
up to seven fractional digits. Keys are matched in the casing that each service uses.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from aml_provider.client.text import one_line, printable

_IDS = frozenset({"Id", "runId", "experimentId"})
# A status that we do not know is shown as it came, but it is a word.
_LONGEST_WORD = 100
ENTITY_CODES = ("Active", "Deprecated", "Disabled")

# How .NET's older JSON writers put a moment: milliseconds since the epoch, and an offset that changes nothing.
_TICKS = re.compile(r"/Date\((-?[0-9]{1,17})(?:[+-][0-9]{4})?\)/")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def enum_name(value: Any, names: tuple[str, ...]) -> str:
    """An enum as its name, whether the service sent a name, an integer or a string of digits."""
    if isinstance(value, bool) or value is None:
        return ""
    if isinstance(value, int) or (isinstance(value, str) and value.isdecimal()):
        number = int(value)
        return names[number] if 0 <= number < len(names) else str(value)
    return one_line(str(value), _LONGEST_WORD)


def read_time(value: Any) -> datetime | None:
    """Read an instant in any form in which a service may write it; without an offset it is in UTC.

    The services write ISO 8601 with up to seven fractional digits. The other two forms, that of mail headers and
    ``/Date(…)/``, are forms that .NET writes.
    """
    if not isinstance(value, str) or not value:
        return None
    try:
        ticks = _TICKS.fullmatch(value)
        if ticks is not None:
            return _EPOCH + timedelta(milliseconds=int(ticks[1]))
        moment = parsedate_to_datetime(value) if value[:1].isalpha() else datetime.fromisoformat(value)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def read_id(wire: dict[str, Any], key: str) -> str:
    """An id, which must be present: all further requests use it.

    Raises:
        LookupError: It is missing.
        ValueError: No request can carry it.
    """
    value = wire[key]
    if not isinstance(value, str) or not value:
        raise ValueError(f"{key} is {value!r}")
    value.encode()  # a lone surrogate is valid JSON, but cannot be part of a URL
    if key in _IDS and value != printable(value):
        raise ValueError(f"{key} is {value!r}")
    return value


def read_text(value: Any) -> str:
    """A text; None becomes the empty text."""
    return "" if value is None else str(value)


def text_map(value: Any) -> dict[str, str]:
    """A map of texts; anything else becomes an empty map."""
    items = value.items() if isinstance(value, dict) else ()
    return {str(key): read_text(item) for key, item in items}
