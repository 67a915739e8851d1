"""Triggers of schedules, the jobs that they start, and how these are found."""

from __future__ import annotations

from datetime import datetime

import pytest
from azure.ai.ml import Input
from azure.ai.ml.entities import CronTrigger, JobSchedule, RecurrencePattern, RecurrenceTrigger
from azure.core.exceptions import HttpResponseError
from helpers import FOLDER, call, inputs_of, yaml_job

examines = pytest.mark.examines


def create(ml, trigger, name="timed", job=None):
    schedule = JobSchedule(name=name, create_job=job or yaml_job(), trigger=trigger)
    ml.schedules.begin_create_or_update(schedule).result(60)
    return ml.schedules.get(name).trigger


@examines("ScheduleOperations.begin_create_or_update", "ScheduleOperations.get")
@pytest.mark.parametrize(
    "expression", ["0 7 * * 1-5", "*/15 8-18 * * *", "30 6 * * sun,sat", "0 0,12 * * 0", "5 4 15 1 *"]
)
def test_cron_expressions(ml, expression):
    found = create(ml, CronTrigger(expression=expression, time_zone="Korea Standard Time"))
    assert (found.type, found.expression, found.time_zone) == ("Cron", expression, "Korea Standard Time")


@examines("ScheduleOperations.begin_create_or_update", "ScheduleOperations.get")
@pytest.mark.parametrize("frequency", ["minute", "hour", "day", "week", "month"])
def test_recurrences_without_a_pattern(ml, frequency):
    found = create(ml, RecurrenceTrigger(frequency=frequency, interval=2))
    assert (found.type, found.frequency, found.interval, found.time_zone) == ("Recurrence", frequency, 2, "UTC")


@examines("ScheduleOperations.begin_create_or_update", "ScheduleOperations.get")
@pytest.mark.parametrize(
    ("frequency", "pattern"),
    [
        ("day", {"hours": [7, 19], "minutes": [0, 30]}),
        ("day", {"hours": 7, "minutes": 0}),
        ("week", {"hours": [7], "minutes": [0], "week_days": ["monday", "friday"]}),
        ("week", {"hours": 7, "minutes": 0, "week_days": "sunday"}),
        ("month", {"hours": [7], "minutes": [0], "month_days": [1, 15, 31]}),
        ("month", {"hours": [7], "minutes": [0], "week_days": ["tuesday"]}),
    ],
    ids=str,
)
def test_recurrences_with_a_pattern(ml, frequency, pattern):
    found = create(ml, RecurrenceTrigger(frequency=frequency, interval=1, schedule=RecurrencePattern(**pattern)))
    lists = {name: value if isinstance(value, list) else [value] for name, value in pattern.items()}
    assert {name: getattr(found.schedule, name) for name in lists} == lists


@examines("ScheduleOperations.begin_create_or_update", "ScheduleOperations.get")
@pytest.mark.parametrize(
    ("start", "end", "shown"),
    [
        ("2030-12-01T07:00:00", "2031-12-01T07:00:00", "2030-12-01T07:00:00"),
        (datetime(2030, 12, 1, 7), datetime(2031, 12, 1, 7), "2030-12-01 07:00:00"),  # noqa: DTZ001 - local to the zone
        ("2020-12-01T07:00:00", None, "2020-12-01T07:00:00"),
    ],
    ids=["text", "datetime", "past"],
)
def test_start_and_end(ml, start, end, shown):
    given = RecurrenceTrigger(
        frequency="day", interval=1, start_time=start, end_time=end, time_zone="Korea Standard Time"
    )
    found = create(ml, given)
    assert (found.start_time, found.time_zone) == (shown, "Korea Standard Time")
    assert (found.end_time is None) == (end is None)


@examines("ScheduleOperations.begin_create_or_update")
@pytest.mark.parametrize(
    "trigger",
    [
        CronTrigger(expression="nonsense"),
        CronTrigger(expression="0 25 * * *"),
        CronTrigger(expression="0 7 * * *", time_zone="Nowhere Standard Time"),
        CronTrigger(expression="0 7 * * *", start_time="2030-12-01T07:00:00+09:00"),
        RecurrenceTrigger(frequency="day", interval=0),
        RecurrenceTrigger(frequency="month", interval=1, schedule=RecurrencePattern(hours=7, minutes=0, month_days=32)),
    ],
    ids=["cron", "hour", "zone", "offset", "interval", "day"],
)
def test_a_trigger_that_is_not_valid_is_refused(ml, trigger):
    with pytest.raises(HttpResponseError) as raised:
        create(ml, trigger)
    assert raised.value.status_code == 400


@examines("ScheduleOperations.trigger", "JobOperations.get", "JobOperations.list")
def test_a_job_that_is_started_now(ml, emulator):
    create(ml, CronTrigger(expression="0 7 * * *"))
    result = ml.schedules.trigger("timed", schedule_time="2026-11-29T12:02:09.700449+00:00")
    assert result.schedule_action_type == "CreateJob"
    job = ml.jobs.get(result.job_name)
    assert (job.display_name, job.experiment_name) == ("timed-20261129T120209Z", "scoring")
    again = ml.schedules.trigger("timed").job_name
    found = ml.jobs.list(schedule_defined=True, scheduled_job_name="timed")
    assert [item.name for item in found] == [again, result.job_name]
    emulator.advance(60)
    assert ml.jobs.get(again).status == "Completed"


@examines("ScheduleOperations.trigger")
def test_a_disabled_schedule_can_be_started_too(ml):
    assert ml.jobs.get(ml.schedules.trigger("seeded").job_name).experiment_name == "scheduled"


@examines("ScheduleOperations.begin_create_or_update", "JobOperations.list")
def test_the_jobs_of_a_schedule_are_found_by_schedule_and_by_property(ml, emulator):
    folder = Input(type="uri_folder", path=FOLDER)
    job = call(ml, input_datapath=folder, input_string="${{creation_context.trigger_time}}")
    job.tags, job.properties = {"a": "b"}, {"airflow.job_schedule": "timed"}

    create(ml, RecurrenceTrigger(frequency="hour", interval=1), job=job)
    create(ml, CronTrigger(expression="0 7 * * *"), "other")
    emulator.advance(2 * 3600 + 60)
    found = list(ml.jobs.list(schedule_defined=True, scheduled_job_name="timed"))
    assert len(found) == 3
    assert [item.name for item in ml.jobs.list(properties="airflow.job_schedule=timed")] == [
        item.name for item in found
    ]
    assert {(item.experiment_name, item.tags["a"]) for item in found} == {("scoring", "b")}
    times = [item.display_name.removeprefix("timed-") for item in found]
    started = [inputs_of(item)["input_string"].replace("-", "").replace(":", "") for item in found]
    assert [text.partition(".")[0] + "Z" for text in started] == times
