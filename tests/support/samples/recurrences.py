"""Native schedules' recurrences and triggers: fixed samples for every rule, and strategies that make others."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import strategies as st

from aml_provider.emulator.workspace.job_triggers import JobTrigger, job_fire_times
from aml_provider.emulator.workspace.recurrence import Recurrence, fire_times

#: When the schedules were set up, a Monday.
SET_UP = datetime(2026, 3, 2, 10, 7, tzinfo=UTC)
#: Two zones with clock changes, one without.
ZONES = ("W. Europe Standard Time", "Eastern Standard Time", "Korea Standard Time")
WEEK_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

_START = "2026-01-30T07:15:00"
#: Recurrences of v1 that can be exported in every zone.
V1 = {
    "quarter hours": {"Frequency": "Minute", "Interval": 15, "StartTime": _START},
    "45 minutes": {"Frequency": "Minute", "Interval": 45, "StartTime": _START},
    "50 minutes": {"Frequency": "Minute", "Interval": 50, "StartTime": "2026-01-30T07:15:20"},
    "each hour": {"Frequency": "Hour", "Interval": 1, "StartTime": _START},
    "3 hours": {"Frequency": "Hour", "Interval": 3, "StartTime": _START},
    "36 hours": {"Frequency": "Hour", "Interval": 36, "StartTime": _START},
    "each day": {"Frequency": "Day", "Interval": 1, "StartTime": _START},
    "each day since its set-up": {"Frequency": "Day", "Interval": 1},
    "hours and minutes": {
        "Frequency": "Day",
        "Interval": 1,
        "StartTime": _START,
        "Schedule": {"Hours": [0, 9, 17], "Minutes": [0, 30]},
    },
    "each week": {"Frequency": "Week", "Interval": 1, "StartTime": _START},
    "week days": {
        "Frequency": "Week",
        "Interval": 1,
        "Schedule": {"Hours": [23], "Minutes": [59], "WeekDays": ["Sunday", "Monday", "Friday"]},
    },
    "each month": {"Frequency": "Month", "Interval": 1, "StartTime": _START},
    "the last day": {"Frequency": "Month", "Interval": 1, "StartTime": "2026-01-31T00:00:00"},
    "the 29th": {"Frequency": "Month", "Interval": 1, "StartTime": "2026-01-29T12:00:00"},
    "each quarter": {"Frequency": "Month", "Interval": 3, "StartTime": "2025-11-30T12:00:00"},
}
#: Triggers of job schedules that can be exported in every zone.
V2 = {
    "cron": {"triggerType": "Cron", "expression": "0 7 * * 1-5"},
    "cron with steps": {"triggerType": "Cron", "expression": "*/20 8-18/2 * * Sun,3", "startTime": _START},
    "cron whose date is ignored": {"triggerType": "Cron", "expression": "5 12 1 6 *"},
    "month days": {
        "triggerType": "Recurrence",
        "frequency": "month",
        "interval": 2,
        "startTime": "2026-01-01 00:00:00",
        "schedule": {"hours": [6], "minutes": [0, 45], "monthDays": [1, 15, 31]},
    },
    "week days of a month": {
        "triggerType": "Recurrence",
        "frequency": "Month",
        "interval": 1,
        "schedule": {"hours": [6], "minutes": [0], "weekDays": ["tuesday"]},
    },
    "until an end": {
        "triggerType": "Recurrence",
        "frequency": "Day",
        "interval": 1,
        "startTime": _START,
        "endTime": "2027-06-01T07:15:00",
        "schedule": {"hours": [], "minutes": []},
    },
}


def service_fires(wire, begin, end):
    """When the local workspace fires between two instants, both included; ``wire`` is a recurrence or a trigger."""
    fires = _fires(wire)
    found = []
    for fire in fires(begin):
        if fire > end:
            break
        if fire >= begin:
            found.append(fire)
    return found


def _fires(wire):
    if "Frequency" not in wire:
        trigger = JobTrigger.from_wire(wire)
        return lambda begin: job_fire_times(trigger, SET_UP, _before(begin), minute_zero=False)
    lists = wire.get("Schedule", {})
    recurrence = Recurrence(
        frequency=wire["Frequency"],
        interval=wire["Interval"],
        start_time=wire.get("StartTime"),
        time_zone=wire.get("TimeZone"),
        hours=tuple(lists.get("Hours", ())),
        minutes=tuple(lists.get("Minutes", ())),
        week_days=tuple(lists.get("WeekDays", ())),
    )
    return lambda begin: fire_times(recurrence, SET_UP, _before(begin))


def _before(begin):
    return datetime.fromtimestamp(begin.timestamp() - 1, UTC)


_hours = st.lists(st.integers(0, 23), min_size=1, max_size=3, unique=True)
_minutes = st.lists(st.integers(0, 59), min_size=1, max_size=3, unique=True)
_days = st.lists(st.sampled_from(WEEK_DAYS), min_size=1, max_size=7, unique=True)
# Around midnight and clock changes, and anywhere.
_starts = st.datetimes(datetime(2025, 1, 1), datetime(2026, 12, 1)).map(  # noqa: DTZ001 - local to the zone
    lambda moment: moment.strftime("%Y-%m-%dT%H:%M:00")
)
_zones = st.sampled_from([*ZONES, "Lord Howe Standard Time", "GMT Standard Time", "Cuba Standard Time", "UTC"])


@st.composite
def recurrences(draw):
    """A recurrence of v1."""
    frequency = draw(st.sampled_from(["Minute", "Hour", "Day", "Week", "Month"]))
    wire = {"Frequency": frequency, "TimeZone": draw(_zones)}
    wire["Interval"] = draw(st.integers(10, 2000) if frequency == "Minute" else st.integers(1, 4))
    if draw(st.booleans()):
        wire["StartTime"] = draw(_starts)
    lists = {}
    if frequency in ("Day", "Week"):
        lists |= draw(st.fixed_dictionaries({}, optional={"Hours": _hours, "Minutes": _minutes}))
    if frequency == "Week":
        lists |= draw(st.fixed_dictionaries({}, optional={"WeekDays": _days}))
    return {**wire, "Schedule": lists} if lists else wire


@st.composite
def triggers(draw):
    """A trigger of a job schedule."""
    wire = {"timeZone": draw(_zones)}
    if draw(st.booleans()):
        wire["startTime"] = draw(_starts)
    if draw(st.integers(0, 2)) == 0:
        field = st.sampled_from(["0", "30", "5,35", "*/20", "10-40/15"])
        hour = st.sampled_from(["*", "2", "1-3", "*/6", "0,23"])
        day = st.sampled_from(["*", "0", "1-5", "SUN", "2,4"])
        expression = f"{draw(field)} {draw(hour)} * * {draw(day)}"
        return {**wire, "triggerType": "Cron", "expression": expression}
    frequency = draw(st.sampled_from(["Hour", "Day", "Week", "Month"]))
    lists = {}
    if frequency != "Hour" and draw(st.booleans()):
        lists = {"hours": draw(_hours), "minutes": draw(_minutes)}
        if frequency == "Week":
            lists["weekDays"] = draw(_days)
        if frequency == "Month":
            lists["monthDays"] = draw(st.lists(st.integers(1, 31), min_size=1, max_size=3, unique=True))
    return {
        **wire,
        "triggerType": "Recurrence",
        "frequency": frequency,
        "interval": draw(st.integers(1, 4)),
        "schedule": lists,
    }
