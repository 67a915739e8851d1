"""Recurrences: what is refused and how that is said, which zones lead where, and what counts as the same."""

from __future__ import annotations

import re
import zoneinfo
from datetime import UTC, datetime, timedelta
from importlib import metadata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tzlocal.windows_tz import win_tz

from aml_provider.client.errors import InvalidArgument
from aml_provider.client.models import Recurrence
from aml_provider.client.specs import time_zones
from aml_provider.client.specs.recurrence import (
    FREQUENCIES,
    WEEK_DAYS,
    as_recurrence,
    merge_recurrence,
    park,
    recurrence_to_wire,
    same_recurrence,
)
from aml_provider.client.specs.time_zones import KNOWN_ZONES, windows_zone

START = "2026-12-01T16:00:00"
CODES = {name: number for number, name in enumerate(reversed(FREQUENCIES))}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"frequency": "day"}, "recurrence.frequency: is 'day'; use one of Minute, Hour, Day, Week, Month"),
        ({"interval": 0}, "recurrence.interval: is 0; use a whole number of at least 1"),
        ({"interval": True}, "recurrence.interval: is True"),
        ({"interval": 1.0}, "recurrence.interval: is 1.0"),
        ({"interval": "2"}, "recurrence.interval: is the text '2'; .*render_template_as_native_obj"),
        ({"start_time": "tomorrow"}, "recurrence.start_time: is 'tomorrow'; use a datetime without a zone"),
        ({"start_time": "2026-12-01T16:00:00Z"}, "recurrence.start_time: is '2026-12-01T16:00:00Z'"),
        ({"start_time": "2026-12-01"}, "recurrence.start_time"),
        ({"start_time": "2026-13-01T16:00:00"}, "recurrence.start_time: is '2026-13-01T16:00:00': month must be in"),
        (
            {"start_time": datetime(2026, 1, 1, tzinfo=UTC)},
            r"recurrence.start_time: is 2026-01-01T00:00:00\+00:00, with",
        ),
        ({"start_time": 7}, "recurrence.start_time: is an int"),
        ({"time_zone": "Asia/Soul"}, "recurrence.time_zone: is 'Asia/Soul', .*did you mean 'Asia/Seoul'"),
        ({"time_zone": "Qyzylorda Standard Time"}, "recurrence.time_zone: .*older and does not contain this zone"),
        ({"time_zone": "Asia/Qyzylorda"}, "on Windows 'Qyzylorda Standard Time'"),
        ({"time_zone": 9}, "recurrence.time_zone: is an int"),
        ({"hours": "9"}, "recurrence.hours: is '9'; use a list"),
        ({"hours": [24]}, "recurrence.hours: is 24; use a whole number from 0 to 23"),
        ({"minutes": [60]}, "recurrence.minutes: is 60; use a whole number from 0 to 59"),
        ({"hours": [True]}, "recurrence.hours: is True"),
        (
            {"frequency": "Hour", "minutes": [5]},
            "recurrence.minutes: can be used only with the frequencies Day and Week,",
        ),
        (
            {"frequency": "Hour", "time_of_day": "1:00"},
            "recurrence.time_of_day: can be used only with the frequencies Day and Week,",
        ),
        ({"week_days": ["Monday"]}, "recurrence.week_days: can be used only with the frequency Week, not with Day"),
        ({"frequency": "Week", "week_days": ["Mon"]}, "recurrence.week_days: has 'Mon'"),
        ({"time_of_day": "24:00"}, "recurrence.time_of_day: is '24:00'; use 'h:mm'"),
        ({"time_of_day": "9:00", "hours": []}, "recurrence.time_of_day: is given together with hours or minutes"),
    ],
)
def test_what_cannot_be_is_said(fields, said):
    with pytest.raises(InvalidArgument, match=said):
        recurrence_to_wire(Recurrence(**{"frequency": "Day", "interval": 1} | fields))


@pytest.mark.parametrize(
    "value",
    [
        Recurrence("Day", 2, time_of_day="9:30"),
        ["Day", 2, None, None, None, None, None, "9:30"],
        ("Day", 2, None, None, [9], [30]),
        {"frequency": "Day", "interval": 2, "time_of_day": "09:30"},
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_form_in_which_airflow_hands_it_over(value):
    wire = {"Frequency": "Day", "Interval": 2, "Schedule": {"Hours": [9], "Minutes": [30]}}
    assert recurrence_to_wire(value) == wire


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("Day", "is a str"),
        (["Day"], "is a list"),
        ({"frequency": "Day"}, "lacks interval"),
        ({"frequency": "Day", "interval": 1, "cron": "x"}, "has the keys cron"),
    ],
)
def test_what_is_no_recurrence(value, said):
    with pytest.raises(InvalidArgument, match=said):
        as_recurrence(value)


def test_every_name_of_the_service_is_taken_as_it_is():
    assert all(windows_zone("z", name) == name for name in KNOWN_ZONES)


@pytest.mark.parametrize(
    ("name", "windows"),
    [
        ("Asia/Seoul", "Korea Standard Time"),
        ("Europe/Amsterdam", "W. Europe Standard Time"),
        ("America/New_York", "Eastern Standard Time"),
        ("US/Eastern", "Eastern Standard Time"),
        ("Asia/Kolkata", "India Standard Time"),
        ("Asia/Calcutta", "India Standard Time"),
        ("UTC", "UTC"),
        ("Etc/UTC", "UTC"),
        ("GMT", "UTC"),
        ("EST5EDT", "Eastern Standard Time"),
        ("PST8PDT", "Pacific Standard Time"),
        ("US/East-Indiana", "US Eastern Standard Time"),
        ("Europe/Zaporozhye", "FLE Standard Time"),
    ],
)
def test_an_iana_name_leads_to_a_name_of_windows(name, windows):
    assert windows_zone("z", name) == windows


def clock_of(name, moment):
    """What Windows' zone of that name shows, by the newest table; or an IANA zone."""
    return moment.astimezone(time_zones._tables(win_tz.get(name, name))[-1]).replace(tzinfo=None)


# Every fortnight has its noon and its night; both sides of each change of a clock.
MOMENTS = [datetime.now(UTC).replace(microsecond=0) + timedelta(hours=14 * 24 * n + 7 * (n % 2)) for n in range(26 * 4)]


def test_every_iana_name_keeps_its_clock_or_is_reported_to_have_no_windows_name():
    answers, hints = {}, {}
    for name in zoneinfo.available_timezones() - {"localtime", "Factory"}:
        try:
            answers[name] = windows_zone("z", name)
        except InvalidArgument as error:
            hints[name] = str(error)
    assert set(answers.values()) <= KNOWN_ZONES
    # The rest is zones that Windows has made since, or that it never had.
    assert len(answers) > 500
    assert all("does not contain this zone" in text for text in hints.values())
    found = {name: re.findall(r"'([^']+)'", text.partition("The same clock until")[2]) for name, text in hints.items()}
    assert sum(map(bool, found.values())) > 5
    for name, meant in [*answers.items(), *((name, hint) for name, hinted in found.items() for hint in hinted)]:
        for moment in MOMENTS:
            assert clock_of(name, moment) == clock_of(meant, moment), (name, meant)


# Older tables of Windows names do not know that the clocks of Almaty and of Vostok have moved.
_VOSTOK = pytest.param(
    "Antarctica/Vostok",
    marks=pytest.mark.skipif(
        tuple(int(part) for part in metadata.version("tzlocal").split(".")[:2]) < (5, 4),
        reason="tzlocal has the table of 2024 or later since 5.4",
    ),
)


@pytest.mark.parametrize("name", ["Antarctica/Troll", "America/Scoresbysund", _VOSTOK])
def test_a_place_of_a_clock_of_its_own_is_not_given_its_neighbours(name):
    """Unicode's table calls the second one Azores, whose clock is an hour ahead."""
    with pytest.raises(InvalidArgument, match="does not contain this zone"):
        windows_zone("z", name)


@pytest.mark.parametrize(
    ("name", "told", "never"),
    [
        # Etc/GMT+2 lies in the west.
        ("GMT+2", "which is an offset; use the name of a time zone. The same clock until 20", "Etc/"),
        ("UTC+05:45", "'Nepal Standard Time'", "India"),
        ("-3", "'SA Eastern Standard Time'", "E. Africa Standard Time"),
        ("UTC+99", "use a name such as", "UTC-09"),
        ("PST", "use a name such as", "EST"),
        ("CEST", "use a name such as", "CET"),
        ("", "use a name such as", "Mexico"),
        ("localtime", "use a name such as", "did you mean"),
        ("europe/berlin", "did you mean 'Europe/Berlin'?", "Dublin"),
        ("gmt", "did you mean 'GMT'?", "EST"),
        (" Asia/Seoul ", "did you mean 'Asia/Seoul'?", "UTC"),
        ("Berlin", "did you mean 'Europe/Berlin'?", "Dublin"),
    ],
)
def test_a_hint_never_changes_the_clock(name, told, never):
    with pytest.raises(InvalidArgument) as caught:
        windows_zone("time_zone", name)
    assert told in str(caught.value)
    hint = str(caught.value).removeprefix(f"time_zone: is {name!r}, which is an offset")
    assert never not in hint


# The same, whatever the service makes of it

zones = st.sampled_from([None, "UTC", "Korea Standard Time"])


@st.composite
def recurrences(draw):
    frequency = draw(st.sampled_from(FREQUENCIES))
    with_times = frequency in {"Day", "Week"}

    def numbers(most):
        return st.none() | st.lists(st.integers(0, most), max_size=3)

    return Recurrence(
        frequency,
        draw(st.integers(1, 99)),
        start_time=draw(st.none() | st.just(START) | st.just("2027-01-01T00:00:00")),
        time_zone=draw(zones),
        hours=draw(numbers(23)) if with_times else None,
        minutes=draw(numbers(59)) if with_times else None,
        week_days=draw(st.none() | st.lists(st.sampled_from(WEEK_DAYS), max_size=3)) if frequency == "Week" else None,
    )


def meaning(value):
    return (
        value.frequency,
        value.interval,
        value.start_time,
        value.time_zone or "UTC",
        *(frozenset(getattr(value, field) or ()) for field in ("hours", "minutes", "week_days")),
    )


@given(recurrences(), recurrences())
def test_two_recurrences_are_the_same_if_their_fields_are(one, other):
    same = same_recurrence(recurrence_to_wire(one), recurrence_to_wire(other))
    assert same == (meaning(one) == meaning(other))


@given(recurrences(), st.data())
def test_what_the_service_stores_is_an_equal_recurrence(value, data):
    wire = recurrence_to_wire(value)
    echo = {"StartTime": None, "TimeZone": "UTC", "Schedule": None, "EndTime": None} | wire
    if data.draw(st.booleans()):
        echo["Frequency"] = data.draw(st.sampled_from([CODES[wire["Frequency"]], str(CODES[wire["Frequency"]])]))
    if echo["StartTime"]:
        echo["StartTime"] += data.draw(st.sampled_from(["", "Z", ".0000000", ".0000000Z"]))
    if echo["Schedule"]:
        echo["Schedule"] = {"Hours": None, "Minutes": [], "WeekDays": None} | {
            key: list(reversed(items)) for key, items in wire["Schedule"].items()
        }
        if echo["Schedule"]["WeekDays"] and data.draw(st.booleans()):
            echo["Schedule"]["WeekDays"] = [WEEK_DAYS.index(day) for day in echo["Schedule"]["WeekDays"]]
    assert same_recurrence(echo, wire)
    assert same_recurrence(merge_recurrence(echo, wire), wire)


@given(recurrences())
def test_what_is_parked_is_not_the_same_and_fires_in_ten_years(value):
    wire = recurrence_to_wire(value)
    parked = park(wire, datetime.fromisoformat(START))
    assert parked["StartTime"] == "2036-11-28T16:00:00"
    assert not same_recurrence(parked, wire)
    assert {key: item for key, item in parked.items() if key not in {"StartTime", "TimeZone"}} == {
        key: item for key, item in wire.items() if key not in {"StartTime", "TimeZone"}
    }


def test_a_recurrence_that_makes_no_sense_is_only_the_same_as_itself():
    odd = {"Frequency": "Fortnight", "Interval": None, "StartTime": "soon", "Schedule": {"Hours": ["x"]}}
    assert same_recurrence(odd, dict(odd))
    assert not same_recurrence(odd, recurrence_to_wire(Recurrence("Day", 1)))
    assert not same_recurrence(None, recurrence_to_wire(Recurrence("Day", 1)))
