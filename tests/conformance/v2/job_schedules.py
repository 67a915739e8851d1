"""Schedules of jobs: creating, changing, listing, deleting."""

from __future__ import annotations

import pytest
from azure.ai.ml.entities import CronTrigger, JobSchedule, RecurrenceTrigger
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from helpers import FOLDER, call, inner_code, inputs_of, submit, yaml_job

examines = pytest.mark.examines

MORNING = CronTrigger(expression="0 7 * * 1-5", time_zone="Korea Standard Time")
JOBS = {
    "python": call,
    "file": lambda _: yaml_job(),
    "label": lambda _: yaml_job(component="score_files@latest"),
    "existing": lambda ml: ml.jobs.get(submit(ml).name),
}


def create(ml, name="morning", job=None, trigger=MORNING, **more):
    schedule = JobSchedule(name=name, create_job=job or yaml_job(), trigger=trigger, **more)
    return ml.schedules.begin_create_or_update(schedule).result(60)


@examines("ScheduleOperations.begin_create_or_update", "ScheduleOperations.get")
def test_a_schedule_is_returned_unchanged(ml):
    texts = {"display_name": "Every morning", "description": "d", "tags": {"a": "b"}, "properties": {"k": "v"}}
    made = create(ml, **texts)
    found = ml.schedules.get("morning")
    assert (made.name, found.name, made.provisioning_state, found.is_enabled) == (
        "morning",
        "morning",
        "Succeeded",
        True,
    )
    assert {name: getattr(found, name) for name in texts} == texts
    assert inputs_of(found.create_job) == {"input_datapath": FOLDER}
    assert (found.create_job.experiment_name, found.create_job.component) == ("scoring", "score_files:1")


@examines(
    "ScheduleOperations.begin_create_or_update", "ScheduleOperations.begin_disable", "ScheduleOperations.begin_enable",
    "ScheduleOperations.trigger",
)  # fmt: skip
@pytest.mark.parametrize("job", JOBS)
def test_a_schedule_of_every_kind_of_job_is_disabled_enabled_and_run(ml, job):
    create(ml, job=JOBS[job](ml))
    assert ml.schedules.begin_disable("morning").result(60).is_enabled is False
    assert ml.schedules.get("morning").is_enabled is False
    assert ml.schedules.begin_enable("morning").result(60).is_enabled is True
    assert ml.schedules.get("morning").is_enabled is True
    started = ml.jobs.get(ml.schedules.trigger("morning").job_name)
    assert inputs_of(started) == {"input_datapath": FOLDER}


@examines("ScheduleOperations.begin_create_or_update", "ScheduleOperations.trigger")
@pytest.mark.parametrize("reference", ["azureml:{name}", "{scope}/jobs/{name}"])
def test_a_schedule_of_a_job_by_its_name(ml, reference):
    from identity import SCOPE

    submit(ml)
    create(ml, job=reference.format(scope=SCOPE, name="score-1"))
    assert ml.schedules.get("morning").create_job.id
    assert inputs_of(ml.jobs.get(ml.schedules.trigger("morning").job_name)) == {"input_datapath": FOLDER}


@examines("ScheduleOperations.begin_create_or_update")
def test_a_schedule_is_created_disabled(ml, emulator):
    schedule = JobSchedule(
        name="morning", create_job=yaml_job(), trigger=RecurrenceTrigger(frequency="hour", interval=1)
    )
    schedule._is_enabled = False
    assert ml.schedules.begin_create_or_update(schedule).result(60).is_enabled is False
    emulator.advance(7200)
    assert emulator.jobs() == {}


@examines("ScheduleOperations.begin_create_or_update", "ScheduleOperations.get")
def test_a_schedule_gets_another_trigger_and_another_job(ml):
    create(ml)
    schedule = ml.schedules.get("morning")
    schedule.trigger = RecurrenceTrigger(frequency="day", interval=3)
    schedule.description, schedule.create_job = "changed", yaml_job(component="score_files:2")
    ml.schedules.begin_create_or_update(schedule).result(60)
    found = ml.schedules.get("morning")
    assert (found.trigger.frequency, found.trigger.interval, found.description) == ("day", 3, "changed")
    assert found.create_job.component == "score_files:2"


@examines("ScheduleOperations.begin_create_or_update")
@pytest.mark.parametrize(
    ("job", "code"),
    [("nope:1", "ComponentNotFound"), ("count_rows:1", "BadArgument"), ("typed_inputs:1", "InputUnknown")],
)
def test_a_schedule_of_a_job_that_cannot_be_run_is_refused(ml, job, code):
    with pytest.raises(HttpResponseError) as raised:
        create(ml, job=yaml_job(component=job))
    assert (raised.value.status_code, inner_code(raised.value)) == (400, code)
    with pytest.raises(ResourceNotFoundError):
        ml.schedules.get("morning")


@examines("ScheduleOperations.begin_create_or_update")
def test_provisioning_is_polled(serve):
    emulator, ml = serve("--quirk", "provisioning=20s")
    assert create(ml).provisioning_state == "Succeeded"
    assert emulator.requests("GET", "/operations/")


@examines("ScheduleOperations.begin_create_or_update")
def test_provisioning_can_fail(serve):
    _, ml = serve("--quirk", "provisioning=20s", "--quirk", "provisioning_fails=no more schedules")
    with pytest.raises(HttpResponseError, match="no more schedules"):
        create(ml)


@examines("ScheduleOperations.list")
@pytest.mark.parametrize(
    ("how", "names"),
    [
        ({}, ["evening"]),
        ({"list_view_type": "EnabledOnly"}, ["evening"]),
        ({"list_view_type": "DisabledOnly"}, ["seeded", "morning"]),
        ({"list_view_type": "All"}, ["seeded", "morning", "evening"]),
    ],
)
def test_schedules_are_listed(ml, how, names, capsys):
    create(ml)
    create(ml, "evening")
    ml.schedules.begin_disable("morning").result(60)
    assert [item.name for item in ml.schedules.list(**how)] == names
    # The SDK prints the ones that it cannot read.
    assert capsys.readouterr().out == ""


@examines("ScheduleOperations.list")
def test_a_list_has_pages(serve):
    _, ml = serve("--quirk", "page_size=1")
    for name in ("one", "two", "three"):
        create(ml, name)
    assert [item.name for item in ml.schedules.list()] == ["one", "two", "three"]


@examines("ScheduleOperations.begin_delete", "ScheduleOperations.begin_disable", "ScheduleOperations.get")
def test_only_a_disabled_schedule_is_deleted(ml):
    create(ml)
    with pytest.raises(HttpResponseError, match="disable it first") as raised:
        ml.schedules.begin_delete("morning").result(60)
    assert raised.value.status_code == 400
    ml.schedules.begin_disable("morning").result(60)
    ml.schedules.begin_delete("morning").result(60)
    with pytest.raises(ResourceNotFoundError):
        ml.schedules.get("morning")
    # A second time, which changes nothing.
    ml.schedules.begin_delete("morning").result(60)


@examines("ScheduleOperations.begin_delete")
def test_a_deletion_that_takes_time_is_polled(serve):
    emulator, ml = serve("--quirk", "slow_delete=20s")
    poller = ml.schedules.begin_delete("seeded", polling_interval=0)
    poller.result(60)
    assert poller.done()
    assert emulator.requests("GET", "/operations/")


@examines("ScheduleOperations.get", "ScheduleOperations.begin_enable", "ScheduleOperations.begin_disable")
def test_missing_schedules(ml):
    for operation in (ml.schedules.get, ml.schedules.begin_enable, ml.schedules.begin_disable):
        with pytest.raises(ResourceNotFoundError, match="nope"):
            operation("nope")


@examines("ScheduleOperations.trigger")
def test_trigger_of_a_missing_schedule(ml):
    # The SDK raises the general error here.
    with pytest.raises(HttpResponseError, match="nope") as raised:
        ml.schedules.trigger("nope")
    assert raised.value.status_code == 404
