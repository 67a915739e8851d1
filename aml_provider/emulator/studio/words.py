"""Durations, recurrences and triggers in words."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aml_provider.emulator.workspace.recurrence import Recurrence
    from aml_provider.emulator.workspace.schedule_models import DatastoreTrigger

_UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
_MINUTE = 60
_GLYPHS = {"Finished": "✓", "Failed": "✕", "Running": "●", "Canceled": "–"}  # noqa: RUF001 (as in the style sheet)
# More times of day are shorter as minutes of hours.
_MOST_TIMES = 6


def duration(seconds: float) -> str:
    """A duration in its two largest units, for example ``3.2 s`` or ``2 h 5 min``."""
    if round(seconds, 1) < 10:
        return f"{max(0.0, seconds):.1f}".removesuffix(".0") + " s"
    whole = round(seconds)
    for (unit, length), (smaller, part) in itertools.pairwise(_UNITS):
        if whole >= length:
            few = whole % length // part
            return f"{whole // length} {unit} {few} {smaller}" if few else f"{whole // length} {unit}"
    return f"{whole} s"


def distance(seconds: float) -> str:
    """The distance of an instant from now, positive in the future: ``in 5 min`` or ``5 min ago``."""
    length = _calm(abs(seconds))
    return f"in {length}" if seconds > 0 else f"{length} ago"


def glyph(status: str) -> str:
    """A sign for a status, so that nobody needs its colour; the style sheet has the same signs."""
    return _GLYPHS.get(status, "○")


def counted(number: int, things: str) -> str:
    """A number with its noun: ``1 run``, ``2 runs``."""
    return f"{number} {noun(number, things)}"


def noun(number: int, things: str) -> str:
    """The noun for a number: ``run`` for 1, else ``runs``."""
    return things.removesuffix("s") if number == 1 else things


def ahead(seconds: float) -> str:
    """The difference of a clock from real time, and the cause: ``5 h ahead of real time, …``; empty below a minute."""
    if abs(seconds) < _MINUTE:
        return ""
    length = _calm(abs(seconds))
    if seconds > 0:
        return f"{length} ahead of real time, because it was moved or ran faster"
    return f"{length} behind real time, because it was held or ran more slowly"


def _calm(seconds: float) -> str:
    """A duration, in whole minutes if it is a minute or more: seconds would change at every refresh."""
    return duration(round(seconds / 60) * 60 if seconds >= _MINUTE else round(seconds))


def recurrence_words(recurrence: Recurrence, *, minute_zero: bool = False) -> str:
    """When a recurrence fires, without its time zone; with ``minute_zero``, hours without minutes mean minute 0."""
    unit = recurrence.frequency.lower()
    text = f"Every {unit}" if recurrence.interval == 1 else f"Every {counted(recurrence.interval, f'{unit}s')}"
    if recurrence.week_days:
        text += f" on {_listed(recurrence.week_days)}"
    text += _times(recurrence, "minute 0" if minute_zero else "the minute of its start")
    if recurrence.start_time is not None:
        text += f", starting {recurrence.start_time.replace('T', ' ').removesuffix('Z')}"
    return text


def trigger_words(trigger: DatastoreTrigger) -> str:
    """When a trigger starts a run."""
    folder = f"{trigger.datastore}/{(trigger.path or '').strip('/')}".rstrip("/")
    pause = "every minute" if trigger.polling_interval == 1 else f"every {counted(trigger.polling_interval, 'minutes')}"
    return f"When a blob directly in {folder} is added or modified; polls {pause}"


def _times(recurrence: Recurrence, start_minute: str) -> str:
    hours, minutes = sorted(set(recurrence.hours)), sorted(set(recurrence.minutes))
    if hours and minutes and len(hours) * len(minutes) <= _MOST_TIMES:
        return f" at {_listed(f'{hour:02}:{minute:02}' for hour in hours for minute in minutes)}"
    if hours and minutes:
        return f" at {_numbered('minutes', minutes)} of {_numbered('hours', hours)}"
    if hours:
        return f" in {_numbered('hours', hours)} at {start_minute}"
    return f" at {_numbered('minutes', minutes)} of the hour of its start" if minutes else ""


def _numbered(units: str, numbers: list[int]) -> str:
    return f"{noun(len(numbers), units)} {_listed(map(str, numbers))}"


def _listed(texts: Iterable[str]) -> str:
    *first, last = texts
    return f"{', '.join(first)} and {last}" if first else last
