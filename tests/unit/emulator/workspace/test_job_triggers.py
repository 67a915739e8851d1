"""When a job schedule fires: examples, and comparisons with dateutil and croniter."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from croniter import croniter
from dateutil.rrule import DAILY, MO, MONTHLY, WEEKLY, rrule
from hypothesis import given, settings
from hypothesis import strategies as st

from aml_provider.emulator.workspace.errors import ServiceError
from aml_provider.emulator.workspace.job_triggers import JobTrigger, job_fire_times
from aml_provider.emulator.workspace.recurrence import WEEK_DAYS

# Repeated here, because the oracle must not use the code under test.
ZONES = {
    "UTC": "Etc/UTC",
    "W. Europe Standard Time": "Europe/Berlin",
    "Korea Standard Time": "Asia/Seoul",
    "Lord Howe Standard Time": "Australia/Lord_Howe",
    "Newfoundland Standard Time": "America/St_Johns",
    "America/Sao_Paulo": "America/Sao_Paulo",
}
STEPS = {"Day": DAILY, "Week": WEEKLY, "Month": MONTHLY}
ANCHORED = datetime(2026, 3, 2, 10, 7, 30, tzinfo=UTC)  # a Monday
COUNT = 40


def fires(count=4, anchored=ANCHORED, after=None, at_once=False, **trigger):
    kind = "Cron" if "expression" in trigger else "Recurrence"
    parsed = JobTrigger.from_wire({"triggerType": kind, "interval": 1, **trigger})
    found = job_fire_times(parsed, anchored, after, at_once=at_once, minute_zero=False)
    return [f"{fire:%Y-%m-%d %H:%M:%S}" for fire in itertools.islice(found, count)]


class TestStart:
    def test_a_recurrence_without_lists_and_start_fires_when_it_is_created(self):
        assert fires(2, frequency="day") == ["2026-03-02 10:07:30", "2026-03-03 10:07:30"]

    def test_with_lists_it_fires_at_the_next_match(self):
        lists = {"hours": [9, 12], "minutes": [0]}
        assert fires(2, frequency="Day", schedule=lists) == ["2026-03-02 12:00:00", "2026-03-03 09:00:00"]
        assert fires(2, frequency="Day", schedule=lists, at_once=True) == ["2026-03-02 10:07:30", "2026-03-02 12:00:00"]

    def test_empty_lists_are_like_none(self):
        assert fires(1, frequency="hour", schedule={"hours": [], "minutes": []}) == ["2026-03-02 10:07:30"]

    def test_a_start_in_the_future_counts_even_with_lists(self):
        given = {"frequency": "Day", "startTime": "2026-03-05T07:00:00", "schedule": {"hours": [7], "minutes": [0]}}
        assert fires(2, **given) == ["2026-03-05 07:00:00", "2026-03-06 07:00:00"]

    def test_a_start_in_the_past_fires_at_the_next_computed_time(self):
        given = {"frequency": "Day", "interval": 2, "startTime": "2026-03-01 07:00:00"}
        assert fires(2, **given) == ["2026-03-03 07:00:00", "2026-03-05 07:00:00"]

    def test_the_end_is_the_last_time_that_counts(self):
        given = {"frequency": "Day", "startTime": "2026-03-05T07:00:00", "endTime": "2026-03-06T07:00:00"}
        assert fires(**given) == ["2026-03-05 07:00:00", "2026-03-06 07:00:00"]

    def test_the_start_and_the_end_are_local(self):
        given = {"frequency": "Day", "startTime": "2026-03-05T07:00:00", "endTime": "2026-03-05T12:00:00"}
        assert fires(**given, timeZone="Korea Standard Time") == ["2026-03-04 22:00:00"]


class TestMonths:
    def test_the_31st_fires_in_long_months_only(self):
        given = {"frequency": "Month", "schedule": {"monthDays": [31], "hours": [0], "minutes": [0]}}
        assert fires(3, **given) == ["2026-03-31 00:00:00", "2026-05-31 00:00:00", "2026-07-31 00:00:00"]

    def test_a_day_that_no_month_has_never_fires(self):
        given = {"frequency": "Month", "interval": 12, "startTime": "2026-02-01T00:00:00"}
        assert fires(**given, schedule={"monthDays": [30], "hours": [0], "minutes": [0]}) == []

    def test_week_days_of_a_month(self):
        given = {"frequency": "Month", "interval": 2, "startTime": "2026-03-01T00:00:00"}
        assert fires(**given, schedule={"weekDays": ["sunday"], "hours": [6], "minutes": [30]}) == [
            "2026-03-08 06:30:00",
            "2026-03-15 06:30:00",
            "2026-03-22 06:30:00",
            "2026-03-29 06:30:00",
        ]


class TestCron:
    def test_the_day_of_the_month_and_the_month_are_ignored(self):
        assert fires(3, expression="0 7 15 6 *") == fires(3, expression="0 7 * * *")

    def test_sunday_is_0_or_a_name(self):
        assert (
            fires(2, expression="0 7 * * 0")
            == fires(2, expression="0 7 * * sun")
            == [
                "2026-03-08 07:00:00",
                "2026-03-15 07:00:00",
            ]
        )

    @pytest.mark.parametrize(
        "expression",
        [
            "",
            "* * * *",
            "* * * * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * * 13 *",
            "* * * * 7",
            "5-1 * * * *",
            "*/0 * * * *",
            "*/x * * * *",
            "a * * * *",
            "1- * * * *",
            "-1 * * * *",
            ", * * * *",
        ],
    )
    def test_invalid_expressions(self, expression):
        with pytest.raises(ServiceError):
            fires(expression=expression)


@pytest.mark.parametrize(
    "trigger",
    [
        {"frequency": "Year"},
        {"frequency": "Day", "interval": 0},
        {"frequency": "Day", "interval": None},
        {"frequency": "Day", "startTime": "2026-12-01T00:00:00+01:00"},
        {"frequency": "Day", "endTime": "tomorrow"},
        {"frequency": "Day", "timeZone": "Nowhere"},
        {"frequency": "Day", "timeZone": "../etc/passwd"},
        {"frequency": "Day", "schedule": {"monthDays": [1]}},
        {"frequency": "Day", "schedule": {"weekDays": ["Monday"]}},
        {"frequency": "Month", "schedule": {"monthDays": [32]}},
        {"frequency": "Hour", "schedule": {"minutes": [1]}},
        {"frequency": "Week", "schedule": {"weekDays": ["Caturday"]}},
        {"triggerType": "Datastore"},
    ],
)
def test_invalid_triggers(trigger):
    with pytest.raises(ServiceError):
        fires(**trigger)


def test_iana_names_can_be_refused():
    trigger = {"triggerType": "Cron", "expression": "0 7 * * *", "timeZone": "Asia/Seoul"}
    assert JobTrigger.from_wire(trigger).recurrence.zone == ZoneInfo("Asia/Seoul")
    with pytest.raises(ServiceError, match="Asia/Seoul"):
        JobTrigger.from_wire(trigger, iana_zones=False)


def instants_of(wall_times, zone, anchored, first, end):
    """The instants of local times: a gap shifts them, the first of two counts, and equal ones count once."""
    found = []
    for local in wall_times:
        # Through UTC and back: the offset before a gap, the first of two.
        instant = (local - local.replace(tzinfo=ZoneInfo(zone), fold=0).utcoffset()).replace(tzinfo=UTC)
        found.append(instant)
    wanted = sorted(set(found))
    return [instant for instant in wanted if instant >= max(anchored, first) and (end is None or instant <= end)]


starts = st.integers(0, 880 * 86400).map(
    lambda seconds: datetime.fromisoformat("2025-01-01T00:00:00") + timedelta(seconds=seconds)
)
lists = st.fixed_dictionaries(
    {
        "hours": st.lists(st.integers(0, 23), min_size=1, max_size=3, unique=True),
        "minutes": st.lists(st.integers(0, 59), min_size=1, max_size=3, unique=True),
    }
)


@st.composite
def recurrences(draw):
    frequency = draw(st.sampled_from(["Day", "Week", "Month"]))
    given = {"frequency": frequency, "interval": draw(st.integers(1, 4)), "startTime": draw(starts)}
    schedule = draw(lists)
    if frequency == "Week" or (frequency == "Month" and draw(st.booleans())):
        schedule["weekDays"] = draw(st.lists(st.sampled_from(WEEK_DAYS), min_size=1, unique=True))
    elif frequency == "Month":
        schedule["monthDays"] = draw(st.lists(st.integers(1, 31), min_size=1, max_size=4, unique=True))
    return given | {"schedule": schedule, "timeZone": draw(st.sampled_from(list(ZONES)))}


@settings(max_examples=100)
@given(recurrences(), st.integers(-400, 400), st.one_of(st.none(), st.integers(0, 400)))
def test_recurrences_fire_as_dateutil_says(trigger, created_days, lasts_days):
    start, zone, schedule = trigger["startTime"], ZONES[trigger["timeZone"]], trigger["schedule"]
    first = start.replace(tzinfo=ZoneInfo(zone), fold=0).astimezone(UTC)
    anchored = first + timedelta(days=created_days)
    end = None if lasts_days is None else start + timedelta(days=lasts_days)
    frequency = trigger["frequency"]
    # A period begins with its week or month, not with the day of the start.
    origin = start.replace(hour=0, minute=0, second=0)
    origin = origin - timedelta(days=start.weekday()) if frequency == "Week" else origin
    origin = origin.replace(day=1) if frequency == "Month" else origin
    rule = rrule(
        STEPS[frequency],
        dtstart=origin,
        interval=trigger["interval"],
        wkst=MO,
        byhour=schedule["hours"],
        byminute=schedule["minutes"],
        bysecond=0,
        byweekday=[WEEK_DAYS.index(day) for day in schedule.get("weekDays", ())] or None,
        bymonthday=schedule.get("monthDays"),
        until=max(anchored.replace(tzinfo=None), start) + timedelta(days=800),
    )
    last = None if end is None else end.replace(tzinfo=ZoneInfo(zone), fold=0).astimezone(UTC)
    expected = instants_of(rule, zone, anchored, first, last)[:COUNT]
    sent = trigger | {"startTime": start.isoformat()} | ({} if end is None else {"endTime": end.isoformat(" ")})
    assert fires(len(expected), anchored, **sent) == [f"{instant:%Y-%m-%d %H:%M:%S}" for instant in expected]
    if end is not None and expected and last is not None and len(expected) < COUNT:
        assert len(fires(COUNT, anchored, **sent)) == len(expected)


@st.composite
def cron_fields(draw, low, high, names=()):
    def number():
        value = draw(st.integers(low, high))
        return names[value - low] if names and draw(st.booleans()) else str(value)

    kind = draw(st.sampled_from(["*", "number", "range", "step", "list"]))
    if kind == "range":
        first, last = sorted((draw(st.integers(low, high)), draw(st.integers(low, high))))
        return f"{first}-{last}/{draw(st.integers(1, 5))}" if draw(st.booleans()) else f"{first}-{last}"
    if kind == "step":
        return f"*/{draw(st.integers(1, max(high // 2, 1)))}"
    if kind == "list":
        return ",".join(str(item) for item in draw(st.lists(st.integers(low, high), min_size=1, max_size=3)))
    return "*" if kind == "*" else number()


@settings(max_examples=60)
@given(
    cron_fields(0, 59),
    cron_fields(0, 23),
    cron_fields(0, 6, ("sun", "mon", "tue", "wed", "thu", "fri", "sat")),
    st.sampled_from(list(ZONES)),
    starts,
)
def test_cron_expressions_fire_as_croniter_says(minute, hour, day, zone, created):
    anchored = created.replace(tzinfo=UTC)
    local = anchored.astimezone(ZoneInfo(ZONES[zone])).replace(tzinfo=None, fold=0)
    # The day and the month of the expression must not matter. Earlier local times may be later instants, after a gap.
    series = croniter(f"{minute} {hour} * * {day}", local - timedelta(hours=2))
    naive = [series.get_next(datetime) for _ in range(COUNT + 180)]
    expected = instants_of(naive, ZONES[zone], anchored, anchored, None)[:COUNT]
    found = fires(len(expected), anchored, expression=f"{minute} {hour} 13 2 {day}", timeZone=zone)
    assert found == [f"{instant:%Y-%m-%d %H:%M:%S}" for instant in expected]
