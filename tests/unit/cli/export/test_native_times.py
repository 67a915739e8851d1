"""The times of native schedules: those of the local workspace, which computes them in another way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.samples import recurrences as samples

from aml_provider.cli.export.native_times import NativeTimes, NotExpressible

# A week around each clock change of 2027, and one in which no clock changes.
DAYS = ((3, 11), (3, 25), (4, 1), (10, 1), (10, 28), (11, 4), (1, 28))
WEEKS = [datetime(2027, month, day, tzinfo=UTC) for month, day in DAYS]


def times_of(wire):
    if "Frequency" in wire:
        return NativeTimes.of_schedule(wire, samples.SET_UP)
    return NativeTimes.of_job_schedule(wire, samples.SET_UP)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(samples.recurrences() | samples.triggers(), st.sampled_from(WEEKS))
def test_they_are_those_of_the_local_workspace(wire, week):
    end = week + timedelta(days=7)
    assert times_of(wire).between(week, end) == samples.service_fires(wire, week, end)


def test_the_start_is_the_first_fire_only_without_lists():
    start = datetime(2027, 1, 1, 7, tzinfo=UTC)
    recurrence = {"Frequency": "Day", "Interval": 1, "StartTime": "2027-01-01T07:00:00"}
    assert times_of(recurrence).between(start, start) == [start]
    assert times_of({**recurrence, "Schedule": {"Hours": [7]}}).between(start, start) == []
    trigger = {"triggerType": "Cron", "expression": "0 7 * * *", "startTime": "2027-01-01T07:00:00"}
    assert times_of(trigger).between(start, start) == [start]


def test_the_end_is_the_last_fire():
    end = datetime(2027, 1, 1, 7, tzinfo=UTC)
    trigger = {"triggerType": "Cron", "expression": "0 7 * * *", "endTime": "2027-01-01 07:00:00"}
    assert times_of(trigger).between(end, end + timedelta(days=9)) == [end]


def test_a_start_with_a_z_is_in_utc_whatever_the_zone_is():
    wire = {"Frequency": "Day", "Interval": 1, "StartTime": "2026-01-01T07:00:00Z", "TimeZone": samples.ZONES[2]}
    times = times_of(wire)
    assert times.zone == "UTC"
    day = datetime(2027, 1, 1, tzinfo=UTC)
    assert times.between(day, day + timedelta(days=1)) == [day + timedelta(hours=7)]


def test_a_schedule_without_a_start_counts_from_its_set_up_and_says_so():
    (note,) = times_of({"Frequency": "Hour", "Interval": 5}).notes
    assert "no start time" in note
    assert "2026-03-02 10:07 (UTC)" in note
    complete = {"Frequency": "Day", "Interval": 1, "Schedule": {"Hours": [7], "Minutes": [0]}}
    assert times_of(complete).notes == ()


def test_a_date_in_a_cron_expression_is_ignored_and_the_note_says_so():
    (note,) = times_of({"triggerType": "Cron", "expression": "0 7 1 * *"}).notes
    assert "ignores day of month and month" in note


@pytest.mark.parametrize(
    ("wire", "reason"),
    [
        ({"Frequency": "Year", "Interval": 1}, "the frequency 'Year'"),
        ({"Frequency": "Day", "Interval": "x"}, "the interval 'x'"),
        ({"Frequency": "Day", "Interval": 1, "TimeZone": "Moon Standard Time"}, "Moon Standard Time"),
        ({"Frequency": "Day", "Interval": 1, "StartTime": "tomorrow"}, "the time 'tomorrow'"),
        ({"Frequency": "Day", "Interval": 1, "Schedule": {"Hours": ["7"]}}, r"the list \['7'\]"),
        ({"Frequency": "Week", "Interval": 1, "Schedule": {"WeekDays": ["Payday"]}}, "the week day 'payday'"),
        ({"triggerType": "Cron", "expression": "0 7"}, "use five fields"),
        ({"triggerType": "Cron", "expression": "*/90 * * * *"}, "a step of 59"),
        ({"triggerType": "Event"}, "the frequency 'None'"),
    ],
)
def test_values_that_are_not_known_are_named(wire, reason):
    with pytest.raises(NotExpressible, match=reason):
        times_of(wire)


def test_without_a_start_and_a_set_up_there_are_no_times():
    with pytest.raises(NotExpressible, match="does not say when it was set up"):
        NativeTimes.of_schedule({"Frequency": "Hour", "Interval": 5}, None)
