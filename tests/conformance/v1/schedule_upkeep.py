"""Native schedules after their creation: runs, updates, disabling and enabling."""

from __future__ import annotations

import pytest
import requests
from azureml.data.datapath import DataPath
from azureml.pipeline.core import PublishedPipeline, Schedule, ScheduleRecurrence
from azureml.pipeline.core._restclients.aeva.models import ErrorResponseException
from helpers import HOURLY, create, facts
from seeded import SCORE

examines = pytest.mark.examines


@examines("Schedule.get_last_pipeline_run", "Schedule.get_pipeline_runs")
def test_a_new_blob_starts_a_run_with_its_path(workspace, datastore, emulator, blob_store):
    made = create(
        workspace, datastore=datastore, path_on_datastore="arrivals", data_path_parameter_name="input_datapath"
    )
    assert (made.get_last_pipeline_run(), made.get_pipeline_runs()) == (None, [])
    container, _, signature = blob_store[1].partition("?")
    headers = {"x-ms-blob-type": "BlockBlob"}
    blob = requests.put(f"{container}/arrivals/{made.id}.csv?{signature}", b"a\n1\n", headers=headers, timeout=30)
    assert blob.status_code == 201
    emulator.advance(300)
    run = made.get_last_pipeline_run()
    assert emulator.runs()[run.id]["data_paths"]["input_datapath"]["path"] == f"arrivals/{made.id}.csv"
    assert [item.id for item in made.get_pipeline_runs()] == [run.id]


@examines("Schedule.update")
def test_update_changes_what_is_given_and_keeps_the_rest(workspace, emulator):
    made = create(
        workspace, description="Each hour.", pipeline_parameters={"input_string": "abc"}, continue_on_step_failure=True
    )
    made.update(name="renamed", recurrence=ScheduleRecurrence(frequency="Day", interval=1, hours=[3], minutes=[4]))
    again = Schedule.get(workspace, id=made.id)
    assert (made.name, again.name, again.description) == ("renamed", "renamed", "Each hour.")
    assert facts(again.recurrence) == {"frequency": "Day", "interval": 1, "hours": [3], "minutes": [4]}
    assert (again.status, again.continue_on_step_failure) == ("Active", True)
    assert emulator.schedules()[made.id]["submission"]["parameters"] == {"input_string": "abc"}


@examines("Schedule.update")
def test_update_replaces_all_parameters(workspace, datastore, emulator):
    made = create(workspace, pipeline_parameters={"input_string": "abc"})
    made.update(pipeline_parameters={"input_datapath": DataPath(datastore, "other")}, description="Changed.")
    submission = emulator.schedules()[made.id]["submission"]
    assert (submission["parameters"], submission["description"]) == ({}, "Changed.")
    assert submission["data_paths"] == {"input_datapath": {"datastore": "workspaceblobstore", "path": "other"}}


@examines("Schedule.update")
def test_update_of_a_datastore_trigger(workspace, datastore):
    made = create(workspace, datastore=datastore, path_on_datastore="incoming")
    made.update(
        datastore=datastore, polling_interval=7, path_on_datastore="other", data_path_parameter_name="input_datapath"
    )
    again = Schedule.get(workspace, id=made.id)
    assert (again.polling_interval, again.path_on_datastore) == (7, "other")
    assert again.data_path_parameter_name == "input_datapath"


@examines("Schedule.update")
def test_update_refuses_another_kind(workspace, datastore):
    with pytest.raises(ValueError, match="Recurrence schedule"):
        create(workspace).update(datastore=datastore)
    with pytest.raises(ValueError, match="Datastore schedule"):
        create(workspace, datastore=datastore).update(recurrence=ScheduleRecurrence(**HOURLY))


@examines("Schedule.update")
def test_update_changes_the_status(workspace):
    made = create(workspace)
    made.update(status="Disabled")
    assert (made.status, Schedule.get(workspace, id=made.id).status) == ("Disabled", "Disabled")


@examines("Schedule.update")
def test_update_refuses_what_create_refuses(workspace, emulator):
    made = create(workspace)
    with pytest.raises(ErrorResponseException, match="colour"):
        made.update(pipeline_parameters={"colour": "red"})
    assert emulator.schedules()[made.id]["submission"]["parameters"] == {}


@examines("Schedule.disable", "Schedule.enable")
def test_disable_and_enable(workspace, emulator):
    made = create(workspace)
    made.disable()
    made.disable()
    assert (made.status, Schedule.get(workspace, id=made.id).status) == ("Disabled", "Disabled")
    before = len(made.get_pipeline_runs())
    emulator.advance(7200)
    assert len(made.get_pipeline_runs()) == before
    made.enable()
    made.enable()
    assert (made.status, Schedule.get(workspace, id=made.id).status) == ("Active", "Active")
    emulator.advance(3600)
    assert len(made.get_pipeline_runs()) == before + 1


@examines("PublishedPipeline.disable")
def test_a_pipeline_with_active_schedules_stays_active(workspace, pipeline):
    made = create(workspace)
    with pytest.raises(ErrorResponseException, match=r"(?s)UserError.*nightly"):
        pipeline.disable()
    assert PublishedPipeline.get(workspace, id=SCORE).status == "Active"
    made.disable()
    pipeline.disable()
    assert PublishedPipeline.get(workspace, id=SCORE).status == "Disabled"


@examines("Schedule.get_pipeline_runs", "Schedule.get_last_pipeline_run")
def test_the_runs_of_a_schedule(workspace, emulator):
    made = create(workspace)
    emulator.advance(7200)
    runs = made.get_pipeline_runs()
    last = made.get_last_pipeline_run()
    records = emulator.runs()
    assert len(runs) == 3
    assert last.id == max(runs, key=lambda run: records[run.id]["number"]).id
    assert {run.experiment.name for run in runs} == {"scheduled"}
    assert last.get_properties()["runType"] == "Schedule"
    emulator.advance(60)
    assert {run.get_status() for run in runs} == {"Finished"}


@examines("Schedule.get_pipeline_runs", "Schedule.get_last_pipeline_run")
def test_a_schedule_without_runs(workspace):
    made = create(workspace, recurrence=HOURLY | {"start_time": "2040-01-01T00:00:00"})
    assert (made.get_pipeline_runs(), made.get_last_pipeline_run()) == ([], None)
