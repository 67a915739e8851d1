"""The operators for schedules and for a pipeline's status, against the local workspace."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred
from support.local_workspace import serving
from support.task import Log, Task, TaskStateStore

from aml_provider.client import calls, schedule_upkeep
from aml_provider.client.errors import ProvisioningFailed, ProvisioningUnsettled, ReplyLost, ServerFault
from aml_provider.client.models import DataPath, Recurrence
from aml_provider.hooks.azure_ml import AzureMLHook
from aml_provider.operators import schedule_execution
from aml_provider.operators.pipeline import AzureMLDisablePipelineOperator, AzureMLEnablePipelineOperator
from aml_provider.operators.schedule import (
    AzureMLCreateScheduleOperator,
    AzureMLDisableScheduleOperator,
    AzureMLEnableScheduleOperator,
)
from aml_provider.state import variables
from aml_provider.triggers.schedule import AzureMLScheduleProvisioningTrigger

CREATE = "*/Schedules/Create"
LATER = datetime.now(UTC).replace(tzinfo=None, microsecond=0) + timedelta(days=30)
NIGHTLY = Recurrence("Week", 1, start_time=LATER, time_zone="Asia/Seoul", week_days=["Monday"], time_of_day="3:00")


class Store(TaskStateStore):
    """Airflow's task state store, as far as it is needed here."""

    def delete(self, key):
        self.pop(key, None)


@pytest.fixture
def task(kept_in_memory):
    schedule_execution._INTERFACES.clear()
    made = Task()
    made.store = Store()
    return made


@pytest.fixture
def workspace(monkeypatch):
    with serving(monkeypatch) as running:
        yield running


def logging(base):
    class Operator(base):
        log = Log()

        def __init__(self, **arguments):
            self._kept = Log()
            super().__init__(**{"task_id": "manage"} | arguments)
            type(self).log = self._kept

    return Operator


Create = logging(AzureMLCreateScheduleOperator)
Disable = logging(AzureMLDisableScheduleOperator)
Enable = logging(AzureMLEnableScheduleOperator)
DisablePipeline = logging(AzureMLDisablePipelineOperator)
EnablePipeline = logging(AzureMLEnablePipelineOperator)


def create(task, **arguments):
    given = {"name": "nightly", "experiment_name": "exp", "pipeline_id": "quick"} | arguments
    if "datastore" not in given:
        given.setdefault("recurrence", NIGHTLY)
    return Create(**given).execute(task.context)


def one(workspace):
    (schedule,) = workspace.state.schedules.all()
    return schedule


def writes(workspace):
    return [(entry["method"], entry["body"]) for entry in workspace.requests() if entry["method"] in {"POST", "PUT"}]


@pytest.mark.parametrize(
    "target",
    [
        {"pipeline_id": "quick"},
        {"pipeline_id": None, "pipeline_name": "quick"},
        {"pipeline_id": None, "endpoint_id": "door"},
        {"pipeline_id": None, "endpoint_name": "door"},
    ],
    ids=str,
)
def test_a_recurrence_is_created_once(workspace, task, target):
    schedule_id = create(task, parameters={"count": 3}, data_paths={"input": DataPath("store", "x")}, **target)
    made = one(workspace)
    assert (made.id, made.name, made.status) == (schedule_id, "nightly", "Active")
    assert made.recurrence.time_zone == "Korea Standard Time"
    assert (made.recurrence.hours, made.recurrence.minutes, made.recurrence.week_days) == ((3,), (0,), ("Monday",))
    assert made.submission.parameters["count"] == "3"
    assert (made.pipeline_id, made.endpoint_id) in {("quick", None), (None, "door")}
    assert create(task, parameters={"count": 3}, data_paths={"input": DataPath("store", "x")}, **target) == schedule_id
    assert [method for method, _ in writes(workspace)] == ["POST"]


def test_a_watch_over_a_folder_is_created(workspace, task):
    schedule_id = create(
        task,
        datastore="store",
        path_on_datastore="/in/",
        polling_interval=7,
        data_path_parameter_name="input",
        description="on change",
        continue_on_step_failure=True,
    )
    made = one(workspace)
    assert made.id == schedule_id
    assert (made.trigger.datastore, made.trigger.path, made.trigger.polling_interval) == ("store", "in", 7)
    assert made.trigger.data_path_parameter == "input"
    assert (made.submission.description, made.submission.continue_on_step_failure) == ("on change", True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"recurrence": Recurrence("Minute", 0)}, "recurrence.interval"),
        ({"recurrence": Recurrence("Day", 1, time_zone="Mars/Olympus")}, "recurrence.time_zone"),
        ({"recurrence": Recurrence("Day", 1, start_time="tomorrow")}, "recurrence.start_time"),
        ({"recurrence": Recurrence("Day", 1, start_time=LATER.replace(tzinfo=UTC))}, "recurrence.start_time"),
        ({"datastore": "store", "polling_interval": 0}, "polling_interval"),
        ({"datastore": "store", "polling_interval": 0.5}, "polling_interval"),
        ({"datastore": "none"}, "datastore: is 'none'"),
        ({"datastore": "store", "data_path_parameter_name": "x"}, "data_path_parameter_name"),
        ({"parameters": {"count": "many"}}, "its type is Int"),
        ({"parameters": {"none": 1}}, "there is no parameter 'none'"),
        ({"experiment_name": "no spaces"}, "experiment_name"),
        ({"name": " "}, "name"),
        ({"pipeline_id": ""}, "pipeline_id"),
        ({"pipeline_id": "none"}, "no published pipeline 'none'"),
        ({"pipeline_id": "retired"}, "is Disabled"),
        ({"pipeline_id": None, "pipeline_name": "twins"}, "twin-1"),
        ({"status": "Paused"}, "status"),
        ({"if_exists": "ignore"}, "if_exists"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_cannot_be_is_refused_before_anything_is_written(workspace, task, arguments, message):
    with pytest.raises(AirflowFailException, match=message):
        create(task, **arguments)
    assert writes(workspace) == []


@pytest.mark.parametrize(
    "arguments",
    [
        {"pipeline_id": "p", "pipeline_name": "n", "recurrence": NIGHTLY},
        {"recurrence": NIGHTLY},
        {"pipeline_id": "p"},
        {"pipeline_id": "p", "recurrence": NIGHTLY, "datastore": "d"},
        {"pipeline_id": "p", "recurrence": NIGHTLY, "path_on_datastore": "x"},
        {"pipeline_id": "p", "recurrence": NIGHTLY, "data_path_parameter_name": "x"},
    ],
    # By their names alone: NIGHTLY holds the clock, and processes that share the suite must collect the same ids.
    ids=" ".join,
)
def test_the_constructor_refuses_what_is_missing_or_contradicts_itself(arguments):
    with pytest.raises(ValueError, match="Task 'manage'"):
        Create(name="n", experiment_name="e", **arguments)


@pytest.mark.parametrize("operator", [Enable, Disable])
@pytest.mark.parametrize("arguments", [{}, {"schedule_id": "a", "schedule_name": "b"}], ids=str)
def test_a_schedule_is_named_in_one_way(operator, arguments):
    with pytest.raises(ValueError, match="exactly one of"):
        operator(**arguments)


@pytest.mark.parametrize("operator", [EnablePipeline, DisablePipeline])
@pytest.mark.parametrize("arguments", [{}, {"pipeline_id": "a", "pipeline_name": "b"}], ids=str)
def test_a_pipeline_is_named_in_one_way(operator, arguments):
    with pytest.raises(ValueError, match="either pipeline_id or pipeline_name"):
        operator(**arguments)


# Updates


def test_what_differs_is_updated_and_told(workspace, task):
    schedule_id = create(task)
    operator = Create(
        name="nightly",
        experiment_name="exp",
        pipeline_id="quick",
        recurrence=NIGHTLY._replace(interval=2),
        parameters={"count": 4},
    )
    assert operator.execute(task.context) == schedule_id
    assert one(workspace).recurrence.interval == 2
    assert "was updated: recurrence, parameters" in str(operator.log)


def test_another_pipeline_replaces_the_schedule(workspace, task):
    old = create(task)
    new = create(task, pipeline_id="long")
    assert {item.id: item.status for item in workspace.state.schedules.all()} == {old: "Disabled", new: "Active"}
    assert create(task, pipeline_id="long") == new


# Disabled from the start


@pytest.mark.parametrize("quirk", [(), ("update_fires=always",), ("int_enums",), ("provisioning=600s",)], ids=str)
@pytest.mark.parametrize("recurrence", [Recurrence("Minute", 15), Recurrence("Day", 1, "2020-01-01T00:00:00"), NIGHTLY])
def test_a_schedule_created_as_disabled_starts_no_run(monkeypatch, task, quirk, recurrence):
    with serving(monkeypatch, quirks=quirk) as workspace:
        schedule_id = create(task, recurrence=recurrence, status="Disabled", wait_for_provisioning=False)
        made = one(workspace)
        assert (made.id, made.status) == (schedule_id, "Disabled")
        assert made.recurrence.start_time == (
            recurrence.start_time if isinstance(recurrence.start_time, str | None) else LATER.isoformat()
        )
        assert workspace.runs() == []
        assert not task.store
        assert Enable(schedule_id=schedule_id).execute(task.context) == [schedule_id]
        assert one(workspace).status == "Active"


@pytest.mark.parametrize(
    ("kind", "details"), [("drop", {}), ("status", {"status": 503}), ("broken_json", {})], ids=["drop", "503", "broken"]
)
@pytest.mark.parametrize("status", ["Active", "Disabled"])
def test_a_lost_reply_to_the_creation_makes_no_second_schedule(workspace, task, kind, details, status, monkeypatch):
    monkeypatch.setattr(schedule_upkeep, "_ON_ITS_WAY", 0.1)
    workspace.faults.add(kind, method="POST", path=CREATE, times=1, **details)
    try:
        create(task, status=status)
    except (ReplyLost, ServerFault):
        create(task, status=status)
    assert one(workspace).status == status
    assert not task.store


def test_below_airflow_3_3_the_intent_is_a_variable(workspace, task, monkeypatch):
    written = []
    write = variables.write
    monkeypatch.setattr(variables, "write", lambda *given: (written.append(given[0]), write(*given)))
    operator = Create(name="nightly", experiment_name="exp", pipeline_id="quick", recurrence=NIGHTLY)
    operator.execute({"ti": task.ti})
    assert written
    assert all(key.startswith("azureml_schedule_intent_") for key in written)
    assert not any(variables.read(key) for key in written)


# Provisioning


def test_it_waits_until_the_schedule_is_set_up(monkeypatch, task):
    monkeypatch.setattr(schedule_execution, "_POLL_INTERVAL", 0.1)
    with serving(monkeypatch, quirks=("provisioning=20s",)) as workspace:
        started = time.monotonic()
        create(task)
        assert workspace.state.schedules.provisioning(one(workspace)) == "Completed"
        assert time.monotonic() - started < 20


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


def test_the_wait_may_be_the_triggerers(monkeypatch, task):
    with serving(monkeypatch, quirks=("provisioning=30s",)) as workspace:
        wait = deferred(task)
        path, arguments = wait.trigger.serialize()
        assert path == f"{AzureMLScheduleProvisioningTrigger.__module__}.{AzureMLScheduleProvisioningTrigger.__name__}"
        assert arguments["schedule_id"] == one(workspace).id
        assert set(arguments) == {"schedule_id", "deadline", "poll_interval", "azureml_conn_id"}
        assert 3500 < arguments["deadline"] - time.time() <= 3600
        assert wait.timeout.total_seconds() > 3600
        trigger = AzureMLScheduleProvisioningTrigger(**arguments | {"poll_interval": 0.1})
        event = asyncio.run(event_of(trigger))
        assert (event["schedule_id"], event["outcome"]) == (one(workspace).id, "settled")
        operator = Create(name="nightly", experiment_name="exp", pipeline_id="quick", recurrence=NIGHTLY)
        assert operator.execute_complete(task.context, event) == one(workspace).id


@pytest.mark.parametrize("event", [None, {}, {"schedule_id": "x", "outcome": "success"}], ids=str)
def test_an_unknown_event_is_no_success(task, event):
    operator = Create(name="nightly", experiment_name="exp", pipeline_id="quick", recurrence=NIGHTLY)
    with pytest.raises(ValueError, match="Not an event"):
        operator.execute_complete(task.context, event)


def test_a_deadline_that_passed_while_deferred_fails_the_try(monkeypatch, task):
    with serving(monkeypatch, quirks=("provisioning=36000s",)) as workspace:
        arguments = deferred(task).trigger.serialize()[1]
        event = asyncio.run(event_of(AzureMLScheduleProvisioningTrigger(**arguments | {"deadline": time.time()})))
        assert event["outcome"] == "deadline"
        operator = Create(name="nightly", experiment_name="exp", pipeline_id="quick", recurrence=NIGHTLY)
        with pytest.raises(ProvisioningUnsettled, match=one(workspace).id):
            operator.execute_complete(task.context, event)


def test_a_schedule_that_cannot_be_read_is_no_failed_schedule(workspace, task):
    operator = Create(name="nightly", experiment_name="exp", pipeline_id="quick", recurrence=NIGHTLY)
    event = {"schedule_id": "gone", "outcome": "unwatched", "message": "no route"}
    with pytest.raises(ProvisioningUnsettled, match="no route"):
        operator.execute_complete(task.context, event)


# Status


def test_schedules_are_disabled_and_enabled(workspace, task):
    first, second = create(task), create(task, name="hourly", recurrence=NIGHTLY._replace(interval=3))
    assert Disable(schedule_name="nightly").execute(task.context) == [first]
    assert Disable(schedule_id=first).execute(task.context) == [first]
    assert Enable(pipeline_id="quick").execute(task.context) == [first, second]
    assert Disable(pipeline_id="quick").execute(task.context) == [first, second]
    assert {item.status for item in workspace.state.schedules.all()} == {"Disabled"}
    assert [body["EntityStatus"] for method, body in writes(workspace) if method == "PUT"] == [
        "Disabled",
        "Active",
        "Disabled",
        "Disabled",
    ]


def test_a_tag_that_somebody_has_set_survives(workspace, task):
    schedule_id = create(task)
    made = one(workspace)
    hook = AzureMLHook()
    with hook.client() as client:
        wire = client.call(calls.get_schedule(schedule_id)).wire
        wire["PipelineSubmissionInfo"] |= {"tags": {"team": "red"}, "RunSource": "Portal", "EnableNotification": True}
        client.call(calls.update_schedule(schedule_id, wire))
    create(task, recurrence=NIGHTLY._replace(interval=2))
    Disable(schedule_id=schedule_id).execute(task.context)
    Enable(schedule_id=schedule_id).execute(task.context)
    assert made.submission.tags == {"team": "red"}
    assert (made.submission.run_source, made.submission.enable_notification) == ("Portal", True)


def test_a_pipeline_is_disabled_after_its_schedules_and_enabled(workspace, task):
    schedule_id = create(task)
    operator = DisablePipeline(pipeline_name="quick")
    assert operator.execute(task.context) == "quick"
    assert workspace.state.pipelines["quick"].status == "Disabled"
    assert one(workspace).status == "Disabled"
    assert f"({schedule_id}) was Active, and is Disabled now" in str(operator.log)
    assert DisablePipeline(pipeline_name="quick").execute(task.context) == "quick"
    assert EnablePipeline(pipeline_name="quick").execute(task.context) == "quick"
    assert workspace.state.pipelines["quick"].status == "Active"
    assert one(workspace).status == "Disabled"


@pytest.mark.parametrize(
    ("operator", "arguments", "message"),
    [
        (Disable, {"schedule_id": "none"}, "no schedule 'none'"),
        (Enable, {"schedule_name": "none"}, "no schedule named 'none'"),
        (Enable, {"schedule_id": ""}, "schedule_id"),
        (DisablePipeline, {"pipeline_id": "none"}, "no published pipeline 'none'"),
        (EnablePipeline, {"pipeline_name": "none"}, "no published pipeline named 'none'"),
    ],
)
def test_what_is_not_there_does_not_consume_retries(workspace, task, operator, arguments, message):
    with pytest.raises(AirflowFailException, match=message):
        operator(**arguments).execute(task.context)


def test_the_hook_lists_finds_and_switches(workspace, task):
    schedule_id = create(task)
    hook = AzureMLHook()
    assert [item.id for item in hook.list_schedules()] == [schedule_id]
    assert [item.id for item in hook.list_schedules(pipeline_id="quick")] == [schedule_id]
    assert hook.list_schedules(endpoint_id="door") == ()
    assert hook.find_schedule("nightly").id == schedule_id
    assert hook.get_last_run_of_schedule(schedule_id) is None
    assert not hook.disable_schedule(schedule_id).is_active
    assert hook.list_schedules() == ()
    assert hook.enable_schedule(schedule_id).is_active
    hook.disable_pipeline("quick")
    assert workspace.state.pipelines["quick"].status == "Disabled"
    hook.enable_pipeline("quick")
    assert workspace.state.pipelines["quick"].status == "Active"
