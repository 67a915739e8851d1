"""When a job schedule starts jobs: what authors may write, what is sent, and what counts as equal."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from aml_provider.client.errors import InvalidArgument
from aml_provider.client.models import Recurrence
from aml_provider.client.specs.job_trigger import as_cron, merge_trigger, same_trigger, trigger_to_wire
from aml_provider.client.specs.recurrence import recurrence_to_wire

NOON = datetime(2026, 12, 1, 12)  # noqa: DTZ001 - local to the schedule's zone


@pytest.mark.parametrize(
    ("arguments", "wire"),
    [
        ({"cron": "0 7 * * 1-5"}, {"triggerType": "Cron", "expression": "0 7 * * 1-5", "timeZone": "UTC"}),
        (
            {"cron": " */15  0-12/2,23 * * MON,Fri ", "start_time": NOON, "time_zone": "Asia/Seoul"},
            {
                "triggerType": "Cron",
                "expression": "*/15 0-12/2,23 * * MON,Fri",
                "startTime": "2026-12-01T12:00:00",
                "timeZone": "Korea Standard Time",
            },
        ),
        (
            {"recurrence": Recurrence("Hour", 2), "end_time": "2027-12-01T00:00:00"},
            {
                "triggerType": "Recurrence",
                "frequency": "Hour",
                "interval": 2,
                "schedule": {"hours": [], "minutes": []},
                "endTime": "2027-12-01T00:00:00",
                "timeZone": "UTC",
            },
        ),
        (
            {"recurrence": Recurrence("Month", 1, "2026-12-01T00:00:00", "UTC", [7, 19], [0, 30], month_days=[1, 31])},
            {
                "triggerType": "Recurrence",
                "frequency": "Month",
                "interval": 1,
                "schedule": {"hours": [7, 19], "minutes": [0, 30], "monthDays": [1, 31]},
                "startTime": "2026-12-01T00:00:00",
                "timeZone": "UTC",
            },
        ),
        (
            {"recurrence": ["Week", 1, None, None, None, None, ["Monday"], "7:05"]},
            {
                "triggerType": "Recurrence",
                "frequency": "Week",
                "interval": 1,
                "schedule": {"hours": [7], "minutes": [5], "weekDays": ["Monday"]},
                "timeZone": "UTC",
            },
        ),
    ],
)
def test_what_is_sent(arguments, wire):
    assert trigger_to_wire(**arguments) == wire


DAY = Recurrence("Day", 1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "recurrence, cron: neither is given"),
        ({"recurrence": DAY, "cron": "0 7 * * *"}, "recurrence, cron: both are given"),
        ({"recurrence": "daily"}, "recurrence: is a str"),
        ({"recurrence": DAY._replace(frequency="day")}, "recurrence.frequency: is 'day'"),
        ({"recurrence": DAY._replace(interval=0)}, "recurrence.interval"),
        ({"recurrence": DAY._replace(hours=[7])}, "recurrence: has hours; the service wants hours and minutes"),
        ({"recurrence": DAY._replace(minutes=[7])}, "recurrence: has minutes; the service wants hours and minutes"),
        ({"recurrence": DAY._replace(hours=[], minutes=[])}, "neither of them empty"),
        ({"recurrence": Recurrence("Week", 1, week_days=["Monday"])}, "recurrence: has week_days; the service wants"),
        ({"recurrence": Recurrence("Hour", 1, minutes=[5])}, "with the frequencies Day, Week and Month, not with Hour"),
        ({"recurrence": DAY._replace(week_days=["Monday"])}, "week_days: can be used only with .*Week and Month"),
        ({"recurrence": DAY._replace(month_days=[1])}, "month_days: can be used only with the frequency Month"),
        ({"recurrence": Recurrence("Month", 1, month_days=[0], time_of_day="1:00")}, "month_days.* from 1 to 31"),
        (
            {"recurrence": Recurrence("Month", 1, month_days=[1], week_days=["Monday"], time_of_day="1:00")},
            "recurrence: has week_days and month_days; give either",
        ),
        ({"recurrence": DAY._replace(start_time=NOON), "start_time": NOON}, "start_time: is given, and recurrence.st"),
        ({"recurrence": DAY._replace(time_zone="UTC"), "time_zone": "UTC"}, "time_zone: is given, and recurrence.ti"),
        ({"recurrence": DAY, "start_time": NOON.replace(tzinfo=UTC)}, "start_time: is .*, with a zone"),
        ({"recurrence": DAY, "end_time": "2026-12-01"}, "end_time: is '2026-12-01'; use a datetime without a zone"),
        ({"recurrence": DAY, "start_time": NOON, "end_time": NOON}, "end_time: is .*, not after start_time"),
        ({"recurrence": DAY, "time_zone": "Asia/Soul"}, "time_zone: is 'Asia/Soul'.*'Asia/Seoul'"),
        ({"recurrence": DAY, "time_zone": 5}, "time_zone: is an int"),
        ({"cron": 5}, "cron: is an int"),
        ({"cron": "@daily"}, "cron: is '@daily'; use five fields .*; presets cannot be used"),
        ({"cron": "0 0 7 * * *"}, "use five fields"),
        ({"cron": "0 7 1 * *"}, "ignores the field for day of month .'1'. and reads it as '\\*'"),
        ({"cron": "0 7 * 6 *"}, "ignores the field for month .'6'.*month_days"),
        ({"cron": "0 7 */2 * *"}, "ignores the field for day of month"),
        ({"cron": "60 7 * * *"}, "the field for minute has '60': use '\\*', numbers from 0 to 59"),
        ({"cron": "0 24 * * *"}, "the field for hour has '24'"),
        ({"cron": "0 7 * * 7"}, "the field for day of week has '7'.*Sunday is 0"),
        ({"cron": "0 7 * * 5-1"}, "the field for day of week has '5-1'"),
        ({"cron": "0 7 * * Monday"}, "the field for day of week has 'Monday'"),
        ({"cron": "5/10 7 * * *"}, "the field for minute has '5/10'"),
        ({"cron": "*/0 7 * * *"}, "the field for minute has '\\*/0'"),
        ({"cron": "*/90 7 * * *"}, "the field for minute has '\\*/90': use a step of 59 at most"),
        ({"cron": "0 */48 * * *"}, "the field for hour has '\\*/48': use a step of 23 at most"),
        ({"cron": "61 25 1 6 8"}, "minute has '61'.*hour has '25'.*day of month .'1'.*month .'6'.*day of week has '8'"),
        (
            {"recurrence": Recurrence("Month", 1, hours=[1], month_days=[1], week_days=["Monday"])},
            "has hours.*; it has",
        ),
        ({"recurrence": DAY._replace(start_time="soon")}, "^recurrence.start_time: is 'soon'"),
        ({"recurrence": DAY._replace(time_zone="Asia/Soul")}, "^recurrence.time_zone: is 'Asia/Soul'"),
        ({"cron": "1,,2 7 * * *"}, "the field for minute has ''"),
        ({"cron": "-1 7 * * *"}, "the field for minute has '-1'"),
        ({"cron": "٣ 7 * * *"}, "the field for minute has"),
        ({"cron": "mon 7 * * *"}, "the field for minute has 'mon'"),
    ],
)
def test_what_is_refused(arguments, said):
    with pytest.raises(InvalidArgument, match=said):
        trigger_to_wire(**arguments)


def test_days_of_the_month_are_for_job_schedules_only():
    with pytest.raises(InvalidArgument, match="month_days: can be used only with a job schedule of Azure ML v2"):
        recurrence_to_wire(Recurrence("Month", 1, month_days=[1]))


WEEKLY = trigger_to_wire(recurrence=Recurrence("Week", 1, week_days=["Monday", "Friday"], time_of_day="7:00"))
CRON = trigger_to_wire(cron="0 7 * * Mon", end_time=NOON)


@pytest.mark.parametrize(
    "now",
    [
        WEEKLY,
        {**WEEKLY, "frequency": "week", "startTime": "2026-11-22T12:00:00.0000000Z", "endTime": None},
        {**WEEKLY, "schedule": {"hours": [7], "minutes": [0], "weekDays": ["friday", "monday"], "monthDays": None}},
        {**WEEKLY, "triggerType": "recurrence", "timeZone": None, "newKey": 1},
    ],
)
def test_a_trigger_is_the_same_whatever_the_service_made_of_it(now):
    assert same_trigger(now, WEEKLY)


@pytest.mark.parametrize(
    "now",
    [
        {},
        CRON,
        {**WEEKLY, "interval": 2},
        {**WEEKLY, "frequency": "Month"},
        {**WEEKLY, "schedule": {**WEEKLY["schedule"], "hours": [8]}},
        {**WEEKLY, "schedule": {**WEEKLY["schedule"], "monthDays": [1]}},
        {**WEEKLY, "schedule": None},
        {**WEEKLY, "endTime": "2027-01-01T00:00:00"},
        {**WEEKLY, "timeZone": "Korea Standard Time"},
    ],
)
def test_another_trigger_is_another(now):
    assert not same_trigger(now, WEEKLY)


def test_a_wanted_start_is_compared_and_another_one_is_kept():
    later = {**CRON, "startTime": "2026-12-01T12:00:00"}
    assert same_trigger({**later, "startTime": "2026-12-01 12:00:00"}, later)
    assert not same_trigger({**CRON, "startTime": "2026-12-02T12:00:00"}, later)
    assert not same_trigger(CRON, later)
    assert merge_trigger({**WEEKLY, "startTime": "s", "newKey": 1}, CRON) == {**CRON, "startTime": "s", "newKey": 1}


def test_a_cron_expression_ignores_case():
    assert same_trigger({**CRON, "expression": "0  7 * * mon"}, CRON)
    assert not same_trigger({**CRON, "expression": "0 7 * * tue"}, CRON)


def test_a_cron_expression_is_sent_with_single_blanks():
    assert as_cron("cron", " 0  7 *\t* 0 ") == "0 7 * * 0"
