"""Native schedules: time-based and change-based, of pipelines and of endpoints."""

from __future__ import annotations

from datetime import datetime

import pytest
from azureml.core import Datastore
from azureml.data.azure_storage_datastore import AzureBlobDatastore
from azureml.data.datapath import DataPath
from azureml.pipeline.core import Schedule, ScheduleRecurrence, TimeZone
from azureml.pipeline.core._restclients.aeva.models import ErrorResponseException
from helpers import HOURLY, create, facts
from seeded import ENDPOINT, LONG, RETIRED, SCORE, TYPED, UNKNOWN

examines = pytest.mark.examines


@pytest.mark.parametrize(
    "recurrence",
    [
        {"frequency": "Minute", "interval": 15},
        {"frequency": "Hour", "interval": 12},
        {"frequency": "Day", "interval": 2, "hours": [9, 17], "minutes": [0, 30]},
        {"frequency": "Week", "interval": 2, "week_days": ["Monday", "Wednesday"], "hours": [18], "minutes": [30]},
        {"frequency": "Month", "interval": 1, "start_time": "2030-11-01T09:00:00"},
        {"frequency": "Hour", "interval": 1, "start_time": "2020-01-13T12:55:00"},
        {
            "frequency": "Day",
            "interval": 1,
            "start_time": "2030-12-01T16:00:00",
            "time_zone": TimeZone.KoreaStandardTime,
        },
    ],
    ids=lambda recurrence: "-".join(map(str, (recurrence["frequency"], *list(recurrence)[2:]))),
)
@examines("Schedule.create", "Schedule.get", "Schedule.recurrence", "ScheduleRecurrence.validate")
def test_every_recurrence_is_returned_unchanged(workspace, recurrence):
    made = create(workspace, recurrence=recurrence)
    again = Schedule.get(workspace, id=made.id)
    assert facts(again.recurrence) == facts(made.recurrence) == facts(ScheduleRecurrence(**recurrence))


@examines("Schedule.create", "Schedule.recurrence")
def test_a_time_of_day_becomes_an_hour_and_a_minute(workspace):
    made = create(workspace, recurrence={"frequency": "Day", "interval": 1, "time_of_day": "7:05"})
    again = Schedule.get(workspace, id=made.id).recurrence
    assert (again.hours, again.minutes) == ([7], [5])


@examines("Schedule.create")
def test_a_start_time_may_be_a_datetime_without_a_zone(workspace):
    recurrence = HOURLY | {"start_time": datetime(2030, 12, 1, 16), "time_zone": TimeZone.UTC}  # noqa: DTZ001 - as the SDK requires
    made = create(workspace, recurrence=recurrence)
    assert Schedule.get(workspace, id=made.id).recurrence.start_time.startswith("2030-12-01T16:00:00")


@examines("Schedule.create", "ScheduleRecurrence.validate")
def test_the_sdk_refuses_a_bad_recurrence_itself(workspace, emulator):
    with pytest.raises(ValueError, match=r"[Ii]nterval"):
        create(workspace, recurrence={"frequency": "Day", "interval": 0})
    assert emulator.schedules() == {}


@examines("Schedule.create")
def test_the_service_refuses_a_bad_recurrence(workspace, emulator):
    with pytest.raises(ErrorResponseException, match=r"(?s)UserError.*500") as refusal:
        create(workspace, recurrence={"frequency": "Day", "interval": 501})
    assert refusal.value.response.status_code == 400
    with pytest.raises(ErrorResponseException, match="tomorrow"):
        create(workspace, recurrence=HOURLY | {"start_time": "tomorrow"})
    assert emulator.schedules() == {}


@examines(
    "Schedule.create",
    "Schedule.get",
    "Schedule.id",
    "Schedule.name",
    "Schedule.status",
    "Schedule.description",
    "Schedule.pipeline_id",
    "Schedule.pipeline_endpoint_id",
    "Schedule.continue_on_step_failure",
    "Schedule.datastore_name",
    "Schedule.polling_interval",
    "Schedule.path_on_datastore",
    "Schedule.data_path_parameter_name",
)
def test_create_with_everything_a_time_based_schedule_has(workspace, datastore, emulator):
    made = create(
        workspace,
        description="Each hour.",
        pipeline_parameters={"input_string": "abc", "input_datapath": DataPath(datastore, "incoming/f.csv")},
        continue_on_step_failure=True,
    )
    again = Schedule.get(workspace, id=made.id)
    assert (again.id, again.name, again.status) == (made.id, "nightly", "Active")
    assert (again.description, again.continue_on_step_failure) == ("Each hour.", True)
    assert (again.pipeline_id, again.pipeline_endpoint_id) == (SCORE, None)
    assert (again.datastore_name, again.polling_interval) == (None, None)
    assert (again.path_on_datastore, again.data_path_parameter_name) == (None, None)
    submission = emulator.schedules()[made.id]["submission"]
    assert (submission["experiment"], submission["parameters"]) == ("scheduled", {"input_string": "abc"})
    assert submission["data_paths"]["input_datapath"] == {"datastore": "workspaceblobstore", "path": "incoming/f.csv"}


@examines("Schedule.create_for_pipeline_endpoint", "Schedule.pipeline_endpoint_id")
def test_create_for_an_endpoint(workspace, emulator):
    recurrence = ScheduleRecurrence(**HOURLY)
    made = Schedule.create_for_pipeline_endpoint(workspace, "behind", ENDPOINT, "scheduled", recurrence=recurrence)
    again = Schedule.get(workspace, id=made.id)
    assert (again.pipeline_id, again.pipeline_endpoint_id) == (None, ENDPOINT)
    emulator.advance(3600)
    runs = again.get_pipeline_runs()
    assert {emulator.runs()[run.id]["pipeline_id"] for run in runs} == {SCORE}
    assert len(runs) == 2


@examines(
    "Schedule.create",
    "Schedule.recurrence",
    "Schedule.datastore_name",
    "Schedule.polling_interval",
    "Schedule.path_on_datastore",
    "Schedule.data_path_parameter_name",
)
def test_create_with_a_datastore(workspace, datastore):
    made = create(
        workspace,
        datastore=datastore,
        polling_interval=10,
        path_on_datastore="incoming/daily",
        data_path_parameter_name="input_datapath",
    )
    again = Schedule.get(workspace, id=made.id)
    assert again.recurrence is None
    assert (again.datastore_name, again.polling_interval) == ("workspaceblobstore", 10)
    assert (again.path_on_datastore, again.data_path_parameter_name) == ("incoming/daily", "input_datapath")


@examines("Schedule.create_for_pipeline_endpoint", "Schedule.polling_interval", "Schedule.path_on_datastore")
def test_create_for_an_endpoint_with_a_datastore_and_no_more(workspace, datastore):
    made = Schedule.create_for_pipeline_endpoint(workspace, "behind", ENDPOINT, "scheduled", datastore=datastore)
    again = Schedule.get(workspace, id=made.id)
    assert (again.polling_interval, again.path_on_datastore, again.data_path_parameter_name) == (5, None, None)


@examines("Schedule.create")
def test_the_sdk_refuses_a_datastore_without_blobs(workspace, emulator):
    with pytest.raises(ValueError, match="AzureBlobDatastore"):
        create(workspace, datastore=Datastore.get(workspace, "workspacefilestore"))
    assert emulator.schedules() == {}


@examines("Schedule.create")
def test_create_refuses_an_unknown_datastore(workspace, emulator):
    with pytest.raises(ErrorResponseException, match="nosuchstore"):
        create(workspace, datastore=AzureBlobDatastore(workspace, "nosuchstore", "container", "account"))
    assert emulator.schedules() == {}


@pytest.mark.parametrize(
    ("pipeline_id", "says"), [(UNKNOWN, UNKNOWN), (RETIRED, "isabled"), (TYPED, "count")], ids=["unknown", "off", "gap"]
)
@examines("Schedule.create")
def test_create_refuses_a_pipeline_that_cannot_run(workspace, emulator, pipeline_id, says):
    with pytest.raises(ErrorResponseException, match=says):
        create(workspace, pipeline_id=pipeline_id)
    assert emulator.schedules() == {}


@examines("Schedule.create_for_pipeline_endpoint")
def test_create_refuses_an_unknown_endpoint(workspace, emulator):
    recurrence = ScheduleRecurrence(**HOURLY)
    with pytest.raises(ErrorResponseException, match=UNKNOWN):
        Schedule.create_for_pipeline_endpoint(workspace, "behind", UNKNOWN, "scheduled", recurrence=recurrence)
    assert emulator.schedules() == {}


@examines("Schedule.create")
def test_create_is_never_repeated(workspace, emulator):
    emulator.refuse(503, method="POST", path="*/Schedules/Create")
    with pytest.raises(ErrorResponseException) as refusal:
        create(workspace)
    assert refusal.value.response.status_code == 503
    assert len(emulator.requests("POST", "/Schedules/Create")) == 1


@examines("Schedule.get")
def test_get_of_an_unknown_schedule_says_which(workspace):
    with pytest.raises(ErrorResponseException, match=UNKNOWN) as refusal:
        Schedule.get(workspace, id=UNKNOWN)
    assert refusal.value.response.status_code == 404


@examines("Schedule.list", "Schedule.get_all")
def test_list_shows_the_active_schedules(workspace):
    create(workspace, "on")
    create(workspace, "off").disable()
    assert {item.name for item in Schedule.list(workspace)} == {"on"}
    assert {item.name for item in Schedule.get_all(workspace)} == {"on"}
    assert {item.name: item.status for item in Schedule.list(workspace, active_only=False)} == {
        "on": "Active",
        "off": "Disabled",
    }


@examines("Schedule.list", "Schedule.get_schedules_for_pipeline_id", "Schedule.get_schedules_for_pipeline_endpoint_id")
def test_list_by_pipeline_and_by_endpoint(workspace):
    create(workspace, "mine")
    create(workspace, "other", pipeline_id=LONG)
    recurrence = ScheduleRecurrence(**HOURLY)
    Schedule.create_for_pipeline_endpoint(workspace, "behind", ENDPOINT, "scheduled", recurrence=recurrence)
    assert [item.name for item in Schedule.list(workspace, pipeline_id=SCORE)] == ["mine"]
    assert [item.name for item in Schedule.get_schedules_for_pipeline_id(workspace, SCORE)] == ["mine"]
    assert [item.name for item in Schedule.list(workspace, pipeline_endpoint_id=ENDPOINT)] == ["behind"]
    assert [item.name for item in Schedule.get_schedules_for_pipeline_endpoint_id(workspace, ENDPOINT)] == ["behind"]


@examines("Schedule.create", "Schedule.update", "Schedule.enable", "Schedule.disable")
def test_waiting_until_a_schedule_is_provisioned(slow, capsys):
    emulator, workspace = slow
    made = create(workspace, wait_for_provisioning=True, wait_timeout=30)
    assert emulator.schedules()[made.id]["provisioning_status"] == "Completed"
    assert "Provisioning status: Completed" in capsys.readouterr().out
    for change in (made.update, made.disable, made.enable):
        change(wait_for_provisioning=True, wait_timeout=0)
        assert "Timed out of waiting, status:Provisioning" in capsys.readouterr().out


@examines("Schedule.create")
def test_a_schedule_that_cannot_be_provisioned(serve, capsys):
    emulator, workspace = serve("--quirk", "provisioning_fails")
    made = create(workspace, wait_for_provisioning=True)
    assert emulator.schedules()[made.id]["provisioning_status"] == "Failed"
    assert "Provisioning failed" in capsys.readouterr().out
    emulator.advance(3600)
    assert made.get_pipeline_runs() == []


@pytest.fixture
def slow(serve):
    """A workspace in which provisioning takes 60 seconds, three of them real."""
    return serve("--quirk", "provisioning=60s")


YAML = """
Schedule:
    description: From a file
    recurrence:
        frequency: Week
        interval: 1
        start_time: 2030-06-07T10:50:00
        time_zone: Korea Standard Time
        hours: [1]
        minutes: [0]
        time_of_day: null
        week_days: [Friday]
    pipeline_parameters: {'input_string': '1'}
    wait_for_provisioning: True
    wait_timeout: 3600
    datastore_name: ~
    polling_interval: ~
    data_path_parameter_name: ~
    continue_on_step_failure: True
    path_on_datastore: ~
"""


@examines("Schedule.load_yaml", "Schedule.create")
def test_a_schedule_from_a_file(workspace, tmp_path):
    (tmp_path / "schedule.yml").write_text(YAML)
    read = Schedule.load_yaml(workspace, str(tmp_path / "schedule.yml"))
    names = ("recurrence", "description", "pipeline_parameters", "wait_for_provisioning", "continue_on_step_failure")
    made = create(workspace, **{name: read.get(name) for name in names})
    again = Schedule.get(workspace, id=made.id)
    assert (again.description, again.continue_on_step_failure) == ("From a file", True)
    assert facts(again.recurrence) == {
        "frequency": "Week",
        "interval": 1,
        "start_time": "2030-06-07T10:50:00",
        "time_zone": TimeZone.KoreaStandardTime,
        "hours": [1],
        "minutes": [0],
        "week_days": ["Friday"],
    }


@examines("Schedule.load_yaml", "Schedule.create")
def test_a_datastore_schedule_from_a_file(workspace, tmp_path):
    text = YAML.replace("datastore_name: ~", "datastore_name: workspaceblobstore")
    text = text[: text.index("    recurrence:")] + "    recurrence: ~\n" + text[text.index("    pipeline_parameters") :]
    (tmp_path / "schedule.yml").write_text(text)
    read = Schedule.load_yaml(workspace, str(tmp_path / "schedule.yml"))
    made = create(workspace, datastore=read["datastore_name"])
    assert Schedule.get(workspace, id=made.id).datastore_name == "workspaceblobstore"
