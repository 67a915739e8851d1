"""The schedules of DAGs: Airflow's own timetables fire when the local workspace does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from support.samples import recurrences as samples

from aml_provider.cli.export.agreement import first_difference
from aml_provider.cli.export.airflow_times import HAS_SEVERAL_CRONS, airflow_times
from aml_provider.cli.export.native_times import NativeTimes, NotExpressible
from aml_provider.cli.export.timing import Crons, Every, timing_of

NOW = datetime(2026, 11, 30, 16, tzinfo=UTC)
YEAR = (datetime(2027, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC))


def times_of(wire):
    if "Frequency" in wire:
        return NativeTimes.of_schedule(wire, samples.SET_UP)
    return NativeTimes.of_job_schedule(wire, samples.SET_UP)


def in_zone(wire, zone):
    return {**wire, "TimeZone" if "Frequency" in wire else "timeZone": zone}


def difference(times, timing):
    return first_difference(times, lambda begin, end: airflow_times(timing, begin, end), NOW)


@pytest.mark.parametrize("zone", samples.ZONES)
@pytest.mark.parametrize("name", [*samples.V1, *samples.V2])
def test_airflow_fires_at_the_same_times_for_a_year(name, zone):
    wire = in_zone((samples.V1 | samples.V2)[name], zone)
    times = times_of(wire)
    if name in {"each month", "the 29th", "each quarter"} and not HAS_SEVERAL_CRONS:
        with pytest.raises(NotExpressible, match="since Airflow 3"):
            timing_of(times, NOW, several_crons=False)
        return
    timing = timing_of(times, NOW, several_crons=HAS_SEVERAL_CRONS)
    end = YEAR[1] if times.end is None else times.end
    fires = samples.service_fires(wire, *YEAR)
    assert len(fires) > 3
    assert airflow_times(timing, YEAR[0], end) == fires
    assert difference(times, timing) is None


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(samples.recurrences() | samples.triggers())
def test_what_is_exported_fires_at_the_same_times_for_a_year(wire):
    times = times_of(wire)
    try:
        timing = timing_of(times, NOW, several_crons=HAS_SEVERAL_CRONS)
    except NotExpressible:
        return
    if (found := difference(times, timing)) is not None:
        assert found.is_clock_change
        return
    many = len(samples.service_fires(wire, YEAR[0], YEAR[0] + timedelta(days=10))) > 300
    end = YEAR[0] + timedelta(days=90) if many else YEAR[1]
    assert airflow_times(timing, YEAR[0], end) == samples.service_fires(wire, YEAR[0], end)


@pytest.mark.parametrize(
    ("wire", "crons", "zone"),
    [
        ({"Frequency": "Minute", "Interval": 15, "StartTime": "2026-01-01T00:07:00"}, ["7-52/15 * * * *"], "UTC"),
        ({"Frequency": "Minute", "Interval": 15, "StartTime": "2026-01-01T00:00:00"}, ["*/15 * * * *"], "UTC"),
        ({"Frequency": "Hour", "Interval": 1, "StartTime": "2026-01-01T00:00:00"}, ["0 * * * *"], "UTC"),
        (
            {"Frequency": "Day", "Interval": 1, "StartTime": "2026-01-01T07:05:00", "TimeZone": "Korea Standard Time"},
            ["5 7 * * *"],
            "Asia/Seoul",
        ),
        (
            {"Frequency": "Week", "Interval": 1, "Schedule": {"Hours": [7], "Minutes": [0], "WeekDays": ["Sunday"]}},
            ["0 7 * * 0"],
            "UTC",
        ),
        ({"Frequency": "Month", "Interval": 1, "StartTime": "2026-01-31T00:00:00"}, ["0 0 L * *"], "UTC"),
        (
            {"Frequency": "Month", "Interval": 1, "StartTime": "2026-01-30T00:00:00"},
            ["0 0 30 1,3-12 *", "0 0 L 2 *"],
            "UTC",
        ),
    ],
)
def test_cron_expressions_are_those_that_a_person_would_write(wire, crons, zone):
    assert timing_of(times_of(wire), NOW) == Crons(tuple(crons), zone)


def test_where_a_dag_has_one_cron_expression_a_length_of_time_is_a_timedelta():
    times = times_of({"Frequency": "Minute", "Interval": 45, "StartTime": "2026-01-01T00:07:00"})
    assert len(timing_of(times, NOW).expressions) == 3
    assert timing_of(times, NOW, several_crons=False) == Every(
        timedelta(minutes=45), datetime(2026, 1, 1, 0, 7, tzinfo=UTC)
    )


def test_a_length_of_time_that_does_not_fit_into_a_day_is_a_timedelta():
    wire = {"Frequency": "Day", "Interval": 3, "StartTime": "2026-01-01T07:00:00", "TimeZone": "Korea Standard Time"}
    timing = timing_of(times_of(wire), NOW)
    assert timing == Every(timedelta(days=3), datetime(2025, 12, 31, 22, tzinfo=UTC))
    assert timing.at_or_after(NOW) == samples.service_fires(wire, NOW, NOW + timedelta(days=3))[0]


@pytest.mark.parametrize(
    ("wire", "reason"),
    [
        ({"Frequency": "Day", "Interval": 3, "TimeZone": "Romance Standard Time"}, "where clocks change"),
        ({"Frequency": "Day", "Interval": 3, "Schedule": {"Hours": [7, 9]}}, "several times each time"),
        ({"Frequency": "Week", "Interval": 2, "Schedule": {"WeekDays": ["Monday", "Friday"]}}, "several times each"),
        ({"Frequency": "Month", "Interval": 5}, "every 5 months"),
        ({"Frequency": "Day", "Interval": 1, "StartTime": "2026-01-01T07:00:30"}, "no seconds"),
    ],
)
def test_times_that_airflow_does_not_have_are_refused_with_the_reason(wire, reason):
    with pytest.raises(NotExpressible, match=reason):
        timing_of(times_of(wire), NOW)


class TestClockChanges:
    def night(self, hours, minutes):
        lists = {"Hours": hours, "Minutes": minutes}
        return times_of({"Frequency": "Day", "Interval": 1, "TimeZone": "W. Europe Standard Time", "Schedule": lists})

    def test_a_time_that_occurs_twice_in_autumn_differs(self):
        times = self.night([2], [30])
        found = difference(times, timing_of(times, NOW))
        assert found.is_clock_change
        # The service fires the first time, Airflow the second.
        assert found.native == [datetime(2027, 10, 31, 0, 30, tzinfo=UTC)]
        assert found.airflow == [datetime(2027, 10, 31, 1, 30, tzinfo=UTC)]
        assert "around a clock change at 2027-10-31 00:30:00Z" in found.describe()

    def test_every_hour_differs_in_autumn(self):
        times = times_of({"triggerType": "Cron", "expression": "0 * * * *", "timeZone": "W. Europe Standard Time"})
        found = difference(times, timing_of(times, NOW))
        assert found.native == []
        assert found.airflow == [datetime(2027, 10, 31, 1, tzinfo=UTC)]

    def test_two_times_that_do_not_exist_in_spring_differ(self):
        times = self.night([2], [0, 30])
        found = difference(times, timing_of(times, NOW))
        assert found.native[0] == datetime(2027, 3, 28, 1, 30, tzinfo=UTC)

    def test_a_day_on_which_no_clock_changes_does_not_differ(self):
        lists = {"Hours": [2], "Minutes": [30], "WeekDays": ["Wednesday"]}
        wire = {"Frequency": "Week", "Interval": 1, "TimeZone": "W. Europe Standard Time", "Schedule": lists}
        times = times_of(wire)
        assert difference(times, timing_of(times, NOW)) is None
