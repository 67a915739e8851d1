"""The times at which a job schedule starts jobs: as an author gives them, on the wire, and compared.

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
    plain_time,
    recurrence_lists,
    whole_number,
)
from aml_provider.client.specs.time_zones import windows_zone

if TYPE_CHECKING:
    from collections.abc import Mapping

_RULES = Rules(times=("Day", "Week", "Month"), week_days=("Week", "Month"), month_days=("Month",))
_LISTS = ("hours", "minutes", "weekDays", "monthDays")
# The keys that follow the request; a start that is not requested, and all other keys, are somebody else's.
_KEYS = frozenset({"triggerType", "frequency", "interval", "schedule", "expression", "endTime", "timeZone"})
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
# Of each field of a cron expression: its name, its least and its greatest number.
_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of month", 1, 31), ("month", 1, 12), ("day of week", 0, 6))
_IGNORED = ("day of month", "month")
_PART = re.compile(r"(?:\*|(?P<first>\w+)(?:-(?P<last>\w+)|(?!/)))(?:/0*[1-9][0-9]?)?")


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
    if recurrence is not None:
        recurrence = as_recurrence(recurrence)
        start_time = _only_once("start_time", start_time, recurrence.start_time)
        time_zone = _only_once("time_zone", time_zone, recurrence.time_zone)
        wire = _recurrence_to_wire(recurrence)
    else:
        wire = {"triggerType": "Cron", "expression": as_cron("cron", cron)}
    if start_time is not None:
        wire["startTime"] = as_local_time("start_time", start_time)
    if end_time is not None:
        wire["endTime"] = as_local_time("end_time", end_time)
        # Both have the same form, so their order is that of the texts.
        if wire["endTime"] <= wire.get("startTime", ""):
            raise InvalidArgument("end_time", f"is {wire['endTime']!r}, not after start_time {wire['startTime']!r}")
    if time_zone is not None and not isinstance(time_zone, str):
        raise wrong_type("time_zone", time_zone, "text")
    wire["timeZone"] = "UTC" if time_zone is None else windows_zone("time_zone", time_zone)
    return wire


def _only_once(name: str, given: Any, in_recurrence: Any) -> Any:
    if given is not None and in_recurrence is not None:
        raise InvalidArgument(name, f"is given, and recurrence.{name} too; give either")
    return in_recurrence if given is None else given


def _recurrence_to_wire(recurrence: Any) -> dict[str, Any]:
    wire: dict[str, Any] = {
        "triggerType": "Recurrence",
        "frequency": frequency_of(recurrence),
        "interval": whole_number("recurrence.interval", recurrence.interval, 1, None),
    }
    lists = recurrence_lists(recurrence, _RULES)
    if bool(lists.get("Hours")) != bool(lists.get("Minutes")) or (lists and not lists.get("Hours")):
        raise InvalidArgument(
            "recurrence",
            f"has {' and '.join(name for name in recurrence._fields[4:] if getattr(recurrence, name) is not None)}; "
            "the service wants hours and minutes, neither of them empty, with any list: give both, or time_of_day",
        )
    if "WeekDays" in lists and "MonthDays" in lists:
        raise InvalidArgument("recurrence.month_days", "is given together with week_days; give either")
    # As Microsoft's SDK: a schedule without a pattern has two empty lists.
    pattern = {"hours": [], "minutes": []} | {f"{key[0].lower()}{key[1:]}": value for key, value in lists.items()}
    return {**wire, "schedule": pattern}


def as_cron(argument: str, value: Any) -> str:
    """Check a cron expression of five fields, which the service must carry out as it is written.

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
    for (name, least, most), field in zip(_FIELDS, fields, strict=True):
        if name in _IGNORED:
            if field != "*":
                raise InvalidArgument(
                    argument,
                    f"is {value!r}; the service ignores the field for {name} ({field!r}) and reads it as '*', so that "
                    "jobs would start on other days too. Write '*' there; use a recurrence with month_days for days of "
                    "the month, or let Airflow's own schedule start the runs",
                )
            continue
        for part in field.split(","):
            _check_part(argument, value, name, part, least, most)
    return " ".join(fields)


def _check_part(argument: str, cron: str, name: str, part: str, least: int, most: int) -> None:
    found = _PART.fullmatch(part)
    numbers = [_number(name, text) for text in (found.group("first", "last") if found else ("-1",)) if text]
    if not least <= min(numbers, default=least) or not max(numbers, default=most) <= most or numbers != sorted(numbers):
        names = " or names from Sun to Sat (Sunday is 0)" if name == "day of week" else ""
        raise InvalidArgument(
            argument,
            f"is {cron!r}; the field for {name} has {part!r}: use '*', numbers from {least} to {most}{names}, ranges "
            "such as '1-5', and steps such as '*/5' and '1-9/2'",
        )


def _number(name: str, text: str) -> int:
    """A number or a day's name; -1 for anything else."""
    if name == "day of week" and text.lower() in _DAYS:
        return _DAYS.index(text.lower())
    return int(text) if text.isascii() and text.isdecimal() else -1


def same_trigger(current: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether a trigger has the wanted meaning, even if the service has changed nulls, letter case or order.

    If no start is wanted, any start is accepted: the service may have set the time of the creation, and to write the
    trigger again could start a job.
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
