"""Compares the times of a native schedule with those of the DAG that would replace it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aml_provider.cli.export.native_times import NativeTimes

    #: The instants between two instants, both included.
    Fires = Callable[[datetime, datetime], list[datetime]]

_DAY, _HOUR, _SECOND = timedelta(days=1), timedelta(hours=1), timedelta(seconds=1)
# Known clock changes reach about this far into the future.
_YEARS = 5
# No clock change is longer than a day, and times around it are affected by it.
_AROUND_CHANGE = timedelta(hours=5)
# The fires that are compared apart from clock changes, and the days within which they are searched for.
_SOME = 50
_REACH = (1, 10, 100, 800)


class Difference(NamedTuple):
    """A stretch of time in which a native schedule and a DAG fire at different times.

    Attributes:
        native: The instants at which only the native schedule fires.
        airflow: The instants at which only the DAG fires.
        is_clock_change: Whether it is around a clock change.
    """

    native: list[datetime]
    airflow: list[datetime]
    is_clock_change: bool

    def describe(self) -> str:
        """The difference, as the rest of a sentence that begins with the schedule."""
        when = " around a clock change" if self.is_clock_change else ""
        if not self.airflow:
            return f"fires{when} {_listed(self.native)}, when the DAG would not"
        if not self.native:
            return f"does not fire{when} {_listed(self.airflow)}, when the DAG would"
        return f"fires{when} {_listed(self.native)}, but the DAG would fire {_listed(self.airflow)}"


def first_difference(times: NativeTimes, airflow: Fires, now: datetime) -> Difference | None:
    """Find the first difference: in the next days or years, and around each known clock change of the next years.

    Args:
        times: The times of the native schedule.
        airflow: The times of the DAG.
        now: The beginning of the comparison.
    """
    begin = now.astimezone(UTC).replace(microsecond=0)
    for first, last, is_change in (_next_fires(times, begin), *_changes(times, begin)):
        # The start and the end of the schedule are those of the DAG.
        earliest = first if times.first_instant is None else max(first, times.first_instant)
        latest = last if times.end is None else min(last, times.end)
        if earliest > latest:
            continue
        native, ours = set(times.between(earliest, latest)), set(airflow(earliest, latest))
        if native != ours:
            return Difference(sorted(native - ours), sorted(ours - native), is_change)
    return None


def _next_fires(times: NativeTimes, begin: datetime) -> tuple[datetime, datetime, bool]:
    """A stretch of time with some fires, but not very many."""
    begin = begin if times.first_instant is None else max(begin, times.first_instant)
    return begin, _after(times, begin, _SOME), False


def _changes(times: NativeTimes, begin: datetime) -> Iterator[tuple[datetime, datetime, bool]]:
    """The stretches of time around the clock changes of the next years, from the last fire before to the next after."""
    place = ZoneInfo(times.zone)
    for day in range(_YEARS * 366):
        dawn = begin + day * _DAY
        before = dawn.astimezone(place).utcoffset()
        if before == (dawn + _DAY).astimezone(place).utcoffset():
            continue
        hours = (dawn + number * _HOUR for number in range(1, 25))
        change = next(hour for hour in hours if hour.astimezone(place).utcoffset() != before)
        yield _before(times, change - _AROUND_CHANGE), _after(times, change + _AROUND_CHANGE, 2), True


def _before(times: NativeTimes, moment: datetime) -> datetime:
    """Shortly before the last fire before a moment; if there is none for a long time, the moment."""
    found = (times.between(moment - days * _DAY, moment) for days in _REACH)
    return next((fires[-1] - _SECOND for fires in found if fires), moment)


def _after(times: NativeTimes, moment: datetime, number: int) -> datetime:
    """The fire of this number after a moment; if there are not so many for a long time, a later moment."""
    for days in _REACH:
        fires = times.between(moment, moment + days * _DAY)
        if len(fires) >= number:
            return fires[number - 1]
    return moment + _REACH[-1] * _DAY


def _listed(instants: list[datetime]) -> str:
    shown = ", ".join(f"{instant:%Y-%m-%d %H:%M:%S}Z" for instant in instants[:3])
    return f"at {shown}{' …' if len(instants) > 3 else ''}"
