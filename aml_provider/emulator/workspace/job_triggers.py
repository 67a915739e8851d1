"""The trigger of a job schedule, and when it fires (azureml-v2-rest 6.1)."""

from __future__ import annotations

import calendar
import itertools
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from aml_provider.emulator.workspace.body import Body
from aml_provider.emulator.workspace.errors import bad_request
from aml_provider.emulator.workspace.recurrence import (
    FREQUENCIES,
    WEEK_DAYS,
    Recurrence,
    check_local,
    check_numbers,
    instant_of,
    instants,
    read_local,
    steps,
    wall_times,
)
from aml_provider.emulator.workspace.time_zones import windows_zone

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_CRON_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_CRON_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


@dataclass(frozen=True, slots=True)
class JobRecurrence(Recurrence):
    """A recurrence of the v2 API. It can have days of the month, and its zone can have an IANA name."""

    month_days: tuple[int, ...] = ()

    def check_lists(self) -> None:
        """Refuse lists that the frequency excludes."""
        check_numbers("monthDays", self.month_days, 1, 31)
        if (self.hours or self.minutes) and self.frequency in ("Hour", "Minute"):
            raise ValueError("hours and minutes need the frequency Day, Week or Month")
        if self.week_days and self.frequency not in ("Week", "Month"):
            raise ValueError("weekDays need the frequency Week or Month")
        if self.month_days and self.frequency != "Month":
            raise ValueError("monthDays need the frequency Month")

    def days_of_month(self, year: int, month: int, first: int) -> Sequence[int]:
        """The days of a month on which it fires; days that the month does not have are left out."""
        if not (self.month_days or self.week_days):
            return Recurrence.days_of_month(self, year, month, first)
        days = range(1, calendar.monthrange(year, month)[1] + 1)
        return [
            day
            for day in days
            if day in self.month_days or WEEK_DAYS[date(year, month, day).weekday()] in self.week_days
        ]

    def zone_named(self, name: str) -> ZoneInfo:
        """The zone with a Windows or IANA name.

        Raises:
            ValueError: The name is unknown.
        """
        try:
            return windows_zone(name)
        except ValueError as error:
            try:
                return ZoneInfo(name)
            except (ZoneInfoNotFoundError, ValueError, OSError):
                raise error from None


@dataclass(frozen=True, slots=True)
class JobTrigger:
    """When a job schedule fires.

    Attributes:
        recurrence: Its times; a cron expression becomes a recurrence too, as its day and month are ignored.
        end: The last local time at which it may fire.
    """

    recurrence: JobRecurrence
    end: datetime | None

    @property
    def at_start(self) -> bool:
        """Whether it fires at its start, as a recurrence without lists does."""
        given = self.recurrence
        return not (given.hours or given.minutes or given.week_days or given.month_days)

    @classmethod
    def from_wire(cls, value: object, *, iana_zones: bool = True) -> JobTrigger:
        """Read the trigger from the ``trigger`` of a schedule.

        Raises:
            ServiceError: Something in it is missing or wrong.
        """
        given = Body(value, "trigger")
        kind = given.choice("triggerType", ("Recurrence", "Cron"))
        zone = given.text("timeZone")
        try:
            if zone is not None and not iana_zones:
                windows_zone(zone)
            if kind == "Cron":
                recurrence = _cron(given.required("expression"), _time(given, "startTime"), zone)
            elif kind == "Recurrence":
                recurrence = _recurrence(given, zone)
            else:
                raise bad_request("triggerType is required: Recurrence or Cron.")
            if (end := _time(given, "endTime")) is not None:
                check_local("endTime", end)
            return cls(recurrence, None if end is None else read_local(end))
        except ValueError as error:
            raise bad_request(f"The trigger is not valid: {error}.", "InvalidTrigger") from error


def job_fire_times(
    trigger: JobTrigger, anchored: datetime, after: datetime | None = None, *, at_once: bool = False, minute_zero: bool
) -> Iterator[datetime]:
    """The instants at which a trigger fires, in order, each once, up to its end; with ``after``, only later ones.

    Without a start time the times count from ``anchored``, the instant at which the trigger was set up. At that instant
    a recurrence without lists fires too; with ``at_once`` every trigger does. With a start time the times count from
    there, and times before ``anchored`` are left out. The trigger also fires at the start time itself.
    """
    recurrence, zone = trigger.recurrence, trigger.recurrence.zone
    start = recurrence.start
    if start is None:
        first, local = anchored, anchored.astimezone(zone).replace(tzinfo=None, fold=0)
    else:
        first, local = instant_of(start, zone), start
    begin = max(first, anchored, after or anchored)
    if recurrence.frequency in ("Hour", "Minute"):
        times = steps(recurrence, first, begin)
    else:
        times = instants(wall_times(recurrence, local, begin, minute_zero=minute_zero), zone)
    if start is None and (at_once or trigger.at_start):
        times = itertools.chain([anchored], itertools.dropwhile(lambda fire: fire <= anchored, times))
    end = datetime.max.replace(tzinfo=UTC) if trigger.end is None else instant_of(trigger.end, zone)

    def too_early(fire: datetime) -> bool:
        return fire < first or fire < anchored or (after is not None and fire <= after)

    yield from itertools.takewhile(lambda fire: fire <= end, itertools.dropwhile(too_early, times))


def _recurrence(given: Body, zone: str | None) -> JobRecurrence:
    lists = given.object("schedule") or Body({})
    return JobRecurrence(
        # Microsoft's SDK sends these in lower case.
        frequency=_capital(given.get("frequency"), FREQUENCIES),
        interval=given.get("interval"),
        start_time=_time(given, "startTime"),
        time_zone=zone,
        hours=tuple(lists.array("hours")),
        minutes=tuple(lists.array("minutes")),
        week_days=tuple(_capital(day, WEEK_DAYS) for day in lists.array("weekDays")),
        month_days=tuple(lists.array("monthDays")),
    )


def _capital(value: object, names: Sequence[str]) -> str:
    found = next((name for name in names if name.lower() == str(value).lower()), None)
    if found is None:
        raise ValueError(f"{value!r} is not one of {', '.join(names)}")
    return found


def _time(given: Body, key: str) -> str | None:
    text = given.text(key)
    # Microsoft's SDK writes a datetime with a blank (azureml-v2-rest 6.1).
    return None if text is None else text.replace(" ", "T", 1)


def _cron(expression: str, start: str | None, zone: str | None) -> JobRecurrence:
    """A cron expression as a recurrence: its day of the month and its month are ignored and read as ``*``."""
    parts = expression.split()
    if len(parts) != 5:
        raise ValueError(f"{expression!r} does not have five fields")
    minutes = _field(parts[0], range(60))
    hours = _field(parts[1], range(24))
    _field(parts[2], range(1, 32))
    _field(parts[3], range(1, 13), _CRON_MONTHS)
    # Sunday is 0 here and last in a week.
    days = sorted((number - 1) % 7 for number in _field(parts[4], range(7), _CRON_DAYS))
    every_day = len(days) == len(WEEK_DAYS)
    return JobRecurrence(
        frequency="Day" if every_day else "Week",
        start_time=start,
        time_zone=zone,
        hours=tuple(hours),
        minutes=tuple(minutes),
        week_days=() if every_day else tuple(WEEK_DAYS[day] for day in days),
    )


def _field(text: str, allowed: range, names: Sequence[str] = ()) -> list[int]:
    """The numbers that a field of a cron expression allows: ``*``, ``a``, ``a-b``, ``/step``, and lists of these."""
    found: set[int] = set()
    for part in text.split(","):
        span, has_step, step = part.partition("/")
        low, has_end, high = span.partition("-")
        if span == "*":
            first, last = allowed[0], allowed[-1]
        else:
            first = _number(low, allowed, names)
            last = _number(high, allowed, names) if has_end else allowed[-1] if has_step else first
        distance = _number(step, range(1, 60)) if has_step else 1
        if last < first:
            raise ValueError(f"{part!r} ends before it begins")
        found |= set(range(first, last + 1, distance))
    return sorted(found)


def _number(text: str, allowed: range, names: Sequence[str] = ()) -> int:
    if text.upper() in names:
        return names.index(text.upper()) + allowed[0]
    if not text.isdecimal() or len(text) > 2 or int(text) not in allowed:
        raise ValueError(f"{text[:20]!r} is not a number from {allowed[0]} to {allowed[-1]}")
    return int(text)
