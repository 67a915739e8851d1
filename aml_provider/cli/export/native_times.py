"""The times at which a native schedule fires, in one form for v1 schedules and job schedules.

The rules are those in docs/reference/schedules.md. Minutes and hours are lengths of time; days, weeks and months follow
the local time of the schedule's zone.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from aml_provider.client.errors import InvalidArgument
from aml_provider.client.specs.job_trigger import as_cron
from aml_provider.client.specs.recurrence import FREQUENCIES, WEEK_DAYS, recurrence_from_wire
from aml_provider.client.specs.time_zones import iana_zone

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_LOCAL = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.\d+)?(Z?)", re.ASCII)
_CRON_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_DAY = timedelta(days=1)
_COUNTS_FROM = re.compile(r"The DAG counts from (\d{4}-\d\d-\d\d \d\d:\d\d) \(([^()\s]+)\)", re.ASCII)


class NotExpressible(Exception):
    """A schedule that cannot become a DAG; the message is the rest of a sentence that begins with the schedule."""


@dataclass(frozen=True, kw_only=True)
class NativeTimes:
    """When a native schedule fires.

    Attributes:
        frequency: ``Minute``, ``Hour``, ``Day``, ``Week`` or ``Month``.
        interval: The number of these from one period to the next.
        zone: The IANA name of its time zone.
        anchor: The local time from which it counts: its start, or if it has none, the time of its set-up.
        start: The instant before which it does not fire; None: it has no start.
        excludes_start: Whether it does not fire at ``start`` itself.
        end: The last instant at which it may fire.
        hours: Hours of the day; empty: that of the anchor.
        minutes: Minutes of the hour; empty: that of the anchor.
        week_days: Days of the week, Monday is 0.
        month_days: Days of the month.
        notes: What is not certain about the times; each note is a sentence.
    """

    frequency: str
    interval: int
    zone: str
    anchor: datetime
    start: datetime | None = None
    excludes_start: bool = False
    end: datetime | None = None
    hours: tuple[int, ...] = ()
    minutes: tuple[int, ...] = ()
    week_days: tuple[int, ...] = ()
    month_days: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def of_schedule(cls, wire: Mapping[str, Any], set_up: datetime | None) -> NativeTimes:
        """Read the ``Recurrence`` of a v1 schedule.

        Args:
            wire: The recurrence as the service sent it.
            set_up: An instant at which the schedule fired, or at which it was created. It is needed if the schedule
                has no start time.

        Raises:
            NotExpressible: The recurrence has a value that this version does not know.
        """
        given = recurrence_from_wire(wire)
        hours, minutes, days = _numbers(given.hours), _numbers(given.minutes), _days(given.week_days or ())
        return _times(
            frequency=given.frequency,
            interval=given.interval,
            zone=given.time_zone,
            start=wire.get("StartTime"),
            set_up=set_up,
            # With lists, the service does not fire at the start itself.
            excludes_start=bool(hours or minutes or days),
            hours=hours,
            minutes=minutes,
            week_days=days,
        )

    @classmethod
    def of_job_schedule(cls, trigger: Mapping[str, Any], set_up: datetime | None) -> NativeTimes:
        """Read the ``trigger`` of a job schedule; the arguments and errors are those of :meth:`of_schedule`."""
        lists = trigger.get("schedule")
        pattern = lists if isinstance(lists, Mapping) else {}
        common: dict[str, Any] = {
            "zone": trigger.get("timeZone"),
            "start": trigger.get("startTime"),
            "end": trigger.get("endTime"),
            "set_up": set_up,
        }
        if str(trigger.get("triggerType")).lower() == "cron":
            return _of_cron(common, str(trigger.get("expression")))
        return _times(
            **common,
            frequency=str(trigger.get("frequency")).capitalize(),
            interval=trigger.get("interval"),
            hours=_numbers(pattern.get("hours")),
            minutes=_numbers(pattern.get("minutes")),
            week_days=_days(pattern.get("weekDays") or ()),
            month_days=_numbers(pattern.get("monthDays")),
        )

    @property
    def step(self) -> timedelta | None:
        """The length of time from one fire to the next; None: it follows local days."""
        if self.frequency == "Minute":
            return timedelta(minutes=self.interval)
        return timedelta(hours=self.interval) if self.frequency == "Hour" else None

    @property
    def first_instant(self) -> datetime | None:
        """The earliest instant at which it may fire, to the second; None: it has no start."""
        if self.start is None or not self.excludes_start:
            return self.start
        return self.start + timedelta(seconds=1)

    @property
    def times_of_day(self) -> list[time]:
        """The local times of day at which it fires, if it follows local days."""
        if not (self.hours or self.minutes):
            return [self.anchor.time()]
        hours, minutes = self.hours or (self.anchor.hour,), self.minutes or (self.anchor.minute,)
        return sorted({time(hour, minute) for hour in hours for minute in minutes})

    def is_day(self, day: date) -> bool:
        """Whether it fires on a local day, if it follows local days."""
        first = self.anchor.date()
        if self.frequency == "Day":
            return (day - first).days % self.interval == 0
        if self.frequency == "Week":
            weeks = (_monday(day) - _monday(first)).days // 7
            return weeks % self.interval == 0 and day.weekday() in (self.week_days or (first.weekday(),))
        months = (day.year - first.year) * 12 + day.month - first.month
        if months % self.interval:
            return False
        if self.month_days or self.week_days:
            return day.day in self.month_days or day.weekday() in self.week_days
        # A month that is too short uses its last day.
        return day.day == min(first.day, calendar.monthrange(day.year, day.month)[1])

    def between(self, begin: datetime, end: datetime) -> list[datetime]:
        """The instants from ``begin`` to ``end``, both included, at which it fires."""
        if self.first_instant is not None:
            begin = max(begin, self.first_instant)
        if self.end is not None:
            end = min(end, self.end)
        if begin > end:
            return []
        if self.step is not None:
            first = instant_of(self.anchor, self.zone)
            fire, found = first + -((first - begin) // self.step) * self.step, []
            while fire <= end:
                found.append(fire)
                fire += self.step
            return found
        days = (begin.date() + number * _DAY for number in range(-2, (end - begin).days + 4))
        instants = {
            instant_of(datetime.combine(day, at), self.zone)
            for day in days
            if self.is_day(day)
            for at in self.times_of_day
        }
        return sorted(instant for instant in instants if begin <= instant <= end)


def instant_of(local: datetime, zone: str) -> datetime:
    """The instant of a local time.

    A time that does not exist, because clocks go forward, is later by the length of the jump. A time that occurs twice
    is its first occurrence.
    """
    return local.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def counted_from(comments: str) -> datetime | None:
    """The instant from which the DAG of a schedule without a start time counts, by the note in its comments."""
    # A line may end within a date, after its hyphen.
    found = _COUNTS_FROM.search(re.sub(r"(-?)\n#\s+", lambda end: end[1] or " ", comments))
    try:
        return None if found is None else instant_of(datetime.fromisoformat(found[1]), found[2])
    except (ValueError, OSError, ZoneInfoNotFoundError):
        return None


def _times(
    *,
    frequency: str,
    interval: Any,
    zone: Any,
    start: Any,
    set_up: datetime | None,
    end: Any = None,
    hours: tuple[int, ...] = (),
    minutes: tuple[int, ...] = (),
    week_days: tuple[int, ...] = (),
    month_days: tuple[int, ...] = (),
    excludes_start: bool = False,
) -> NativeTimes:
    if frequency not in FREQUENCIES:
        raise NotExpressible(f"has the frequency {frequency!r}, which this version does not know")
    if isinstance(interval, bool) or not isinstance(interval, int) or interval < 1:
        raise NotExpressible(f"has the interval {interval!r}, which is not a whole number of at least 1")
    try:
        name = iana_zone("time zone", zone or "UTC")
    except InvalidArgument as error:
        raise NotExpressible(f"has a time zone that this version does not know: {error.text}") from None
    given = None if not start else _local(start)
    if given is not None and given[1]:
        # In UTC, whatever the zone is.
        name = "UTC"
    notes = []
    if given is not None:
        anchor = given[0]
    elif set_up is None:
        raise NotExpressible(
            "has no start time, and the service does not say when it was set up. Give it a start time, then export it"
        )
    else:
        anchor = set_up.astimezone(ZoneInfo(name)).replace(tzinfo=None, fold=0, second=0, microsecond=0)
        counts = frequency in ("Minute", "Hour") or interval > 1
        if counts or not hours or not minutes or (frequency != "Day" and not (week_days or month_days)):
            notes.append(
                "The schedule has no start time, so its times count from its set-up, which the service does not show. "
                f"The DAG counts from {anchor:%Y-%m-%d %H:%M} ({name}), the minute of its last run or of its "
                "creation: compare this time with its runs."
            )
    last = None if not end else _local(end)
    return NativeTimes(
        frequency=frequency,
        interval=interval,
        zone=name,
        anchor=anchor,
        start=None if given is None else instant_of(anchor, name),
        excludes_start=excludes_start,
        end=None if last is None else instant_of(last[0], "UTC" if last[1] else name),
        hours=hours,
        minutes=minutes,
        week_days=week_days,
        month_days=month_days,
        notes=tuple(notes),
    )


def _local(value: Any) -> tuple[datetime, bool]:
    """A local time without fractions of a second, and whether it is in UTC."""
    found = _LOCAL.fullmatch(str(value))
    try:
        if found is not None:
            return datetime.fromisoformat(f"{found[1]}T{found[2]}"), bool(found[3])
    except ValueError:
        pass
    raise NotExpressible(f"has the time {value!r}, which is not a local time such as 2026-12-01T07:00:00")


def _of_cron(common: dict[str, Any], expression: str) -> NativeTimes:
    fields = expression.split()
    # The service ignores the day of the month and the month (azureml-v2-rest 6.1).
    ignored = fields[2:4] not in ([], ["*", "*"])
    try:
        minute, hour, *_, day = as_cron(
            "cron", " ".join([*fields[:2], *("*" for _ in fields[2:4]), *fields[4:]])
        ).split()
    except InvalidArgument as error:
        raise NotExpressible(f"has a cron expression whose times are not certain: {error.text}") from None
    days = sorted({(number - 1) % 7 for number in _field(day, 6)})
    every_day = len(days) == len(WEEK_DAYS)
    times = _times(
        **common,
        frequency="Day" if every_day else "Week",
        interval=1,
        minutes=tuple(_field(minute, 59)),
        hours=tuple(_field(hour, 23)),
        week_days=() if every_day else tuple(days),
    )
    note = f"The service ignores day of month and month of the cron expression {expression!r}, and so does the DAG."
    return replace(times, notes=(*times.notes, note)) if ignored else times


def _field(text: str, most: int) -> list[int]:
    """The numbers in a field of a cron expression that :func:`as_cron` has accepted."""
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        low, _, high = span.partition("-")
        first = 0 if low == "*" else _cron_number(low)
        last = most if low == "*" else _cron_number(high) if high else first
        found |= set(range(first, last + 1, int(step or 1)))
    return sorted(found)


def _cron_number(text: str) -> int:
    return int(text) if text.isdecimal() else _CRON_DAYS.index(text.lower())


def _numbers(values: Any) -> tuple[int, ...]:
    values = values or ()
    if not isinstance(values, (list, tuple)) or not all(type(value) is int for value in values):
        raise NotExpressible(f"has the list {values!r}, which is not a list of whole numbers")
    return tuple(sorted(set(values)))


def _days(names: Iterable[Any]) -> tuple[int, ...]:
    known: Sequence[str] = [name.lower() for name in WEEK_DAYS]
    words = [str(name).lower() for name in names]
    if unknown := [word for word in words if word not in known]:
        raise NotExpressible(f"has the week day {unknown[0]!r}, which this version does not know")
    return tuple(sorted({known.index(word) for word in words}))


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())
