"""What our client sends about schedules is what Microsoft's SDK sends, and what the SDK was answered, we read."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest
from support.drivers.driving import DRIVERS, one, workspace
from support.services.recorder import Answer, Recorder

from aml_provider.client import calls
from aml_provider.client.errors import MalformedReply
from aml_provider.client.flows.pipelines import disable_pipeline, enable_pipeline
from aml_provider.client.flows.schedules import list_schedules, set_status
from aml_provider.client.models import Recurrence
from aml_provider.client.specs.run import RunRequest
from aml_provider.client.specs.schedule import ScheduleRequest
from aml_provider.client.specs.target import Target

CAPTURES = Path(__file__).parents[2] / "captures"
PIPELINE = Target("pipeline", "aaaaaaaa-0000-0000-0000-000000000001")
RECURRING = "0e6e7192-cf12-4519-affe-0da530ca001c"
REACTIVE = "2c2fde8b-d167-4e9c-86f2-86ed0c2de455"
MARKS = {"airflow.schedule_key": "0123"}


def creation(name, *, description=None, continue_on_step_failure=None, **trigger):
    request = RunRequest.of(
        experiment_name="MyExperiment",
        description=description,
        continue_on_step_failure=continue_on_step_failure,
    )
    wanted = ScheduleRequest.of(name=name, request=request, **trigger)
    return one(calls.create_schedule(wanted.to_wire(PIPELINE, MARKS)))


FLOWS = {
    "schedule_create_minute15": lambda: creation(
        "MyRecurringSchedule", description="Based on time", recurrence=Recurrence("Minute", 15)
    ),
    "schedule_create_day_hours_minutes": lambda: creation(
        "day", recurrence=Recurrence("Day", 1, hours=[9, 17], minutes=[0, 30])
    ),
    "schedule_create_start_time_tz": lambda: creation(
        "tz", recurrence=Recurrence("Minute", 30, datetime.fromisoformat("2026-12-01T16:00"), "Asia/Seoul")
    ),
    "schedule_create_datastore_default": lambda: creation(
        "MyReactiveSchedule",
        description="Based on input file change.",
        datastore="workspaceblobstore",
        data_path_parameter_name="input_data",
    ),
    "schedule_create_datastore_full": lambda: creation(
        "reactive2",
        datastore="workspaceblobstore",
        polling_interval=10,
        path_on_datastore="incoming/daily",
        data_path_parameter_name="input_data",
        continue_on_step_failure=True,
    ),
    "schedule_get": lambda: one(calls.get_schedule(RECURRING)),
    "schedule_list_active": list_schedules,
    "schedule_last_run": lambda: one(calls.get_last_run_of_schedule(REACTIVE)),
    "schedule_pipeline_runs": lambda: one(calls.list_runs_of_schedule(REACTIVE)),
    "schedule_disable": lambda: set_status(RECURRING, "Disabled"),
    "pipeline_disable": lambda: disable_pipeline(pipeline_id=PIPELINE.id, disable_schedules=False),
    "pipeline_enable": lambda: enable_pipeline(pipeline_id=PIPELINE.id),
}


def exchanges(capture):
    """The exchanges of a capture that belong to the request, without those that the SDK makes before and after."""
    return [
        item
        for item in json.loads((CAPTURES / f"{capture}.json").read_text())["exchanges"]
        if item["request"]["path"].startswith("/pipelines/") and not item["request"]["path"].endswith("/DataTypes")
    ]


def carry_out(drive, capture, flow):
    """Carry out a flow against what the SDK was answered."""
    status = {"pipeline_disable": "Active", "pipeline_enable": "Disabled"}.get(capture)
    with Recorder() as recorder:
        for item in exchanges(capture):
            request, response = item["request"], item["response"]
            wire = response["json"]
            if status is not None and isinstance(wire, dict):
                wire["EntityStatus"] = status
            recorder.answer(request["method"], request["path"], Answer(response["status"], wire))
            if request["method"] in {"PUT", "POST"}:
                break
        result = drive(workspace(region=None, endpoint=recorder.url), flow)
    return result, recorder.seen


def without_marks(seen):
    method, path, query, body = seen.asked
    if isinstance(body, dict):
        assert body["PipelineSubmissionInfo"]["Properties"] in ({}, MARKS)
        body["PipelineSubmissionInfo"]["Properties"] = {}
    return method, path, query, body


@pytest.mark.parametrize("drive", DRIVERS.values(), ids=DRIVERS)
@pytest.mark.parametrize("capture", FLOWS)
def test_the_requests_are_those_of_microsofts_sdk(drive, capture):
    _, seen = carry_out(drive, capture, FLOWS[capture]())
    wanted = []
    for item in exchanges(capture):
        request = item["request"]
        wanted.append((request["method"], request["path"], request["query"], request["json"]))
        if request["method"] in {"PUT", "POST"}:
            break
    assert [without_marks(request) for request in seen] == wanted


def read(capture):
    return carry_out(DRIVERS["sync"], capture, FLOWS[capture]())[0]


def test_schedules_are_read():
    made = read("schedule_create_datastore_full")
    assert (made.name, made.kind, made.status, made.provisioning) == (
        "reactive2",
        "DataStore",
        "Active",
        "Provisioning",
    )
    assert made.is_active
    assert made.is_provisioning
    assert (made.pipeline_id, made.endpoint_id) == (PIPELINE.id, "")
    assert made.created is not None
    assert read("schedule_get").id == RECURRING
    assert [item.kind for item in read("schedule_list_active")].count("DataStore") == 2
    disabled, changed = read("schedule_disable")
    assert (disabled.status, changed) == ("Disabled", True)


def test_runs_of_a_schedule_are_read():
    last = read("schedule_last_run")
    assert last.id in {run.id for run in read("schedule_pipeline_runs")}


@pytest.mark.parametrize("answer", [Answer(204), Answer(200, None)], ids=["204", "null"])
def test_a_schedule_without_runs_has_no_last_run(answer):
    with Recorder() as recorder:
        recorder.answer("GET", "*/Last", answer)
        assert DRIVERS["sync"](workspace(region=None, endpoint=recorder.url), FLOWS["schedule_last_run"]()) is None


def test_a_proxys_page_does_not_mean_that_there_is_no_run():
    with Recorder() as recorder:
        recorder.answer("GET", "*/Last", Answer(200, body=b"<html>Sign in</html>"))
        with pytest.raises(MalformedReply):
            DRIVERS["sync"](workspace(region=None, endpoint=recorder.url), FLOWS["schedule_last_run"]())
