"""The sensor for the jobs of a job schedule, against a local workspace whose schedule fires on a held clock."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from support.drivers import schedule_sensor
from support.drivers.schedule_sensor import Sensor, context_of, event_of
from support.services.local_workspace import standing

from aml_provider.compat import AirflowFailException, TaskDeferred
from aml_provider.hooks.azure_ml import AzureMLHook


@pytest.fixture(params=["plain", "properties_filter=refused", "properties_filter=ignored", "schedule_filter=refused"])
def workspace(request, monkeypatch):
    with standing(monkeypatch, quirks=() if request.param == "plain" else (request.param,)) as running:
        hourly(running)
        other_job(running)
        yield running


def hourly(workspace, name="hourly"):
    start = datetime.fromtimestamp(workspace.clock.now(), UTC) + timedelta(hours=1)
    AzureMLHook().create_job_schedule(
        name,
        component_name="quick",
        experiment_name="exp",
        recurrence={"frequency": "Hour", "interval": 1},
        start_time=start.replace(tzinfo=None, microsecond=0),
    )


def other_job(workspace):
    """A schedule and a job that are none of the sensor's."""
    hourly(workspace, "other")


def forget_our_property(workspace, name="hourly"):
    """The schedule as somebody else would have made it."""
    properties = workspace.state.job_schedules.get(name).properties
    for part in (properties, properties["action"]["jobDefinition"]):
        part["tags"], part["properties"] = {}, {}


poll = partial(schedule_sensor.poll, job_schedule_name="hourly")


def jobs(workspace, schedule="hourly"):
    found = sorted(
        (run for run in workspace.state.runs.values() if run.job.schedule == schedule), key=lambda r: r.created
    )
    return [run.id for run in found]


def test_each_job_is_returned_once_and_in_order(workspace, owners):
    assert poll("day0") is None
    workspace.clock.advance(3 * 3600 + 60)
    taken = []
    for day in ("day1", "day2", "day3"):
        taken.append(poll(day))
        owners[day] = "success"
    assert taken == jobs(workspace)
    assert len(set(taken)) == 3
    assert poll("day4") is None
    workspace.clock.advance(3600)
    assert poll("day4") == jobs(workspace)[-1]
    # A retried or cleared task gets its job again.
    assert poll("day4") == jobs(workspace)[-1]


def test_a_deferred_sensor_is_woken_by_the_next_job(workspace, owners):
    context = context_of("day1")
    arguments = {"task_id": "watch", "job_schedule_name": "hourly", "deferrable": True, "poke_interval": 0.1}
    with pytest.raises(TaskDeferred) as deferred:
        Sensor(**arguments).execute(context)
    kwargs = deferred.value.trigger.serialize()[1]
    assert (kwargs["job_schedule_name"], kwargs["schedule_id"], kwargs["only_wait"]) == ("hourly", None, False)
    assert "very-secret-token" not in json.dumps(kwargs)

    event = event_of(kwargs, workspace)
    assert Sensor(**arguments).resume_execution("execute_complete", {"event": event}, context) == jobs(workspace)[0]


@pytest.mark.parametrize("quirks", [(), ("properties_filter=refused",), ("properties_filter=ignored",)], ids=str)
def test_the_jobs_of_a_schedule_that_others_have_made_are_found_by_the_preview_filter(monkeypatch, owners, quirks):
    with standing(monkeypatch, quirks=quirks) as workspace:
        hourly(workspace)
        forget_our_property(workspace)
        workspace.clock.advance(3660)
        assert poll("day1") == jobs(workspace)[0]


@pytest.mark.parametrize("way", ["refused", "ignored"])
def test_a_sensor_that_cannot_find_the_jobs_fails_and_takes_no_other(monkeypatch, owners, way):
    with standing(monkeypatch, quirks=(f"schedule_filter={way}",)) as workspace:
        hourly(workspace)
        other_job(workspace)
        forget_our_property(workspace)
        workspace.clock.advance(3660)
        with pytest.raises(AirflowFailException, match="The jobs of schedule 'hourly' cannot be found"):
            poll("day1")


def test_a_disabled_schedule_is_reported(monkeypatch, owners):
    with standing(monkeypatch) as workspace:
        hourly(workspace)
        AzureMLHook().disable_job_schedule("hourly")
        Sensor.log.lines.clear()
        assert poll("day1") is None
        assert "`job-schedules enable hourly`" in str(Sensor.log)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"job_schedule_name": "hourli"}, "no job schedule 'hourli'; did you mean 'hourly'"),
        ({"job_schedule_name": " "}, "job_schedule_name: .* must name something"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(monkeypatch, owners, arguments, message):
    with standing(monkeypatch) as workspace:
        hourly(workspace)
        with pytest.raises(AirflowFailException, match=message):
            poll("day1", **arguments)


def test_a_record_that_cannot_be_read_is_blamed_on_the_argument_that_was_given(monkeypatch, owners, kept_in_memory):
    with standing(monkeypatch) as workspace:
        hourly(workspace)
        assert poll("day1") is None
        kept_in_memory |= dict.fromkeys(kept_in_memory, "{")
        with pytest.raises(AirflowFailException, match=r"^job_schedule_name: .* no longer known"):
            poll("day1")
