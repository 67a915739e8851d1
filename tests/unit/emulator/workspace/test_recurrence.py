"""When a recurrence fires: examples from the documentation, and a comparison with another implementation."""

from __future__ import annotations

import functools
import itertools
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from dateutil.rrule import DAILY, HOURLY, MINUTELY, MO, MONTHLY, WEEKLY, rrule
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aml_provider.emulator.workspace.recurrence import WEEK_DAYS, Recurrence, fire_times
from aml_provider.emulator.workspace.time_zones import windows_zone

# Repeated here, because the oracle must not use the code under test.
ZONES = {
    None: "Etc/UTC",
    "UTC": "Etc/UTC",
    "AUS Eastern Standard Time": "Australia/Sydney",
    "Central Standard Time": "America/Chicago",
    "Chatham Islands Standard Time": "Pacific/Chatham",
    "Cuba Standard Time": "America/Havana",
    "Egypt Standard Time": "Africa/Cairo",
    "GMT Standard Time": "Europe/London",
    "Greenland Standard Time": "America/Godthab",
    "Iran Standard Time": "Asia/Tehran",
    "Korea Standard Time": "Asia/Seoul",
    "Lord Howe Standard Time": "Australia/Lord_Howe",
    "Morocco Standard Time": "Africa/Casablanca",
    "Nepal Standard Time": "Asia/Katmandu",
    "Newfoundland Standard Time": "America/St_Johns",
    "Pacific SA Standard Time": "America/Santiago",
    "Samoa Standard Time": "Pacific/Apia",
    "W. Europe Standard Time": "Europe/Berlin",
}
STEPS = {"Minute": MINUTELY, "Hour": HOURLY, "Day": DAILY, "Week": WEEKLY, "Month": MONTHLY}
COUNT = 50


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def fires(recurrence: Recurrence, anchored: str, count: int = 4, after: str | None = None, **options) -> list[str]:
    found = fire_times(recurrence, at(anchored), None if after is None else at(after), **options)
    return [f"{fire:%Y-%m-%d %H:%M}" for fire in itertools.islice(found, count)]


class TestFirstRun:
    """https://learn.microsoft.com/azure/logic-apps/concepts-schedule-automated-recurring-tasks-workflows."""

    def test_without_a_start_time_it_fires_immediately(self):
        assert fires(Recurrence("Minute", 15), "2026-03-02 10:07", 3) == [
            "2026-03-02 10:07",
            "2026-03-02 10:22",
            "2026-03-02 10:37",
        ]

    def test_after_the_immediate_run_it_follows_the_lists(self):
        recurrence = Recurrence("Week", hours=(17,), minutes=(0,), week_days=("Saturday",))
        assert fires(recurrence, "2026-03-02 10:07", 3) == ["2026-03-02 10:07", "2026-03-07 17:00", "2026-03-14 17:00"]

    def test_a_creation_at_a_computed_time_fires_once(self):
        recurrence = Recurrence("Day", hours=(10,), minutes=(0,))
        assert fires(recurrence, "2026-03-02 10:00", 2) == ["2026-03-02 10:00", "2026-03-03 10:00"]

    def test_a_start_time_in_the_future_is_the_first_run(self):
        recurrence = Recurrence("Day", 2, "2026-04-01T09:00:00", "Korea Standard Time")
        assert fires(recurrence, "2026-03-02 10:07", 2) == ["2026-04-01 00:00", "2026-04-03 00:00"]

    def test_a_start_time_of_now_is_the_first_run(self):
        assert fires(Recurrence("Hour", 1, "2026-03-02T10:07:00"), "2026-03-02 10:07", 1) == ["2026-03-02 10:07"]

    @pytest.mark.parametrize("start", ["2017-09-07", "2017-09-05", "2017-09-01"])
    def test_past_times_are_skipped(self, start):
        # The documentation's example.
        assert fires(Recurrence("Day", 2, f"{start}T14:00:00"), "2017-09-08 13:00", 3) == [
            "2017-09-09 14:00",
            "2017-09-11 14:00",
            "2017-09-13 14:00",
        ]

    def test_with_lists_nothing_fires_before_the_start_time(self):
        # The documentation's example: today is the 4th, the start time the 18th at 8:00 in Pacific time.
        recurrence = Recurrence(
            "Week", 1, "2020-09-18T08:00:00", "Pacific Standard Time", (10, 12, 14), (30,), ("Monday",)
        )
        assert fires(recurrence, "2020-09-04 12:00") == [
            "2020-09-21 17:30",
            "2020-09-21 19:30",
            "2020-09-21 21:30",
            "2020-09-28 17:30",
        ]

    def test_a_start_time_that_matches_the_lists_does_not_fire(self):
        recurrence = Recurrence("Day", 1, "2026-03-03T09:00:00", hours=(9, 17), minutes=(0, 30))
        assert fires(recurrence, "2026-03-02 10:07") == [
            "2026-03-03 09:30",
            "2026-03-03 17:00",
            "2026-03-03 17:30",
            "2026-03-04 09:00",
        ]

    def test_a_start_time_with_a_z_is_in_utc(self):
        recurrence = Recurrence("Day", 1, "2026-03-03T09:00:00Z", "Korea Standard Time")
        assert fires(recurrence, "2026-03-02 10:07", 1) == ["2026-03-03 09:00"]


class TestLists:
    def test_hours_and_minutes_are_a_cross_product(self):
        recurrence = Recurrence("Day", hours=(17, 9, 9), minutes=(30, 0))
        assert fires(recurrence, "2026-03-02 00:00", 5)[1:] == [
            "2026-03-02 09:00",
            "2026-03-02 09:30",
            "2026-03-02 17:00",
            "2026-03-02 17:30",
        ]

    def test_hours_alone_use_the_minute_of_the_start(self):
        assert fires(Recurrence("Day", hours=(8,)), "2026-03-02 10:07", 2)[1] == "2026-03-03 08:07"
        recurrence = Recurrence("Day", 1, "2026-03-02T06:45:00", hours=(8,))
        assert fires(recurrence, "2026-03-01 10:07", 1) == ["2026-03-02 08:45"]

    def test_hours_alone_use_minute_zero_with_the_quirk(self):
        assert fires(Recurrence("Day", hours=(8,)), "2026-03-02 10:07", 2, minute_zero=True)[1] == "2026-03-03 08:00"

    def test_minutes_alone_use_the_hour_of_the_start(self):
        assert fires(Recurrence("Day", minutes=(8,)), "2026-03-02 10:07", 2)[1] == "2026-03-02 10:08"

    def test_week_days_alone_use_the_time_of_the_start(self):
        recurrence = Recurrence("Week", 1, "2017-09-08T17:00:00", week_days=("Saturday",))
        assert fires(recurrence, "2017-09-08 13:00", 2) == ["2017-09-09 17:00", "2017-09-16 17:00"]

    def test_every_other_week_is_counted_from_the_week_of_the_start(self):
        # The start is a Wednesday.
        recurrence = Recurrence("Week", 2, "2026-03-04T00:00:00", None, (9,), (0,), ("Friday", "Monday"))
        assert fires(recurrence, "2026-03-01 00:00") == [
            "2026-03-06 09:00",
            "2026-03-16 09:00",
            "2026-03-20 09:00",
            "2026-03-30 09:00",
        ]


class TestMonths:
    def test_a_short_month_uses_its_last_day(self):
        assert fires(Recurrence("Month", 1, "2024-01-31T09:00:00"), "2024-01-01 00:00") == [
            "2024-01-31 09:00",
            "2024-02-29 09:00",
            "2024-03-31 09:00",
            "2024-04-30 09:00",
        ]

    def test_every_fifth_month_counts_from_the_start(self):
        assert fires(Recurrence("Month", 5, "2024-10-30T09:00:00"), "2024-01-01 00:00", 3) == [
            "2024-10-30 09:00",
            "2025-03-30 09:00",
            "2025-08-30 09:00",
        ]


class TestClockChanges:
    """Central time in 2019, the example of the documentation."""

    def test_a_time_that_does_not_exist_is_later(self):
        recurrence = Recurrence("Day", 1, "2019-03-09T02:30:00", "Central Standard Time")
        assert fires(recurrence, "2019-03-01 00:00", 3) == ["2019-03-09 08:30", "2019-03-10 08:30", "2019-03-11 07:30"]

    def test_a_time_that_occurs_twice_fires_once(self):
        recurrence = Recurrence("Day", 1, "2019-11-02T01:30:00", "Central Standard Time")
        assert fires(recurrence, "2019-10-01 00:00", 3) == ["2019-11-02 06:30", "2019-11-03 06:30", "2019-11-04 07:30"]

    def test_two_times_that_coincide_fire_once(self):
        recurrence = Recurrence("Day", hours=(2, 3), minutes=(30,), time_zone="Central Standard Time")
        assert fires(recurrence, "2019-03-09 10:00", 5, after="2019-03-09 12:00") == [
            "2019-03-10 08:30",
            "2019-03-11 07:30",
            "2019-03-11 08:30",
            "2019-03-12 07:30",
            "2019-03-12 08:30",
        ]

    def test_instants_are_in_order(self):
        # On Lord Howe Island clocks go from 2:00 to 2:30, so 2:15 becomes 2:45.
        recurrence = Recurrence("Day", hours=(2,), minutes=(15, 40), time_zone="Lord Howe Standard Time")
        assert fires(recurrence, "2026-10-02 00:00", 5, after="2026-10-02 12:00") == [
            "2026-10-02 15:45",
            "2026-10-02 16:10",
            "2026-10-03 15:40",
            "2026-10-03 15:45",
            "2026-10-04 15:15",
        ]

    def test_hours_are_lengths_of_time(self):
        recurrence = Recurrence("Hour", 12, "2019-03-09T20:00:00", "Central Standard Time")
        assert fires(recurrence, "2019-03-01 00:00", 3) == ["2019-03-10 02:00", "2019-03-10 14:00", "2019-03-11 02:00"]

    def test_a_day_that_a_time_zone_skipped(self):
        # Samoa crossed the date line: 30 December 2011 did not exist there.
        recurrence = Recurrence("Day", 1, "2011-12-28T08:00:00", "Samoa Standard Time")
        assert fires(recurrence, "2011-12-01 00:00", 4) == [
            "2011-12-28 18:00",
            "2011-12-29 18:00",
            "2011-12-30 18:00",
            "2011-12-31 18:00",
        ]


class TestValidation:
    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({"frequency": "minute"}, "Frequency"),
            ({"frequency": None}, "Frequency"),
            ({"frequency": "Day", "interval": 0}, "Interval"),
            ({"frequency": "Day", "interval": True}, "Interval"),
            ({"frequency": "Day", "interval": "1"}, "Interval"),
            ({"frequency": "Day", "interval": 501}, "Interval"),
            ({"frequency": "Minute", "hours": (1,)}, "Hours"),
            ({"frequency": "Month", "minutes": (1,)}, "Minutes"),
            ({"frequency": "Day", "week_days": ("Monday",)}, "WeekDays"),
            ({"frequency": "Week", "week_days": ("monday",)}, "WeekDays"),
            ({"frequency": "Day", "hours": (24,)}, "Hours"),
            ({"frequency": "Day", "minutes": (60,)}, "Minutes"),
            ({"frequency": "Day", "minutes": ("0",)}, "Minutes"),
            ({"frequency": "Day", "time_zone": "Asia/Seoul"}, "time zone"),
            ({"frequency": "Day", "time_zone": 5}, "time zone"),
            ({"frequency": "Day", "start_time": "tomorrow"}, "StartTime"),
            ({"frequency": "Day", "start_time": "2026-12-01"}, "StartTime"),
            ({"frequency": "Day", "start_time": "2026-13-01T00:00:00"}, "StartTime"),
            ({"frequency": "Day", "start_time": "2026-12-01T00:00:00+09:00"}, "StartTime"),
            ({"frequency": "Day", "start_time": "9999-12-01T00:00:00"}, "StartTime"),
        ],
    )
    def test_invalid_recurrences_are_refused(self, values, message):
        with pytest.raises(ValueError, match=message):
            Recurrence(**values)

    def test_fractions_of_a_second(self):
        recurrence = Recurrence("Day", 1, "2026-12-01T00:00:00.1234567Z")
        assert recurrence.start == datetime.fromisoformat("2026-12-01T00:00:00.123456")


class TestZones:
    @pytest.mark.parametrize(("name", "key"), [(name, key) for name, key in ZONES.items() if name])
    def test_windows_names_are_known(self, name, key):
        instants = [datetime(2026, month, 15, tzinfo=UTC) for month in range(1, 13)]
        zones = (windows_zone(name), ZoneInfo(key))
        assert [each.astimezone(zones[0]).utcoffset() for each in instants] == [
            each.astimezone(zones[1]).utcoffset() for each in instants
        ]

    @pytest.mark.parametrize("name", ["Kamchatka Standard Time", "Mid-Atlantic Standard Time"])
    def test_names_that_windows_dropped_are_known(self, name):
        assert windows_zone(name).key in available_timezones()

    @pytest.mark.parametrize("name", ["Asia/Seoul", "KoreaStandardTime", "korea standard time", ""])
    def test_other_names_are_refused(self, name):
        with pytest.raises(ValueError, match="time zone"):
            windows_zone(name)


@functools.cache
def transitions(key: str, year: int) -> list[datetime]:
    """The instants of a year, to the hour, at which a zone's offset changes."""
    zone, found = ZoneInfo(key), []
    hours = (datetime(year, 1, 1, tzinfo=UTC) + timedelta(hours=hour) for hour in range(366 * 24))
    for before, after in itertools.pairwise(hours):
        if before.astimezone(zone).utcoffset() != after.astimezone(zone).utcoffset():
            found.append(after)
    return found


def instant_of(local: datetime, zone: ZoneInfo) -> datetime:
    """The instant of a local time, found by trying the offsets around it."""
    near = [local.replace(tzinfo=UTC) + timedelta(days=days) for days in (-2, -1, 0, 1, 2)]
    offsets = [instant.astimezone(zone).utcoffset() for instant in near]
    candidates = sorted(local.replace(tzinfo=UTC) - offset for offset in offsets)
    shown = [each for each in candidates if each.astimezone(zone).replace(tzinfo=None) == local]
    if shown:
        return shown[0]
    # The local time does not exist: later by the length of the jump.
    return local.replace(tzinfo=UTC) - offsets[0]


def oracle(recurrence: Recurrence, anchored: datetime, after: datetime | None) -> list[datetime]:
    """The same by RFC 5545 on local times, which are converted to instants afterwards."""
    zone = ZoneInfo(ZONES[recurrence.time_zone])
    local = anchored.astimezone(zone).replace(tzinfo=None)
    if recurrence.start_time:
        local = datetime.fromisoformat(recurrence.start_time)
    start = instant_of(local, zone) if recurrence.start_time else anchored
    last = max(start, anchored, after or anchored)
    if recurrence.frequency in ("Minute", "Hour"):
        rule = rrule(STEPS[recurrence.frequency], interval=recurrence.interval, dtstart=start.replace(tzinfo=None))
        found = (instant.replace(tzinfo=UTC) for instant in rule)
    else:
        options = {"dtstart": local}
        if recurrence.hours or recurrence.minutes:
            options = {
                "dtstart": datetime.combine(local, time()),
                "byhour": recurrence.hours or (local.hour,),
                "byminute": recurrence.minutes or (local.minute,),
                "bysecond": 0,
            }
        if recurrence.frequency == "Week":
            options["byweekday"] = [WEEK_DAYS.index(day) for day in recurrence.week_days] or local.weekday()
            options["wkst"] = MO
        if recurrence.frequency == "Month" and local.day > 28:
            options |= {"bymonthday": range(28, local.day + 1), "bysetpos": -1}
        rule = rrule(STEPS[recurrence.frequency], interval=recurrence.interval, **options)
        found = (instant_of(wall, zone) for wall in rule)
    lists = recurrence.hours or recurrence.minutes or recurrence.week_days
    kept = set() if recurrence.start_time else {anchored}
    later, enough = set(), None
    for instant in found:
        early = instant <= start if lists or recurrence.start_time is None else instant < start
        if not early and instant >= anchored:
            kept.add(instant)
        if instant > last:
            later.add(instant)
        if enough is None and len(later) > COUNT:
            # Local times can have another order than instants.
            enough = instant + timedelta(days=2)
        if enough is not None and instant > enough:
            break
    return sorted(each for each in kept if after is None or each > after)[:COUNT]


@st.composite
def cases(draw):
    zone = draw(st.sampled_from(list(ZONES)))
    key = ZONES[zone]
    moment = at("2005-01-01") + timedelta(minutes=draw(st.integers(0, 20_000_000)))
    changes = transitions(key, moment.year)
    if changes and draw(st.booleans()):
        moment = draw(st.sampled_from(changes)) + timedelta(minutes=draw(st.integers(-4000, 4000)))
    frequency = draw(st.sampled_from(list(STEPS)))
    lists = {}
    if frequency in ("Day", "Week"):
        # Daylight saving changes are at night, and can swap neighbouring times.
        night = st.sampled_from(((0, 1, 2, 3), (23, 0), (1, 2), (2, 3, 4)))
        lists["hours"] = tuple(draw(st.lists(st.integers(0, 23), max_size=4) | night))
        lists["minutes"] = tuple(draw(st.lists(st.integers(0, 59) | st.sampled_from((0, 15, 30, 45)), max_size=4)))
    if frequency == "Week":
        lists["week_days"] = tuple(draw(st.lists(st.sampled_from(WEEK_DAYS), max_size=4)))
    start = None
    if draw(st.booleans()):
        reach = {"Minute": 4_000, "Hour": 50_000}.get(frequency, 700_000)
        away = timedelta(minutes=draw(st.integers(-reach, reach) | st.just(0)))
        wall = (moment + away).astimezone(ZoneInfo(key)).replace(tzinfo=None)
        if draw(st.booleans()):
            # Taken from the lists, if there are any.
            hour, minute = lists.get("hours") or (0, 1, 2, 3), lists.get("minutes") or (0, 15, 30, 45)
            wall = wall.replace(hour=draw(st.sampled_from(hour)), minute=draw(st.sampled_from(minute)), second=0)
        start = wall.isoformat()
    interval = draw(st.integers(1, 4) | st.integers(1, {"Minute": 2000, "Hour": 200}.get(frequency, 16)))
    after = draw(st.none() | st.integers(-5_000, 5_000).map(lambda minutes: moment + timedelta(minutes=minutes)))
    return Recurrence(frequency, interval, start, zone, **lists), moment, after


@settings(max_examples=400)
@given(cases())
@example((Recurrence("Month", 1, "2024-01-31T02:30:00", "W. Europe Standard Time"), at("2024-01-01 00:00"), None))
@example((Recurrence("Day", 1, "2026-10-04T02:15:00", "Lord Howe Standard Time"), at("2026-10-01 00:00"), None))
@example((Recurrence("Month", 2, None, "AUS Eastern Standard Time"), at("2006-04-01 16:00"), None))
@example((Recurrence("Day", 1, None, "Lord Howe Standard Time", (2,), (15, 40)), at("2026-10-02 12:00"), None))
@example((Recurrence("Day", 1, None, "Central Standard Time", (23,), (0,)), at("2026-01-02 03:00"), None))
@example((Recurrence("Day", 1, None, "Morocco Standard Time", (2, 3), (30,)), at("2026-02-13 00:00"), None))
def test_it_agrees_with_another_implementation(case):
    recurrence, anchored, after = case
    found = list(itertools.islice(fire_times(recurrence, anchored, after), COUNT))
    assert found == oracle(recurrence, anchored, after)


@given(cases(), st.integers(0, 20))
def test_it_can_be_resumed_at_any_instant(case, passed):
    recurrence, anchored, _ = case
    whole = list(itertools.islice(fire_times(recurrence, anchored), 30))
    rest = list(itertools.islice(fire_times(recurrence, anchored, whole[passed]), 29 - passed))
    assert rest == whole[passed + 1 :]
    assert whole == sorted(set(whole))


def test_a_distant_start_is_fast():
    recurrence = Recurrence("Minute", 1, "1970-01-01T00:00:00")
    assert fires(recurrence, "2100-01-01 00:00", 1) == ["2100-01-01 00:00"]
