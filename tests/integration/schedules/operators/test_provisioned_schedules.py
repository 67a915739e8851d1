"""Waiting until the service has set a schedule up."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from support.airflow.schedule_tasks import (
    NIGHTLY,
    Create,
    create,
    one,
)
from support.drivers.clocks import clock_standing
from support.services.local_workspace import serving

from aml_provider.client.errors import ProvisioningFailed, ProvisioningUnsettled
from aml_provider.compat import TaskDeferred
from aml_provider.triggers.schedule import AzureMLScheduleProvisioningTrigger
from aml_provider.worker import create_schedule


def test_the_operator_waits_until_the_schedule_is_set_up(monkeypatch, task):
    monkeypatch.setattr(create_schedule, "_POLL_INTERVAL", 0.1)
    with serving(monkeypatch, quirks=("provisioning=20s",)) as workspace:
        create(task)
        assert workspace.state.schedules.provisioning(one(workspace)) == "Completed"


def test_a_failed_provisioning_fails_with_what_the_service_says(monkeypatch, task):
    with (
        serving(monkeypatch, quirks=("provisioning_fails=no quota",)),
        pytest.raises(ProvisioningFailed, match="Failed"),
    ):
        create(task)


def test_waiting_ends_with_execution_timeout(monkeypatch, task):
    with serving(monkeypatch, quirks=("provisioning=36000s",)) as workspace:
        with pytest.raises(ProvisioningUnsettled, match="Provisioning"):
            create(task, execution_timeout=timedelta(seconds=0))
        assert one(workspace).status == "Active"


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "triggerer"])
def test_a_refusal_while_waiting_leaves_the_retries_in_both_modes(monkeypatch, task, status, deferrable):
    """The schedule exists by then."""
    operator = Create(
        name="nightly", experiment_name="exp", pipeline_id="quick", recurrence=NIGHTLY, deferrable=deferrable
    )
    with serving(monkeypatch, quirks=("provisioning=36000s",)) as workspace:
        workspace.faults.add("status", path="*/Schedules/*", method="GET", status=status, times=50)
        resume = operator.execute
        if deferrable:
            with pytest.raises(TaskDeferred) as deferral:
                operator.execute(task.context)
            event = asyncio.run(event_of(deferral.value.trigger))
            assert event["outcome"] == "unwatched"
            resume = partial(operator.execute_complete, event=event)
        with pytest.raises(ProvisioningUnsettled, match=r"exists, but .* answered .*A retry continues") as caught:
            resume(task.context)
        assert str(status) in str(caught.value)
        assert one(workspace).id in str(caught.value)


def deferred(task, **arguments):
    with pytest.raises(TaskDeferred) as caught:
        create(task, deferrable=True, **arguments)
    return caught.value


async def event_of(trigger):
    events = trigger.run()
    try:
        return (await anext(events)).payload
    finally:
        await events.aclose()


def test_a_timeout_longer_than_any_date_ends_no_wait(monkeypatch, task):
    with serving(monkeypatch, quirks=("provisioning=30s",)) as workspace:
        wait = deferred(task, execution_timeout=timedelta.max)
        assert wait.trigger.deadline > time.time() + timedelta(days=36_000).total_seconds()
        # As Airflow does when it stores the trigger.
        assert datetime.now(UTC) + wait.timeout > datetime.fromtimestamp(wait.trigger.deadline, UTC)
        event = asyncio.run(
            event_of(AzureMLScheduleProvisioningTrigger(**wait.trigger.serialize()[1] | {"poll_interval": 0.1}))
        )
        operator = Create(
            name="nightly",
            experiment_name="exp",
            pipeline_id="quick",
            recurrence=NIGHTLY,
            execution_timeout=timedelta.max,
        )
        assert operator.execute_complete(task.context, event) == one(workspace).id


def test_the_triggerer_can_wait(monkeypatch, task):
    with serving(monkeypatch, quirks=("provisioning=30s",)) as workspace:
        wait = deferred(task)
        path, arguments = wait.trigger.serialize()
        assert path == f"{AzureMLScheduleProvisioningTrigger.__module__}.{AzureMLScheduleProvisioningTrigger.__name__}"
        assert arguments["schedule_id"] == one(workspace).id
        assert set(arguments) == {
            "schedule_id",
            "deadline",
            "poll_interval",
            "azureml_conn_id",
            "is_job_schedule",
        }
        assert arguments["deadline"] == task.ti.start_date.timestamp() + 3600
        assert wait.timeout.total_seconds() > 3600
        trigger = AzureMLScheduleProvisioningTrigger(**arguments | {"poll_interval": 0.1})
        event = asyncio.run(event_of(trigger))
        assert (event["schedule_id"], event["outcome"]) == (one(workspace).id, "settled")
        operator = Create(name="nightly", experiment_name="exp", pipeline_id="quick", recurrence=NIGHTLY)
        assert operator.execute_complete(task.context, event) == one(workspace).id


@pytest.mark.parametrize("event", [None, {}, {"schedule_id": "x", "outcome": "success"}], ids=str)
def test_an_unknown_event_is_refused(task, event):
    operator = Create(name="nightly", experiment_name="exp", pipeline_id="quick", recurrence=NIGHTLY)
    with pytest.raises(ValueError, match="Not an event"):
        operator.execute_complete(task.context, event)


def test_a_deadline_that_passed_while_deferred_fails_the_try(monkeypatch, task):
    with serving(monkeypatch, quirks=("provisioning=36000s",)) as workspace:
        arguments = deferred(task).trigger.serialize()[1]
        event = asyncio.run(event_of(AzureMLScheduleProvisioningTrigger(**arguments | {"deadline": time.time()})))
        assert event["outcome"] == "deadline"
        task.ti.start_date -= timedelta(hours=1)
        operator = Create(name="nightly", experiment_name="exp", pipeline_id="quick", recurrence=NIGHTLY)
        with pytest.raises(ProvisioningUnsettled, match=one(workspace).id):
            operator.execute_complete(task.context, event)


def test_a_triggerer_whose_clock_is_ahead_does_not_end_the_wait(monkeypatch, task):
    with serving(monkeypatch, quirks=("provisioning=36000s",)):
        wait = deferred(task, execution_timeout=timedelta(minutes=5))
        event = {"schedule_id": wait.trigger.schedule_id, "outcome": "deadline", "fired_at": time.time() + 600}
        operator = Create(
            name="nightly",
            experiment_name="exp",
            pipeline_id="quick",
            recurrence=NIGHTLY,
            deferrable=True,
            execution_timeout=timedelta(minutes=5),
        )
        with clock_standing() as now, pytest.raises(TaskDeferred) as again:
            operator.execute_complete(task.context, event)
        ahead = event["fired_at"] - now.timestamp()
        assert again.value.trigger.deadline == pytest.approx(wait.trigger.deadline + ahead, abs=0.001)


def test_a_schedule_that_cannot_be_read_leaves_the_retries(workspace, task):
    operator = Create(name="nightly", experiment_name="exp", pipeline_id="quick", recurrence=NIGHTLY)
    event = {"schedule_id": "gone", "outcome": "unwatched", "message": "no route"}
    with pytest.raises(ProvisioningUnsettled, match="no route"):
        operator.execute_complete(task.context, event)
