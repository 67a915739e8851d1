"""The operators for job schedules, against the local workspace."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest
from support.airflow.task import Log
from support.services.local_workspace import serving

from aml_provider.client.errors import ProvisioningFailed, ProvisioningUnsettled, ReplyLost
from aml_provider.client.models import Recurrence
from aml_provider.compat import AirflowFailException, TaskDeferred
from aml_provider.operators.job_schedule import (
    AzureMLCreateJobScheduleOperator,
    AzureMLDeleteJobScheduleOperator,
    AzureMLDisableJobScheduleOperator,
    AzureMLEnableJobScheduleOperator,
)
from aml_provider.triggers.schedule import AzureMLScheduleProvisioningTrigger
from aml_provider.worker import create_schedule

SCHEDULES = "*/schedules/*"


def make(kind, task, **arguments):
    operator = type(kind.__name__, (kind,), {"log": Log()})
    return operator(**{"task_id": "manage", "name": "nightly"} | arguments).execute(task.context)


def create(task, **arguments):
    given = {"component_name": "quick", "experiment_name": "exp", "start_time": "2099-01-01T00:00:00"} | arguments
    if "recurrence" not in given:
        given.setdefault("cron", "0 7 * * 1-5")
    given = {name: value for name, value in given.items() if value is not Ellipsis}
    return make(AzureMLCreateJobScheduleOperator, task, **given)


def one(workspace):
    (schedule,) = workspace.state.job_schedules.all()
    return schedule


def writes(workspace):
    return [(entry["method"], entry["body"]) for entry in workspace.requests() if entry["method"] != "GET"]


def job(workspace):
    return one(workspace).properties["action"]["jobDefinition"]


@pytest.mark.parametrize(
    "target",
    [
        {"component_name": "quick", "component_version": "1"},
        {"component_name": ..., "batch_endpoint_name": "gate"},
        {"component_name": ..., "batch_endpoint_name": "gate", "deployment_name": "blue"},
    ],
    ids=str,
)
def test_a_schedule_is_created_once(workspace, task, target):
    wanted = {
        "parameters": {"count": 3},
        "data_paths": {"input": "store/in"},
        "time_zone": "Asia/Seoul",
        "end_time": datetime(2099, 12, 1),  # noqa: DTZ001 - local to the schedule's zone
        "tags": {"team": "ml"},
        "description": "each morning",
        **target,
    }
    assert create(task, **wanted) == "nightly"
    made = one(workspace)
    assert made.properties["trigger"] == {
        "triggerType": "Cron",
        "expression": "0 7 * * 1-5",
        "startTime": "2099-01-01T00:00:00",
        "endTime": "2099-12-01T00:00:00",
        "timeZone": "Korea Standard Time",
    }
    version = "2" if "batch_endpoint_name" in target else "1"
    assert job(workspace)["componentId"].endswith(f"/components/quick/versions/{version}")
    assert job(workspace)["inputs"] == {
        "count": {"jobInputType": "literal", "value": "3"},
        "input": {"jobInputType": "uri_folder", "uri": "azureml://datastores/store/paths/in"},
    }
    assert ("default_compute" in job(workspace)["settings"]) == ("batch_endpoint_name" in target)
    assert made.properties["description"] == job(workspace)["description"] == "each morning"
    assert made.properties["tags"] == {"team": "ml"}
    assert create(task, **wanted) == "nightly"
    assert [method for method, _ in writes(workspace)] == ["PUT"]


def test_a_new_version_of_the_component_is_taken_by_the_same_schedule(workspace, task):
    create(task, component_version="1")
    create(task)
    assert job(workspace)["componentId"].endswith("/components/quick/versions/2")
    assert len(writes(workspace)) == 2


def test_a_disabled_schedule_starts_nothing(workspace, task):
    create(task, status="Disabled", start_time=..., recurrence=Recurrence("Minute", 1))
    workspace.clock.advance(86_400)
    assert not one(workspace).enabled
    assert workspace.runs() == []
    assert [body["properties"]["isEnabled"] for _, body in writes(workspace)] == [False]
    make(AzureMLEnableJobScheduleOperator, task)
    workspace.clock.advance(3600)
    assert workspace.runs()


def test_a_disabled_creation_that_is_ignored_is_reported(monkeypatch, task):
    with serving(monkeypatch, quirks=("disabled_creation=ignored", "first_job_at_once")) as workspace:
        with pytest.raises(AirflowFailException, match="is disabled, as requested, but the service has started job"):
            create(task, status="Disabled", start_time=..., recurrence=Recurrence("Minute", 1))
        assert not one(workspace).enabled


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cron": "0 7 1 * *"}, "ignores the field for day of month"),
        ({"component_name": "quik"}, "did you mean 'quick'"),
        ({"component_version": "9"}, "version"),
        ({"component_name": ..., "batch_endpoint_name": "gat"}, "did you mean 'gate'"),
        ({"component_name": ..., "batch_endpoint_name": "gate", "deployment_name": "red"}, "deployment"),
        ({"parameters": {"count": "many"}}, "count"),
        ({"parameters": {"none": 1}}, "none"),
        ({"parameters": {"count": ""}}, "is an empty text"),
        ({"data_paths": {"input": "nowhere/in"}}, "datastore"),
        ({"datasets": {"input": "0f0c"}}, "data asset"),
        ({"experiment_name": "no blanks"}, "experiment_name"),
        ({"name": "no blanks"}, "name"),
        ({"status": "Paused"}, "status"),
        ({"if_exists": "ignore"}, "if_exists"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_value_that_cannot_be_used_is_refused_before_anything_is_written(workspace, task, arguments, message):
    with pytest.raises(AirflowFailException, match=message):
        create(task, **arguments)
    assert writes(workspace) == []


def test_what_exists_is_reused_or_an_error(workspace, task):
    create(task)
    task.ti.run_id = "manual__2"
    create(task, cron="0 8 * * *", if_exists="reuse")
    with pytest.raises(AirflowFailException, match=r"Job schedule 'nightly' exists already.*if_exists='fail'"):
        create(task, cron="0 8 * * *", if_exists="fail")
    assert len(writes(workspace)) == 1


def test_the_same_task_instance_may_create_it_again(workspace, task):
    create(task, if_exists="fail")
    create(task, if_exists="fail", cron="0 8 * * *")
    assert one(workspace).properties["trigger"]["expression"] == "0 8 * * *"


@pytest.fixture
def of_another_airflow(workspace, task, monkeypatch):
    monkeypatch.setenv("AIRFLOW__AZUREML__DEPLOYMENT_ID", "other")
    create(task)
    monkeypatch.setenv("AIRFLOW__AZUREML__DEPLOYMENT_ID", "here")


def test_the_schedule_of_another_airflow_is_neither_changed_nor_deleted(workspace, task, of_another_airflow):
    for action in (lambda: create(task, cron="0 8 * * *"), lambda: make(AzureMLDeleteJobScheduleOperator, task)):
        with pytest.raises(
            AirflowFailException, match=r"belongs to another Airflow \(deployment_id 'other', DAG 'dag'"
        ):
            action()
    assert len(writes(workspace)) == 1


def test_another_task_may_take_over_the_schedule_of_the_same_component_only(workspace, task):
    create(task)
    task.ti.task_id = "renamed"
    create(task)
    assert job(workspace)["properties"]["airflow.schedule_task_id"] == "renamed"
    task.ti.task_id = "third"
    workspace.state.job_schedules.get("nightly").properties["action"]["jobDefinition"]["componentId"] = "/x/versions/1"
    with pytest.raises(AirflowFailException, match="belongs to DAG 'dag', task 'renamed', for something other than"):
        create(task)


def test_a_schedule_that_does_something_else_is_left_alone(workspace, task):
    create(task)
    one(workspace).properties["action"] = {"actionType": "CreateMonitor", "monitorDefinition": {}}
    task.ti.run_id = "manual__2"
    with pytest.raises(AirflowFailException, match="does not start pipeline jobs: its action is 'CreateMonitor'"):
        create(task)


@pytest.mark.parametrize("kind", ["drop", "refuse", "cut", "empty", "html"])
def test_after_a_lost_reply_there_is_one_schedule(workspace, task, kind, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _: None)
    workspace.faults.add(kind, method="PUT", path=SCHEDULES, times=1)
    create(task)
    assert one(workspace).name == "nightly"


def test_the_status_is_set_and_everything_else_stays(workspace, task):
    create(task)
    others = {"notificationSetting": {"emails": ["a@b.c"]}, "newKey": [1]}
    job(workspace).update(others)
    before = json.loads(json.dumps(one(workspace).properties))
    for kind, enabled in (
        (AzureMLDisableJobScheduleOperator, False),
        (AzureMLDisableJobScheduleOperator, False),
        (AzureMLEnableJobScheduleOperator, True),
    ):
        assert make(kind, task) == "nightly"
        assert one(workspace).properties == {**before, "isEnabled": enabled}
    assert len(writes(workspace)) == 3


def test_a_deleted_schedule_is_gone(workspace, task):
    create(task)
    make(AzureMLDeleteJobScheduleOperator, task)
    assert workspace.state.job_schedules.all() == []
    assert [method for method, _ in writes(workspace)] == ["PUT", "PUT", "DELETE"]
    make(AzureMLDeleteJobScheduleOperator, task)
    assert len(writes(workspace)) == 3


@pytest.mark.parametrize("kind", [AzureMLDisableJobScheduleOperator, AzureMLEnableJobScheduleOperator])
def test_a_misspelt_name_is_named(workspace, task, kind):
    create(task)
    with pytest.raises(AirflowFailException, match="no job schedule 'nightli'; did you mean 'nightly'"):
        make(kind, task, name="nightli")


def test_the_operator_waits_until_the_schedule_is_set_up(monkeypatch, task):
    monkeypatch.setattr(create_schedule, "_POLL_INTERVAL", 0.1)
    with serving(monkeypatch, quirks=("provisioning=20s",)) as workspace:
        create(task)
        assert workspace.state.provisioning(one(workspace)) == "Succeeded"


def test_a_failed_provisioning_is_an_error_although_the_reply_is_a_success(monkeypatch, task):
    with serving(monkeypatch, quirks=("provisioning_fails=no quota",)) as workspace:
        with pytest.raises(ProvisioningFailed, match="could not set up schedule 'nightly': ProvisioningStatus Failed"):
            create(task)
        assert one(workspace).name == "nightly"


def test_waiting_ends_with_execution_timeout(monkeypatch, task):
    with (
        serving(monkeypatch, quirks=("provisioning=36000s",)),
        pytest.raises(ProvisioningUnsettled, match="Schedule 'nightly' exists, but was still Creating"),
    ):
        create(task, execution_timeout=timedelta(seconds=0))


def test_the_triggerer_can_wait(monkeypatch, task):
    with serving(monkeypatch, quirks=("provisioning=30s",)):
        with pytest.raises(TaskDeferred) as deferred:
            create(task, deferrable=True)
        path, kwargs = deferred.value.trigger.serialize()
        assert path == "aml_provider.triggers.schedule.AzureMLScheduleProvisioningTrigger"
        assert (kwargs["schedule_id"], kwargs["is_job_schedule"]) == ("nightly", True)
        assert "very-secret-token" not in json.dumps(kwargs)

        async def first_event():
            events = AzureMLScheduleProvisioningTrigger(**kwargs | {"poll_interval": 0.1}).run()
            try:
                return (await anext(events)).payload
            finally:
                await events.aclose()

        event = asyncio.run(first_event())
        assert (event["schedule_id"], event["outcome"]) == ("nightly", "settled")
        operator = AzureMLCreateJobScheduleOperator(
            task_id="manage", name="nightly", component_name="quick", experiment_name="exp", cron="0 7 * * *"
        )
        assert operator.execute_complete(task.context, event) == "nightly"


def test_the_service_fires_at_the_times_that_were_asked_for(workspace, task):
    now = datetime.fromtimestamp(workspace.clock.now(), UTC)
    begin = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    create(task, start_time=begin, cron="30 7,19 * * *", end_time=begin + timedelta(days=2))
    workspace.clock.advance(5 * 86_400)
    started = [datetime.fromtimestamp(run.created, UTC).replace(tzinfo=None) for run in workspace.runs()]
    assert sorted(started) == [
        begin + timedelta(days=day, hours=hour, minutes=30) for day in (0, 1) for hour in (7, 19)
    ]


def test_a_reply_that_stays_lost_is_an_error_that_a_retry_repairs(workspace, task, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _: None)
    workspace.faults.add("refuse", method="PUT", path=SCHEDULES, times=50)
    with pytest.raises(ReplyLost):
        create(task)
    workspace.faults.clear()
    create(task)
    assert one(workspace).name == "nightly"
