"""The instants at which a recurrence fires, as a pure function of its fields."""

from __future__ import annotations

import calendar
import heapq
import itertools
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

from aml_provider.emulator.workspace.time_zones import windows_zone

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from zoneinfo import ZoneInfo

FREQUENCIES = ("Month", "Week", "Day", "Hour", "Minute")
"""The frequencies, in the order of the numbers that the service used to write."""
WEEK_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

# https://learn.microsoft.com/azure/connectors/connectors-native-recurrence
_LONGEST = {"Month": 16, "Week": 71, "Day": 500, "Hour": 12_000, "Minute": 72_000}
_START_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,7})?Z?")
_YEARS = range(1970, 2200)
_LAST_YEAR = 9000
# No time zone of this or the last century is further from UTC.
_FURTHEST = timedelta(hours=16)


@dataclass(frozen=True, slots=True)
class Recurrence:
    """A recurrence with the service's fields; an empty list means the same as no list.

    Attributes:
        start_time: ``YYYY-MM-DDThh:mm:ss``, local to the time zone. With a Z it is in UTC, and the zone is ignored.
        time_zone: A Windows name; UTC by default.

    Raises:
        ValueError: A field is invalid, or fields exclude each other.
    """

    frequency: str
    interval: int = 1
    start_time: str | None = None
    time_zone: str | None = None
    hours: tuple[int, ...] = ()
    minutes: tuple[int, ...] = ()
    week_days: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.frequency not in FREQUENCIES:
            raise ValueError(f"Frequency must be one of {', '.join(FREQUENCIES)}, not {self.frequency!r}")
        check_numbers("Interval", [self.interval], 1, _LONGEST[self.frequency])
        check_numbers("Hours", self.hours, 0, 23)
        check_numbers("Minutes", self.minutes, 0, 59)
        if unknown := [day for day in self.week_days if day not in WEEK_DAYS]:
            raise ValueError(f"WeekDays must be Monday to Sunday, not {unknown[0]!r}")
        self.check_lists()
        if self.time_zone is not None:
            self.zone_named(str(self.time_zone))
        if self.start_time is not None:
            check_local("StartTime", self.start_time)

    def check_lists(self) -> None:
        """Refuse lists that the frequency excludes."""
        if (self.hours or self.minutes) and self.frequency not in ("Day", "Week"):
            raise ValueError("Hours and Minutes need the frequency Day or Week")
        if self.week_days and self.frequency != "Week":
            raise ValueError("WeekDays need the frequency Week")

    def days_of_month(self, year: int, month: int, first: int) -> Sequence[int]:
        """The days of a month on which a monthly recurrence fires, if its start is on the day ``first``."""
        return (min(first, calendar.monthrange(year, month)[1]),)

    @property
    def zone(self) -> ZoneInfo:
        """The recurrence's time zone."""
        utc = self.time_zone is None or (self.start_time is not None and self.start_time.endswith("Z"))
        return self.zone_named("UTC" if utc or self.time_zone is None else self.time_zone)

    def zone_named(self, name: str) -> ZoneInfo:
        """The zone with a name.

        Raises:
            ValueError: The name is unknown.
        """
        return windows_zone(name)

    @property
    def start(self) -> datetime | None:
        """The start time as local time of its zone."""
        return None if self.start_time is None else read_local(self.start_time)


def fire_times(
    recurrence: Recurrence, anchored: datetime, after: datetime | None = None, *, minute_zero: bool = False
) -> Iterator[datetime]:
    """The instants at which a recurrence fires, in order, each once, without end; with ``after``, only later ones.

    Without a start time the first instant is ``anchored``, at which the recurrence was set up, and the others count
    from there. With a start time they count from it, and instants before ``anchored`` are left out. With hours, minutes
    or week days the recurrence does not fire at the start time itself, even if it matches them. Hours without minutes
    mean the minute of the start, or with ``minute_zero`` minute 0.

    Minutes and hours are lengths of time. Days, weeks and months follow local time: a time that does not exist in
    spring is later by the length of the jump, and a time that occurs twice in autumn counts only the first time
    (https://learn.microsoft.com/azure/logic-apps/concepts-schedule-automated-recurring-tasks-workflows). Weeks begin on
    Monday, and the first week is that of the start. A month that is too short uses its last day.
    """
    start = recurrence.start
    has_lists = bool(recurrence.hours or recurrence.minutes or recurrence.week_days)
    if start is None:
        # A local time that occurs twice means its first occurrence here too.
        first, local = anchored, anchored.astimezone(recurrence.zone).replace(tzinfo=None, fold=0)
        if after is None or after < anchored:
            yield anchored
    else:
        first, local = instant_of(start, recurrence.zone), start
    begin = max(first, anchored, after or anchored)

    def too_early(fire: datetime) -> bool:
        if after is not None and fire <= after:
            return True
        if start is None:
            return fire <= anchored
        return fire < anchored or fire < first or (has_lists and fire == first)

    if recurrence.frequency in ("Hour", "Minute"):
        times = steps(recurrence, first, begin)
    else:
        times = instants(wall_times(recurrence, local, begin, minute_zero=minute_zero), recurrence.zone)
    yield from itertools.dropwhile(too_early, times)


def steps(recurrence: Recurrence, first: datetime, begin: datetime) -> Iterator[datetime]:
    """The instants of a recurrence in minutes or hours, counted from ``first``; the first one is at most ``begin``."""
    step = recurrence.interval * (timedelta(hours=1) if recurrence.frequency == "Hour" else timedelta(minutes=1))
    instant = first + (begin - first) // step * step
    while instant.year < _LAST_YEAR:
        yield instant
        instant += step


def wall_times(recurrence: Recurrence, local: datetime, begin: datetime, *, minute_zero: bool) -> Iterator[datetime]:
    """The local times at which it fires, counted from ``local``, starting shortly before ``begin``."""
    times = [local.time()]
    if recurrence.hours or recurrence.minutes:
        minutes = recurrence.minutes or (0 if minute_zero else local.minute,)
        times = sorted({time(h, m) for h in recurrence.hours or (local.hour,) for m in minutes})
    earliest = begin.date() - timedelta(days=2)
    for day in _days(recurrence, local.date(), earliest):
        if day.year >= _LAST_YEAR:
            return
        if day >= earliest:
            yield from (datetime.combine(day, at) for at in times)


def _days(recurrence: Recurrence, first: date, earliest: date) -> Iterator[date]:
    interval = recurrence.interval
    if recurrence.frequency == "Month":
        for month in itertools.count(first.year * 12 + first.month - 1, interval):
            year, number = divmod(month, 12)
            if year >= _LAST_YEAR:
                # Some have no day at all: the 30th of each February.
                return
            yield from (date(year, number + 1, day) for day in recurrence.days_of_month(year, number + 1, first.day))
        return
    offsets: Sequence[int] = (0,)
    if recurrence.frequency == "Week":
        interval *= 7
        days = {WEEK_DAYS.index(day) for day in recurrence.week_days} or {first.weekday()}
        offsets = sorted(days)
        first -= timedelta(days=first.weekday())
    skipped = max(0, (earliest - first).days // interval) * interval
    for passed in itertools.count(skipped, interval):
        yield from (first + timedelta(days=passed + offset) for offset in offsets)


def instants(local_times: Iterable[datetime], zone: ZoneInfo) -> Iterator[datetime]:
    """The instants of local times, in ascending order and each only once.

    Around a daylight saving change a later local time may be an earlier instant, or the same one.
    """
    waiting: list[datetime] = []
    latest = datetime.min.replace(tzinfo=UTC)
    for local in local_times:
        while waiting and waiting[0] < local.replace(tzinfo=UTC) - _FURTHEST:
            instant = heapq.heappop(waiting)
            if instant > latest:
                yield (latest := instant)
        heapq.heappush(waiting, instant_of(local, zone))
    while waiting:
        if (instant := heapq.heappop(waiting)) > latest:
            yield (latest := instant)


def instant_of(local: datetime, zone: ZoneInfo) -> datetime:
    """The instant of a local time."""
    # Fold 0: a time that does not exist has the offset from before the jump; one that occurs twice is the first.
    return local.replace(tzinfo=zone).astimezone(UTC)


def check_numbers(name: str, values: Iterable[object], least: int, most: int) -> None:
    """Refuse values that are not whole numbers in a range.

    Raises:
        ValueError: One of the values is something else.
    """
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError(f"{name} must be whole numbers from {least} to {most}, not {value!r}")


def check_local(name: str, text: object) -> None:
    """Refuse a text that is not a local time.

    Raises:
        ValueError: The text is not a local time. The message begins with ``name``, the name of the field.
    """
    try:
        year = read_local(text).year if isinstance(text, str) and _START_TIME.fullmatch(text) else 0
    except ValueError:
        year = 0
    if year not in _YEARS:
        raise ValueError(f"{name} must be YYYY-MM-DDThh:mm:ss without an offset, not {text!r}")


def read_local(text: str) -> datetime:
    """Read a local time from its text, without a ``Z`` at its end."""
    whole, _, fraction = text.removesuffix("Z").partition(".")
    return datetime.fromisoformat(whole) + timedelta(microseconds=int(fraction.ljust(6, "0")[:6] or 0))
