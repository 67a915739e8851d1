"""Recurrences of native schedules: checked, in the wire's form, and compared with existing ones."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, cast, get_args

from aml_provider.client.arguments import shown, wrong_type
from aml_provider.client.errors import InvalidArgument
from aml_provider.client.models import Frequency, Recurrence, WeekDay
from aml_provider.client.specs.time_zones import windows_zone

FREQUENCIES: tuple[Frequency, ...] = get_args(Frequency)
WEEK_DAYS: tuple[WeekDay, ...] = get_args(WeekDay)

# In the numbering of older versions of the service.
_FREQUENCY_CODES = tuple(reversed(FREQUENCIES))
_START_TIME = "%Y-%m-%dT%H:%M:%S"
_START_TIME_FORM = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}")
_TIME_OF_DAY = re.compile(r"([0-9]{1,2}):([0-9]{2})")
# The keys that we write; all others in a recurrence are somebody else's.
_KEYS = frozenset({"Frequency", "Interval", "StartTime", "TimeZone", "Schedule"})
_LISTS = frozenset({"Hours", "Minutes", "WeekDays"})
# The service takes start times of many years ahead; Logic Apps, which it resembles, of 49 at most.
_FAR = timedelta(days=3650)


def as_recurrence(value: Any) -> Recurrence:
    """Read a recurrence from any of the forms in which Airflow may pass it.

    Raises:
        InvalidArgument: It has another form.
    """
    if isinstance(value, Recurrence):
        return value
    fields = Recurrence._fields
    if isinstance(value, Mapping):
        unknown = sorted(name if isinstance(name, str) else shown(name) for name in value if name not in fields)
        if unknown:
            raise InvalidArgument("recurrence", f"has the keys {', '.join(unknown)}; it may have {', '.join(fields)}")
        missing = [name for name in fields[:2] if name not in value]
        if missing:
            raise InvalidArgument("recurrence", f"lacks {' and '.join(missing)}")
        return Recurrence(**value)
    # Airflow's serialisation turns a named tuple into a plain one.
    if isinstance(value, (list, tuple)) and 2 <= len(value) <= len(fields):
        return Recurrence(*value)
    raise wrong_type("recurrence", value, "Recurrence(frequency, interval, …)")


def recurrence_to_wire(value: Any) -> dict[str, Any]:
    """Check a recurrence by the rules of Microsoft's SDK, and refuse some invalid values that the SDK accepts.

    Returns:
        What the SDK sends for the same fields.

    Raises:
        InvalidArgument: A field cannot be used; the message names it.
    """
    recurrence = as_recurrence(value)
    wire: dict[str, Any] = {
        "Frequency": frequency_of(recurrence),
        "Interval": whole_number("recurrence.interval", recurrence.interval, 1, None),
    }
    zone = recurrence.time_zone
    if zone is not None:
        zone = windows_zone("recurrence.time_zone", _text("time_zone", zone))
    if recurrence.start_time is not None:
        wire["StartTime"] = as_local_time("recurrence.start_time", recurrence.start_time)
        zone = zone or "UTC"
    if zone is not None:
        wire["TimeZone"] = zone
    schedule = recurrence_lists(recurrence, _V1)
    if schedule:
        wire["Schedule"] = schedule
    return wire


def frequency_of(recurrence: Recurrence) -> Frequency:
    """Read a recurrence's frequency.

    Raises:
        InvalidArgument: It is not one of :data:`FREQUENCIES`.
    """
    frequency = _text("frequency", recurrence.frequency)
    for known in FREQUENCIES:
        if frequency == known:
            return known
    raise _invalid("frequency", f"is {frequency!r}; use one of {', '.join(FREQUENCIES)}")


def parts(value: Any, frequencies: Sequence[Frequency] = ("Week",)) -> list[Recurrence]:
    """Split a recurrence, so that all its mistakes can be found.

    Args:
        value: The recurrence.
        frequencies: The frequencies with which each field is checked, in addition to the recurrence's own frequency. A
            field must be allowed with at least one of them.

    Returns:
        The frequency alone; each other field alone, with each of the frequencies; the whole recurrence.

    Raises:
        InvalidArgument: It is not a recurrence.
    """
    recurrence = as_recurrence(value)
    others = [(name, item) for name, item in recurrence._asdict().items() if name != "frequency" and item is not None]
    own = [recurrence.frequency] if recurrence.frequency in FREQUENCIES else []
    return [
        Recurrence(recurrence.frequency, 1),
        *(Recurrence(each, 1)._replace(**{name: item}) for name, item in others for each in (*frequencies, *own)),
        recurrence,
    ]


class Rules(NamedTuple):
    """The frequencies with which a service accepts the lists of a recurrence."""

    times: tuple[str, ...]
    week_days: tuple[str, ...]
    month_days: tuple[str, ...] = ()


_V1 = Rules(times=("Day", "Week"), week_days=("Week",))


def recurrence_lists(recurrence: Recurrence, rules: Rules) -> dict[str, list[Any]]:
    """Read the lists that were given, by their names on v1's wire; an empty list counts as given.

    Raises:
        InvalidArgument: A list cannot be used, or not with this frequency; the message names it.
    """
    hours, minutes, with_times = recurrence.hours, recurrence.minutes, ("hours", "minutes")
    if recurrence.time_of_day is not None:
        if hours is not None or minutes is not None:
            raise _invalid("time_of_day", "is given together with hours or minutes; give either")
        hour, minute = _time_of_day(recurrence.time_of_day)
        hours, minutes, with_times = [hour], [minute], ("time_of_day", "time_of_day")
    wire: dict[str, list[Any]] = {}
    for key, field, given, values, most in (
        ("Hours", "hours", with_times[0], hours, 23),
        ("Minutes", "minutes", with_times[1], minutes, 59),
    ):
        if values is not None:
            _goes_with(given, recurrence, rules.times)
            wire[key] = [whole_number(f"recurrence.{field}", item, 0, most) for item in _list(field, values)]
    if recurrence.week_days is not None:
        _goes_with("week_days", recurrence, rules.week_days)
        for day in _list("week_days", recurrence.week_days):
            if day not in WEEK_DAYS:
                raise _invalid("week_days", f"has {day!r}; use {', '.join(WEEK_DAYS)}")
        wire["WeekDays"] = list(recurrence.week_days)
    if recurrence.month_days is not None:
        _goes_with("month_days", recurrence, rules.month_days)
        days = _list("month_days", recurrence.month_days)
        wire["MonthDays"] = [whole_number("recurrence.month_days", item, 1, 31) for item in days]
    return wire


def _goes_with(field: str, recurrence: Recurrence, frequencies: tuple[str, ...]) -> None:
    if not frequencies:
        raise _invalid(field, "can be used only with a job schedule of Azure ML v2: AzureMLCreateJobScheduleOperator")
    if recurrence.frequency not in frequencies:
        *most, last = frequencies
        named = f"frequencies {', '.join(most)} and {last}" if most else f"frequency {last}"
        raise _invalid(field, f"can be used only with the {named}, not with {recurrence.frequency}")


def as_local_time(argument: str, value: Any) -> str:
    """Convert a moment of a schedule, local to the schedule's time zone, to the form of the wire.

    Raises:
        InvalidArgument: It is something else, or has a zone of its own; the message names ``argument``.
    """
    if isinstance(value, datetime):
        if value.tzinfo is not None:
            raise InvalidArgument(
                argument,
                f"is {value.isoformat()}, with a zone; give the local time without one, and the zone as time_zone",
            )
        return value.isoformat(timespec="seconds")
    if isinstance(value, str) and _START_TIME_FORM.fullmatch(value):
        try:
            datetime.fromisoformat(value)
        except ValueError as error:
            raise InvalidArgument(argument, f"is {value!r}: {error}") from None
        return value
    if not isinstance(value, str):
        raise wrong_type(argument, value, "a datetime without a zone, or text")
    raise InvalidArgument(
        argument,
        f"is {value!r}; use a datetime without a zone, or text like '2026-12-01T16:00:00', and the zone as time_zone",
    )


def _time_of_day(value: Any) -> tuple[int, int]:
    found = _TIME_OF_DAY.fullmatch(_text("time_of_day", value))
    if found is None or int(found[1]) > 23 or int(found[2]) > 59:
        raise _invalid("time_of_day", f"is {value!r}; use 'h:mm', from '0:00' to '23:59'")
    return int(found[1]), int(found[2])


def _text(field: str, value: Any) -> str:
    if not isinstance(value, str):
        raise wrong_type(f"recurrence.{field}", value, "text")
    return value


def whole_number(argument: str, value: Any, least: int, most: int | None) -> int:
    """Check that a value is a whole number within bounds.

    Raises:
        InvalidArgument: It is something else; the message names ``argument``.
    """
    bounds = f"of at least {least}" if most is None else f"from {least} to {most}"
    if isinstance(value, str):
        raise InvalidArgument(
            argument,
            f"is the text {value!r}; use a whole number {bounds}",
            rendering=" (the DAG's render_template_as_native_obj=True makes templates render to numbers)",
        )
    if isinstance(value, bool) or not isinstance(value, int) or value < least or (most is not None and value > most):
        raise InvalidArgument(argument, f"is {shown(value)}; use a whole number {bounds}")
    return value


def _list(field: str, values: Any) -> Sequence[Any]:
    if isinstance(values, (str, bytes)) or not isinstance(values, Sequence):
        if isinstance(values, str):
            raise _invalid(field, f"is {values!r}; use a list")
        raise wrong_type(f"recurrence.{field}", values, "a list")
    return values


def _invalid(field: str, problem: str) -> InvalidArgument:
    return InvalidArgument(f"recurrence.{field}", problem)


def recurrence_from_wire(wire: Mapping[str, Any]) -> Recurrence:
    """A recurrence as its author would write it, even if the service has changed nulls and enums."""
    from aml_provider.client.entities import enum_name  # noqa: PLC0415 - a DAG file only checks what is written

    schedule = wire.get("Schedule") or {}
    week_days = schedule.get("WeekDays")
    # The service may have frequencies and days that this version does not know; they are kept.
    return Recurrence(
        frequency=cast("Frequency", enum_name(wire.get("Frequency"), _FREQUENCY_CODES)),
        interval=wire.get("Interval") or 1,
        start_time=plain_time(wire.get("StartTime")),
        time_zone=wire.get("TimeZone"),
        hours=schedule.get("Hours"),
        minutes=schedule.get("Minutes"),
        week_days=None if week_days is None else [cast("WeekDay", enum_name(day, WEEK_DAYS)) for day in week_days],
    )


def same_recurrence(one: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> bool:
    """Whether two recurrences on the wire mean the same, even if the service has changed nulls, enums or order."""
    return _meaning(one or {}) == _meaning(other or {})


def _meaning(wire: Mapping[str, Any]) -> tuple[Any, ...]:
    recurrence = recurrence_from_wire(wire)
    return (
        recurrence.frequency,
        str(wire.get("Interval")),
        recurrence.start_time,
        # If none was given, the service may add the one that it uses.
        recurrence.time_zone or "UTC",
        frozenset(map(str, recurrence.hours or ())),
        frozenset(map(str, recurrence.minutes or ())),
        frozenset(recurrence.week_days or ()),
    )


def plain_time(value: Any) -> str | None:
    """A local time without what the service may add: ``Z``, fractions of a second."""
    if not value:
        return None
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return str(value)
    return moment.replace(tzinfo=None).strftime(_START_TIME)


def merge_recurrence(current: Mapping[str, Any] | None, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The requested recurrence, with the keys that others have added to the current one."""
    current = current or {}
    merged = {**{key: value for key, value in current.items() if key not in _KEYS}, **wanted}
    foreign = {key: value for key, value in (current.get("Schedule") or {}).items() if key not in _LISTS}
    if any(value is not None for value in foreign.values()):
        merged["Schedule"] = {**foreign, **(wanted.get("Schedule") or {})}
    return merged


def park(wire: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """A copy of a recurrence with a start far in the future.

    Without a start time the service starts a run immediately, and it can create active schedules only.
    """
    return {**wire, "StartTime": (now + _FAR).strftime(_START_TIME), "TimeZone": wire.get("TimeZone") or "UTC"}
