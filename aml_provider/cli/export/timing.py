"""The schedule of a DAG that has the times of a native schedule: cron expressions, or a length of time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from aml_provider.cli.export.native_times import NotExpressible, instant_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aml_provider.cli.export.native_times import NativeTimes

_DAY = timedelta(days=1)
_MINUTE = timedelta(minutes=1)
# More expressions are harder to read than one length of time.
_MOST_CRONS = 4
# Time zones whose offset is the same for this long count as zones without clock changes.
_YEARS = 5
# A list of this many numbers is as short as a range or a step.
_SHORT = 3
_FEBRUARY = 2
_SHORTEST_MONTH, _LONGEST_MONTH = 28, 31
_MONTHS = range(1, 13)


@dataclass(frozen=True)
class Crons:
    """One or several cron expressions in a time zone."""

    expressions: tuple[str, ...]
    zone: str


@dataclass(frozen=True)
class Every:
    """A length of time between two runs.

    Attributes:
        step: The length.
        fire: Any one of the instants at which the schedule fires.
    """

    step: timedelta
    fire: datetime

    def at_or_after(self, moment: datetime) -> datetime:
        """The first instant at which it fires, from this moment on."""
        return self.fire + math.ceil((moment - self.fire) / self.step) * self.step


def timing_of(times: NativeTimes, now: datetime, *, several_crons: bool = True) -> Crons | Every:
    """Find the schedule of a DAG that has the same times.

    Whether Airflow then really fires at these times, also when clocks change, is for
    :func:`~aml_provider.cli.export.agreement.first_difference` to find out.

    Args:
        times: The times of the native schedule.
        now: The time of the export.
        several_crons: Whether a DAG can have several cron expressions.

    Raises:
        NotExpressible: Airflow has no such schedule.
    """
    if times.step is not None:
        most = _MOST_CRONS if several_crons else 1
        return _of_step(times.step, instant_of(times.anchor, times.zone), most)
    if any(at.second for at in times.times_of_day):
        raise NotExpressible(
            f"fires at {times.times_of_day[0]}, and Airflow's cron expressions have no seconds. Give it a start time "
            "without seconds, then export it"
        )
    if times.frequency == "Month":
        crons = tuple(_of_months(times))
        if len(crons) > 1 and not several_crons:
            raise NotExpressible(
                f"fires on day {times.anchor.day} of each month, or on the last day of a shorter month. That takes two "
                "cron expressions, and a DAG can have more than one since Airflow 3.0"
            )
        return Crons(crons, times.zone)
    if times.interval == 1:
        days = _field(((day + 1) % 7 for day in _week_days(times)), range(7)) if times.frequency == "Week" else "*"
        return Crons((f"{_clock(times.times_of_day)} * * {days}",), times.zone)
    period = f"every {times.interval} {times.frequency.lower()}s"
    if len(times.times_of_day) > 1 or (times.frequency == "Week" and len(_week_days(times)) > 1):
        raise NotExpressible(
            f"fires {period}, several times each time. Airflow's cron expressions cannot leave out days or weeks, and "
            "its timetable for a length of time fires once each time. Make it one schedule for each time, or write a "
            "timetable of your own"
        )
    if not _has_one_offset(times.zone, now):
        raise NotExpressible(
            f"fires {period} at {times.times_of_day[0]:%H:%M} in {times.zone}, where clocks change. Airflow's cron "
            "expressions cannot leave out days or weeks, and its timetable for a length of time would fire an hour "
            "earlier or later after each clock change. Write a timetable of your own, or move the schedule to UTC"
        )
    step = times.interval * (7 * _DAY if times.frequency == "Week" else _DAY)
    local = datetime.combine(_first_day(times), times.times_of_day[0])
    return Every(step, instant_of(local, times.zone))


def _of_step(step: timedelta, fire: datetime, most_crons: int) -> Crons | Every:
    if _DAY % step or step % _MINUTE or fire.second:
        return Every(step, fire)
    # The same instants on each day, in UTC.
    minutes_of_hours: dict[int, set[int]] = {}
    for number in range(_DAY // step):
        moment = (fire + number * step).astimezone(UTC)
        minutes_of_hours.setdefault(moment.hour, set()).add(moment.minute)
    hours_of_minutes: dict[tuple[int, ...], list[int]] = {}
    for hour in sorted(minutes_of_hours):
        hours_of_minutes.setdefault(tuple(sorted(minutes_of_hours[hour])), []).append(hour)
    if len(hours_of_minutes) > most_crons:
        return Every(step, fire)
    crons = [
        f"{_field(minutes, range(60))} {_field(hours, range(24))} * * *" for minutes, hours in hours_of_minutes.items()
    ]
    return Crons(tuple(crons), "UTC")


def _of_months(times: NativeTimes) -> Iterable[str]:
    if len(_MONTHS) % times.interval:
        raise NotExpressible(
            f"fires every {times.interval} months, which are other months in each year. Airflow's cron expressions "
            "cannot express that. Write a timetable of your own"
        )
    months = [month for month in _MONTHS if (month - times.anchor.month) % times.interval == 0]
    clock, named = _clock(times.times_of_day), _field(months, _MONTHS)
    if times.month_days or times.week_days:
        days = _field(times.month_days, range(1, _LONGEST_MONTH + 1)) if times.month_days else "*"
        week = _field(((day + 1) % 7 for day in times.week_days), range(7)) if times.week_days else "*"
        # If both are given, cron takes days that match either. A list of all days would be a star, which is no list.
        if times.month_days and times.week_days and "*" in (days, week):
            days = week = "*"
        yield f"{clock} {days} {named} {week}"
        return
    day = times.anchor.day
    if day == _LONGEST_MONTH:
        yield f"{clock} L {named} *"
    elif day > _SHORTEST_MONTH and _FEBRUARY in months:
        # A month that is too short uses its last day.
        if others := [month for month in months if month != _FEBRUARY]:
            yield f"{clock} {day} {_field(others, _MONTHS)} *"
        yield f"{clock} L {_FEBRUARY} *"
    else:
        yield f"{clock} {day} {named} *"


def _clock(times_of_day: list[time]) -> str:
    """Minutes and hours of times, which are all the combinations of some minutes and hours."""
    minutes, hours = {at.minute for at in times_of_day}, {at.hour for at in times_of_day}
    return f"{_field(minutes, range(60))} {_field(hours, range(24))}"


def _week_days(times: NativeTimes) -> tuple[int, ...]:
    return times.week_days or (times.anchor.weekday(),)


def _first_day(times: NativeTimes) -> date:
    """The first day, in the period of the anchor, on which it fires."""
    first = times.anchor.date()
    if times.frequency == "Day":
        return first
    return first + ((_week_days(times)[0] - first.weekday()) * _DAY)


def _field(values: Iterable[int], allowed: range) -> str:
    """A field of a cron expression: a star, a step, a range or a list."""
    numbers = sorted(set(values))
    if len(numbers) == len(allowed):
        return "*"
    gaps = {later - earlier for earlier, later in pairwise(numbers)}
    gap = gaps.pop() if len(gaps) == 1 else 1
    if gap > 1 and len(numbers) > _SHORT:
        whole = numbers == list(allowed[::gap]) and len(allowed) % gap == 0
        return f"*/{gap}" if whole else f"{numbers[0]}-{numbers[-1]}/{gap}"
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) >= _SHORT else ",".join(map(str, run)) for run in runs)


def _has_one_offset(zone: str, now: datetime) -> bool:
    place = ZoneInfo(zone)
    begin = now.astimezone(UTC)
    return len({(begin + day * _DAY).astimezone(place).utcoffset() for day in range(_YEARS * 366)}) == 1
