"""The times at which a job schedule starts jobs: checked, in the wire's form, and compared with existing ones.

The rules are those of ``azureml-v2-rest`` 6.1.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from aml_provider.client.arguments import wrong_type
from aml_provider.client.errors import InvalidArgument
from aml_provider.client.specs.recurrence import (
    Rules,
    as_local_time,
    as_recurrence,
    frequency_of,
    parts,
    plain_time,
    recurrence_lists,
    whole_number,
)
from aml_provider.client.specs.time_zones import windows_zone

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aml_provider.client.models import Recurrence

_RULES = Rules(times=("Day", "Week", "Month"), week_days=("Week", "Month"), month_days=("Month",))
_LISTS = ("hours", "minutes", "weekDays", "monthDays")
# The keys that follow the request; a start that is not requested, and all other keys, are somebody else's.
_KEYS = frozenset({"triggerType", "frequency", "interval", "schedule", "expression", "endTime", "timeZone"})
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
# Of each field of a cron expression: its name, its least and its greatest number.
_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of month", 1, 31), ("month", 1, 12), ("day of week", 0, 6))
_IGNORED = ("day of month", "month")
_PART = re.compile(r"(?:\*|(?P<first>\w+)(?:-(?P<last>\w+)|(?!/)))(?:/(?P<step>0*[1-9][0-9]{0,2}))?", re.ASCII)


def trigger_to_wire(
    *,
    recurrence: Any = None,
    cron: Any = None,
    start_time: Any = None,
    end_time: Any = None,
    time_zone: Any = None,
) -> dict[str, Any]:
    """Check the times at which a schedule should start jobs, and convert them to the form of the wire.

    Args:
        recurrence: A :class:`~aml_provider.client.models.Recurrence`; or
        cron: a cron expression of five fields, of which day of month and month are ``*``.
        start_time: The first moment at which a job may start, without an offset. A recurrence may have it instead.
        end_time: The last moment at which a job may start, without an offset.
        time_zone: The zone of all times, an IANA name or a Windows one; None: UTC. A recurrence may have it instead.

    Raises:
        InvalidArgument: A value cannot be used; the message names it.
    """
    if (recurrence is None) == (cron is None):
        given = "both are" if cron is not None else "neither is"
        raise InvalidArgument("recurrence, cron", f"{given} given after rendering; give one of them")
    start_argument, zone_argument = "start_time", "time_zone"
    if recurrence is not None:
        recurrence = as_recurrence(recurrence)
        start_argument, start_time = _only_once("start_time", start_time, recurrence.start_time)
        zone_argument, time_zone = _only_once("time_zone", time_zone, recurrence.time_zone)
        wire = _recurrence_to_wire(recurrence)
    else:
        wire = {"triggerType": "Cron", "expression": as_cron("cron", cron)}
    if start_time is not None:
        wire["startTime"] = as_local_time(start_argument, start_time)
    if end_time is not None:
        wire["endTime"] = as_local_time("end_time", end_time)
        # Both have the same form, so their order is that of the texts.
        if wire["endTime"] <= wire.get("startTime", ""):
            raise InvalidArgument("end_time", f"is {wire['endTime']!r}, not after start_time {wire['startTime']!r}")
    wire["timeZone"] = "UTC" if time_zone is None else _zone(zone_argument, time_zone)
    return wire


def recurrence_parts(recurrence: Any) -> list[Recurrence]:
    """Split a recurrence into parts for :func:`check_fields`, so that all its mistakes can be found.

    Raises:
        InvalidArgument: It is not a recurrence.
    """
    return parts(recurrence, ("Month",))


def check_fields(recurrence: Recurrence) -> None:
    """Check each field of a recurrence, but not whether the service accepts the fields together.

    Raises:
        InvalidArgument: A field cannot be used; the message names it.
    """
    _fields_to_wire(recurrence)
    if recurrence.start_time is not None:
        as_local_time("recurrence.start_time", recurrence.start_time)
    if recurrence.time_zone is not None:
        _zone("recurrence.time_zone", recurrence.time_zone)


def _zone(argument: str, value: Any) -> str:
    if not isinstance(value, str):
        raise wrong_type(argument, value, "text")
    return windows_zone(argument, value)


def _only_once(name: str, given: Any, in_recurrence: Any) -> tuple[str, Any]:
    """The name of the argument that has the value, and the value."""
    if given is not None and in_recurrence is not None:
        raise InvalidArgument(name, f"is given, and recurrence.{name} too; give either")
    return (f"recurrence.{name}", in_recurrence) if given is None else (name, given)


def _fields_to_wire(recurrence: Recurrence) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    frequency = frequency_of(recurrence)
    interval = whole_number("recurrence.interval", recurrence.interval, 1, None)
    lists = recurrence_lists(recurrence, _RULES)
    return {"triggerType": "Recurrence", "frequency": frequency, "interval": interval}, lists


def _recurrence_to_wire(recurrence: Recurrence) -> dict[str, Any]:
    wire, lists = _fields_to_wire(recurrence)
    problems = []
    if bool(lists.get("Hours")) != bool(lists.get("Minutes")) or (lists and not lists.get("Hours")):
        problems.append(
            f"has {' and '.join(name for name in recurrence._fields[4:] if getattr(recurrence, name) is not None)}; "
            "the service wants hours and minutes, neither of them empty, with any list: give both, or time_of_day"
        )
    if "WeekDays" in lists and "MonthDays" in lists:
        problems.append("has week_days and month_days; give either")
    if problems:
        raise InvalidArgument("recurrence", "; it ".join(problems))
    # As Microsoft's SDK: a schedule without a pattern has two empty lists.
    pattern = {"hours": [], "minutes": []} | {f"{key[0].lower()}{key[1:]}": value for key, value in lists.items()}
    return {**wire, "schedule": pattern}


def as_cron(argument: str, value: Any) -> str:
    """Check a cron expression of five fields: the service must start jobs exactly at the times that it says.

    The service ignores the fields for day of month and month and reads them as ``*``, so these fields must be ``*``.

    Raises:
        InvalidArgument: It is something else; the message names ``argument``.
    """
    if not isinstance(value, str):
        raise wrong_type(argument, value, "text with five fields, such as '0 7 * * 1-5'")
    fields = value.split()
    if len(fields) != len(_FIELDS):
        hint = "; presets cannot be used" if value.startswith("@") else ""
        raise InvalidArgument(
            argument, f"is {value!r}; use five fields (minute, hour, day of month, month, day of week){hint}"
        )
    problems = []
    for (name, least, most), field in zip(_FIELDS, fields, strict=True):
        if name not in _IGNORED:
            problems += [_part_problem(name, part, least, most) for part in field.split(",")]
        elif field != "*":
            problems.append(
                f"the service ignores the field for {name} ({field!r}) and reads it as '*', so that jobs would start "
                "on other days too. Write '*' there; use a recurrence with month_days for days of the month, or let "
                "Airflow's own schedule start the runs"
            )
    if problems := list(dict.fromkeys(filter(None, problems))):
        raise InvalidArgument(argument, "; ".join([f"is {value!r}", *problems]))
    return " ".join(fields)


def _part_problem(name: str, part: str, least: int, most: int) -> str:
    """What is wrong with a part of a field; empty: nothing."""
    found = _PART.fullmatch(part)
    numbers = [_number(name, text) for text in (found.group("first", "last") if found else ("-1",)) if text]
    step = int(found["step"] or 1) if found else 1
    if least <= min(numbers, default=least) and max(numbers, default=most) <= most and numbers == sorted(numbers):
        # A longer step would start again in each hour or day, so jobs would start more often than it says.
        return "" if step <= most else f"the field for {name} has {part!r}: use a step of {most} at most"
    names = " or names from Sun to Sat (Sunday is 0)" if name == "day of week" else ""
    return (
        f"the field for {name} has {part!r}: use '*', numbers from {least} to {most}{names}, ranges such as '1-5', and "
        "steps such as '*/5' and '1-9/2'"
    )


def _number(name: str, text: str) -> int:
    """A number or a day's name; -1 for anything else."""
    if name == "day of week" and text.lower() in _DAYS:
        return _DAYS.index(text.lower())
    return int(text) if text.isascii() and text.isdecimal() else -1


def same_trigger(current: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether a trigger has the wanted meaning, even if the service has changed nulls, letter case or order.

    If ``wanted`` has no start time, any start time is accepted: the service may have filled in the time of the
    creation, and writing the trigger again could start a job.
    """
    return _meaning(merge_trigger(current, wanted)) == _meaning(current)


def _meaning(wire: Mapping[str, Any]) -> tuple[Any, ...]:
    schedule = wire.get("schedule")
    lists = schedule if isinstance(schedule, dict) else {}
    kind = str(wire.get("triggerType") or "").lower()
    times = (
        plain_time(wire.get("startTime")),
        plain_time(wire.get("endTime")),
        str(wire.get("timeZone") or "UTC").lower(),
    )
    if kind == "cron":
        return (kind, str(wire.get("expression") or "").lower().split(), *times)
    return (
        kind,
        str(wire.get("frequency") or "").lower(),
        str(wire.get("interval")),
        *(frozenset(str(item).lower() for item in lists.get(name) or ()) for name in _LISTS),
        *times,
    )


def merge_trigger(current: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The requested trigger, with the start and the additional keys of the current one."""
    return {**{key: value for key, value in current.items() if key not in _KEYS}, **wanted}
