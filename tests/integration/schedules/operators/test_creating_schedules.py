"""The operator that creates schedules, against the local workspace."""

from __future__ import annotations

import re
from datetime import UTC

import pytest
from support.airflow.schedule_tasks import (
    LATER,
    NIGHTLY,
    Create,
    Disable,
    DisablePipeline,
    Enable,
    EnablePipeline,
    create,
    one,
    writes,
)
from support.services.local_workspace import serving

from aml_provider.client.errors import ReplyLost, ServerFault
from aml_provider.client.models import DataPath, Recurrence
from aml_provider.compat import AirflowFailException
from aml_provider.durable import lookup
from aml_provider.state import variables

CREATE = "*/Schedules/Create"


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


def test_a_schedule_that_watches_a_folder_is_created(workspace, task):
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
        ({"datastore": "none"}, "datastore: the workspace 'local' has no datastore 'none'"),
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
def test_a_value_that_cannot_be_used_is_refused_before_anything_is_written(workspace, task, arguments, message):
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
def test_the_constructor_refuses_missing_and_contradictory_arguments(arguments):
    with pytest.raises(ValueError, match="Task 'manage'"):
        Create(name="n", experiment_name="e", **arguments)


@pytest.mark.parametrize("operator", [Enable, Disable])
@pytest.mark.parametrize("arguments", [{}, {"schedule_id": "a", "schedule_name": "b"}], ids=str)
def test_exactly_one_argument_names_the_schedule(operator, arguments):
    with pytest.raises(ValueError, match="exactly one of"):
        operator(**arguments)


@pytest.mark.parametrize("operator", [EnablePipeline, DisablePipeline])
@pytest.mark.parametrize("arguments", [{}, {"pipeline_id": "a", "pipeline_name": "b"}], ids=str)
def test_exactly_one_argument_names_the_pipeline(operator, arguments):
    with pytest.raises(ValueError, match="either pipeline_id or pipeline_name"):
        operator(**arguments)


def test_a_difference_is_updated_and_logged(workspace, task):
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
    assert "was updated: recurrence, parameters; it is Active" in str(operator.log)


@pytest.mark.parametrize(
    "kind", [{"recurrence": NIGHTLY}, {"recurrence": None, "datastore": "store"}], ids=["recurrence", "datastore"]
)
def test_the_log_states_that_a_schedule_is_disabled(kind, workspace, task):
    arguments = {"name": "nightly", "experiment_name": "exp", "pipeline_id": "quick", "status": "Disabled"} | kind
    created = r"was created: .* starts no run, and is disabled next[\s\S]* was updated: .*; it is Disabled\."
    for said in (created, "needs no change; it is Disabled"):
        operator = Create(**arguments)
        operator.execute(task.context)
        assert re.search(said, str(operator.log)), str(operator.log)


def test_another_pipeline_replaces_the_schedule(workspace, task):
    old = create(task)
    new = create(task, pipeline_id="long")
    assert {item.id: item.status for item in workspace.state.schedules.all()} == {old: "Disabled", new: "Active"}
    assert create(task, pipeline_id="long") == new


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
def test_a_lost_reply_to_the_creation_creates_no_second_schedule(workspace, task, kind, details, status, monkeypatch):
    monkeypatch.setattr(lookup, "ON_ITS_WAY", 0.1)
    workspace.faults.add(kind, method="POST", path=CREATE, times=1, **details)
    try:
        create(task, status=status)
    except (ReplyLost, ServerFault):
        create(task, status=status)
    assert one(workspace).status == status
    assert not task.store


def test_before_airflow_3_3_the_intent_is_a_variable(workspace, task, monkeypatch):
    written = []
    write = variables.write
    monkeypatch.setattr(variables, "write", lambda *given: (written.append(given[0]), write(*given)))
    operator = Create(name="nightly", experiment_name="exp", pipeline_id="quick", recurrence=NIGHTLY)
    operator.execute({"ti": task.ti})
    assert written
    assert all(key.startswith("azureml_schedule_intent_") for key in written)
    assert not any(variables.read(key) for key in written)
