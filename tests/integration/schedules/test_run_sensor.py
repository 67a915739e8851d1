"""The sensor for a native schedule's runs, against a local workspace whose schedule fires on a held clock."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from support.drivers import schedule_sensor
from support.drivers.schedule_sensor import Sensor, context_of, event_of
from support.drivers.watching import Said, fire
from support.services.local_workspace import standing

from aml_provider.client import calls
from aml_provider.compat import AirflowFailException, TaskDeferred
from aml_provider.hooks.azure_ml import AzureMLHook
from aml_provider.state import variables
from aml_provider.triggers.schedule_run import AzureMLScheduleLookTrigger


@pytest.fixture
def workspace(monkeypatch, kept_in_memory):
    with standing(monkeypatch) as running:
        yield running


@pytest.fixture
def schedule(workspace):
    """A schedule that fires each hour."""
    body = {
        "Name": "hourly",
        "PipelineId": "quick",
        "PipelineSubmissionInfo": {"ExperimentName": "exp", "Properties": {}},
        "Recurrence": {"Frequency": "Hour", "Interval": 1, "StartTime": _local(workspace, hours=1), "TimeZone": "UTC"},
        "ScheduleType": "0",
    }
    with AzureMLHook().client() as client:
        return client.call(calls.create_schedule(body))


def _now(workspace):
    return datetime.fromtimestamp(workspace.clock.now(), UTC)


def _local(workspace, **later):
    return (_now(workspace) + timedelta(**later)).replace(tzinfo=None, microsecond=0).isoformat()


poll = partial(schedule_sensor.poll, schedule_name="hourly")


def runs(workspace):
    found = sorted(workspace.state.runs.values(), key=lambda run: run.created)
    return [run.id for run in found]


def test_each_run_is_returned_once_and_in_order(workspace, schedule, owners):
    assert poll("day0") is None
    workspace.clock.advance(3 * 3600 + 60)
    taken = []
    for day in ("day1", "day2", "day3"):
        taken.append(poll(day))
        owners[day] = "success"
    assert taken == runs(workspace)
    assert len(set(taken)) == 3
    assert poll("day4") is None
    workspace.clock.advance(3600)
    assert poll("day4") == runs(workspace)[-1]


def test_a_retried_or_cleared_task_gets_its_run_again(workspace, schedule, owners):
    workspace.clock.advance(2 * 3600 + 60)
    first = poll("day1")
    assert first == runs(workspace)[0]
    assert poll("day1") == first


def test_a_busy_workspace_is_left_to_the_next_poll(workspace, schedule, owners, pauses, monkeypatch):
    """It would hold a worker for an hour."""
    monkeypatch.setenv("AIRFLOW__AZUREML__RETRY_BUDGET", "120")
    workspace.clock.advance(2 * 3600 + 60)
    workspace.faults.add("status", status=429, retry_after=45, times=3)
    assert poll("day1") is None
    assert pauses == [45.0, 45.0]
    assert poll("day1") == runs(workspace)[0]


@pytest.mark.parametrize("state", ["failed", "upstream_failed", "removed", None])
def test_a_run_whose_taker_did_not_succeed_is_taken_over(workspace, schedule, owners, state):
    workspace.clock.advance(2 * 3600 + 60)
    first = poll("day1")
    owners["day1"] = state
    assert poll("day2") == first


def test_a_taker_that_has_not_ended_is_waited_for(workspace, schedule, owners):
    workspace.clock.advance(2 * 3600 + 60)
    poll("day1")
    owners["day1"] = "running"
    assert poll("day2") is None
    owners["day1"] = "success"
    assert poll("day2") == runs(workspace)[1]


def test_a_run_is_not_returned_again_when_its_successful_taker_is_deleted(workspace, schedule, owners):
    workspace.clock.advance(3660)
    first = poll("day1")
    owners["day1"] = "success"
    assert poll("day2") is None
    del owners["day1"]
    workspace.clock.advance(3600)
    assert poll("day3") not in {None, first}


def test_the_first_poll_begins_with_the_data_interval(workspace, schedule, owners):
    workspace.clock.advance(3 * 3600 + 60)
    began = _now(workspace) - timedelta(minutes=90)
    assert poll("day1", began) == runs(workspace)[1]


def test_since_skips_earlier_runs(workspace, schedule, owners):
    workspace.clock.advance(3 * 3600 + 60)
    since = (_now(workspace) - timedelta(minutes=30)).isoformat()
    assert poll("day1", since=since) == runs(workspace)[2]


def test_a_deferred_sensor_is_woken_by_the_next_run(workspace, schedule, owners):
    context = context_of("day1")
    arguments = {"task_id": "watch", "schedule_name": "hourly", "deferrable": True, "poke_interval": 0.1}
    with pytest.raises(TaskDeferred) as deferred:
        Sensor(**arguments).execute(context)
    path, kwargs = deferred.value.trigger.serialize()
    assert path == "aml_provider.triggers.schedule_run.AzureMLScheduleLookTrigger"
    assert "local-token" not in json.dumps(kwargs)
    assert kwargs["schedule_id"] == schedule.id

    event = event_of(kwargs, workspace)
    assert Sensor(**arguments).resume_execution("execute_complete", {"event": event}, context) == runs(workspace)[0]


def test_a_busy_service_is_polled_from_the_triggerer_when_it_wants_it(
    workspace, schedule, owners, monkeypatch, caplog, capsys
):
    monkeypatch.setenv("AIRFLOW__AZUREML__RETRY_BUDGET", "0.5")
    context = context_of("day1")
    with pytest.raises(TaskDeferred) as deferred:
        Sensor(task_id="watch", schedule_name="hourly", deferrable=True, poke_interval=0.1).execute(context)
    workspace.clock.advance(3660)
    workspace.faults.add("status", status=429, retry_after=1, method="GET", path="*/PipelineRuns/Schedule/*", times=1)
    trigger = AzureMLScheduleLookTrigger(**deferred.value.trigger.serialize()[1])

    async def first_event():
        began = time.monotonic()
        await asyncio.wait_for(anext(aiter(trigger.run())), 240)
        return time.monotonic() - began

    assert asyncio.run(first_event()) >= 1.1
    said = str(Said(caplog, capsys))
    assert "This poll failed and was discarded; the next one is in 1 s." in said
    assert "It works again, after " in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"schedule_name": "nightly"}, "no schedule named 'nightly'"),
        ({"schedule_name": " "}, "schedule_name: .* must name something"),
        ({"since": "yesterday"}, "since: is 'yesterday'"),
        ({"since": 5}, "since: is an int"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(workspace, schedule, owners, arguments, message):
    with pytest.raises(AirflowFailException, match=message):
        poll("day1", **arguments)


@pytest.mark.parametrize("arguments", [{}, {"schedule_id": "a", "schedule_name": "b"}])
def test_one_schedule_has_to_be_given(arguments):
    with pytest.raises(ValueError, match="needs exactly one of schedule_id, schedule_name and job_schedule_name"):
        Sensor(task_id="watch", **arguments)


def test_a_failed_poll_loses_no_run(workspace, schedule, owners):
    workspace.clock.advance(3660)
    workspace.faults.add("status", status=503, method="GET", path="*/PipelineRuns/Schedule/*", times=50)
    assert poll("day1") is None
    workspace.faults.clear()
    assert poll("day1") == runs(workspace)[0]


def test_the_variables_description_names_the_sensor(schedule, owners, monkeypatch):
    written = []
    write = variables.write

    def noted(key, value, description):
        written.append(description)
        write(key, value, description)

    monkeypatch.setattr(variables, "write", noted)
    assert not Sensor(task_id="t", schedule_name="hourly", since="2020-01-01").poke(context_of("one", None))
    assert written == ["What an AzureMLScheduleRunSensor has seen; delete it to start again"]


def test_a_run_that_is_being_taken_over_is_not_missed_after_a_failed_poll(workspace, schedule, owners):
    """The stored cursor has the run in it: a trigger that compared with it would wait for the run after."""
    workspace.clock.advance(3660)
    first = poll("day1", schedule_id=schedule.id, schedule_name=None)
    owners["day1"] = "failed"
    workspace.faults.add("status", status=503, method="GET", path="*/PipelineRuns/Schedule/*", times=50)
    task = {"task_id": "watch", "schedule_id": schedule.id, "deferrable": True, "poke_interval": 0.1}
    began = datetime(2020, 1, 1, tzinfo=UTC)
    with pytest.raises(TaskDeferred) as deferred:
        Sensor(**task).execute(context_of("day2", began))
    workspace.faults.clear()
    fire(deferred.value.trigger, limit=10)
    assert Sensor(**task).execute_complete(context_of("day2", began), {"look": True}) == first
