"""Schedules over HTTP: operations, refusals, and when they fire on a clock that is held and moved by hand."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import httpx
import pytest

from aml_provider.emulator.server import EmulatorServer

SCOPE = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.MachineLearningServices/workspaces/ws"
PIPELINES = f"/pipelines/v1.0{SCOPE}"
SCHEDULES, RUNS = f"{PIPELINES}/Schedules", f"{PIPELINES}/PipelineRuns/Schedule"
SCORE, RETIRED, WORK, TYPED = (f"10000000-0000-4000-8000-00000000000{n}" for n in (1, 3, 4, 6))
ENDPOINT = "20000000-0000-4000-8000-000000000001"
MISSING = "00000000-0000-4000-8000-000000000000"
EVERY_QUARTER = {"Frequency": "Minute", "Interval": 15}
INFO = {"ExperimentName": "exp"}
STORE = {"DataStoreName": "workspaceblobstore", "PollingInterval": 5}
FILES = {"name": "files", "type": "AzureFile", "account_name": "a", "container": "c"}


@pytest.fixture
def quirks():
    return []


@pytest.fixture
def emulator(quirks):
    with EmulatorServer(quirks=quirks) as running:
        running.clock.hold()
        yield running


@pytest.fixture
def api(emulator):
    with httpx.Client(base_url=emulator.url, headers={"Authorization": "Bearer t"}) as client:
        yield client


def quirk(*texts):
    return pytest.mark.parametrize("quirks", [list(texts)], ids=[" ".join(texts)])


def body(**values):
    whole = {"Name": "s", "PipelineId": WORK, "PipelineSubmissionInfo": INFO, "Recurrence": EVERY_QUARTER, **values}
    return {name: value for name, value in whole.items() if value is not None}


def create(api, **values):
    reply = api.post(f"{SCHEDULES}/Create", json=body(**values))
    assert reply.status_code == 200, reply.text
    return reply.json()


def put(api, entity, **changes):
    # Like Microsoft's SDK: the whole entity, without what is null.
    whole = {name: value for name, value in {**entity, **changes}.items() if value is not None}
    reply = api.put(f"{SCHEDULES}/{entity['Id']}", json=whole)
    assert reply.status_code == 200, reply.text
    return reply.json()


def disable(api, entity):
    return put(api, entity, EntityStatus="Disabled")


def enable(api, entity):
    return put(api, entity, EntityStatus="Active")


def runs(api, entity):
    return api.get(f"{RUNS}/{entity['Id']}").json()


def created(api, entity):
    """When the runs of a schedule were created, oldest first."""
    times = [run["Status"]["CreationTime"] for run in reversed(runs(api, entity))]
    return [datetime.fromisoformat(time[:26]).replace(tzinfo=UTC).timestamp() for time in times]


def described(api, entity, count=5):
    found = api.get("/_emulator/schedules", params={"count": count}).json()["schedules"]
    return next(item for item in found if item["id"] == entity["Id"])


def refused(reply, pattern):
    assert reply.status_code == 400, reply.text
    assert re.search(pattern, reply.json()["Error"]["Message"])


class TestOperations:
    def test_create_and_get(self, api):
        entity = create(api, ScheduleType="0", PipelineSubmissionInfo={**INFO, "Description": "d", "tags": {"a": "b"}})
        assert entity["ScheduleType"] == "Recurrence"
        assert (entity["EntityStatus"], entity["ProvisioningStatus"]) == ("Active", "Completed")
        assert (entity["PipelineEndpointId"], entity["DataStoreTriggerInfo"]) == (None, None)
        assert entity["Recurrence"] == EVERY_QUARTER
        info = entity["PipelineSubmissionInfo"]
        assert (info["RunType"], info["ScheduleId"]) == ("Schedule", entity["Id"])
        assert (info["Description"], info["tags"]) == ("d", {"a": "b"})
        assert api.get(f"{SCHEDULES}/{entity['Id']}").json() == entity

    @pytest.mark.parametrize("kind", ["0", 0, "Recurrence", None])
    def test_a_recurrence_is_of_type_0(self, api, kind):
        assert create(api, ScheduleType=kind)["ScheduleType"] == "Recurrence"

    @pytest.mark.parametrize("kind", ["1", 1, "DataStore", None])
    def test_a_datastore_trigger_is_of_type_1(self, api, kind):
        entity = create(api, ScheduleType=kind, Recurrence=None, DataStoreTriggerInfo=STORE)
        assert (entity["ScheduleType"], entity["Recurrence"]) == ("DataStore", None)
        assert entity["DataStoreTriggerInfo"] == STORE

    def test_keys_in_any_case_and_old_numbers(self, api):
        recurrence = {"frequency": 1, "interval": 2, "schedule": {"weekDays": [0, 4], "hours": [9]}}
        whole = {"name": "s", "pipelineId": WORK, "pipelineSubmissionInfo": INFO, "recurrence": recurrence}
        reply = api.post(f"{SCHEDULES}/Create", json=whole)
        assert reply.json()["Recurrence"] == {
            "Frequency": "Week",
            "Interval": 2,
            "Schedule": {"Hours": [9], "WeekDays": ["Monday", "Friday"]},
        }

    def test_lists(self, api):
        first, second = create(api, Name="first"), create(api, Name="second")
        other = create(api, Name="other", PipelineId=None, PipelineEndpointId=ENDPOINT)
        disable(api, first)

        def names(path):
            return [item["Name"] for item in api.get(f"{SCHEDULES}{path}").json()]

        assert names("?activeOnly=true") == ["second", "other"]
        assert names("?activeOnly=false") == names("") == ["first", "second", "other"]
        assert names(f"/Pipeline/{WORK}") == ["first", "second"]
        assert names(f"/Pipeline/{SCORE}") == []
        assert names(f"/PipelineEndpoint/{ENDPOINT}") == ["other"]
        assert second["Id"] != other["Id"]

    @pytest.mark.parametrize(
        "path",
        [
            f"{SCHEDULES}/{MISSING}",
            f"{SCHEDULES}/Pipeline/{MISSING}",
            f"{SCHEDULES}/PipelineEndpoint/{MISSING}",
            f"{RUNS}/{MISSING}",
            f"{RUNS}/{MISSING}/Last",
        ],
    )
    def test_what_is_not_there(self, api, path):
        reply = api.get(path)
        assert (reply.status_code, reply.json()["Error"]["InnerError"]["Code"]) == (404, "NotFound")

    def test_an_update_of_what_is_not_there(self, api):
        assert api.put(f"{SCHEDULES}/{MISSING}", json=body()).status_code == 404

    def test_there_is_no_deleting(self, api):
        assert api.delete(f"{SCHEDULES}/{create(api)['Id']}").status_code == 501

    @quirk("int_enums")
    def test_numbers_for_names(self, api):
        week = {"Frequency": "Week", "Interval": 1, "Schedule": {"WeekDays": ["Friday"]}}
        entity = create(api, Recurrence=week)
        assert (entity["ScheduleType"], entity["EntityStatus"], entity["ProvisioningStatus"]) == (0, 0, 0)
        assert entity["Recurrence"] == {"Frequency": 1, "Interval": 1, "Schedule": {"WeekDays": [4]}}
        # Microsoft's SDK reads numbers as texts and sends them back so.
        texts = {"Frequency": "1", "Interval": 1, "Schedule": {"WeekDays": ["4"]}}
        assert put(api, entity, Recurrence=texts, ScheduleType="0", EntityStatus="0") == entity


class TestRefusals:
    @pytest.mark.parametrize(
        ("values", "pattern"),
        [
            ({"Name": None}, "Name is required"),
            ({"PipelineId": None}, "PipelineId and PipelineEndpointId"),
            ({"PipelineEndpointId": ENDPOINT}, "PipelineId and PipelineEndpointId"),
            ({"PipelineId": MISSING}, "was not found"),
            ({"PipelineId": None, "PipelineEndpointId": MISSING}, "was not found"),
            ({"PipelineId": RETIRED}, "is Disabled"),
            ({"PipelineSubmissionInfo": None}, "JSON object"),
            ({"PipelineSubmissionInfo": {}}, "ExperimentName"),
            ({"PipelineSubmissionInfo": {"ExperimentName": "no blanks"}}, "experiment name"),
            ({"PipelineSubmissionInfo": {**INFO, "ParameterAssignments": {"x": "1"}}}, "no parameter x"),
            ({"PipelineId": TYPED}, "count has no value"),
            ({"Recurrence": None}, "Recurrence and DataStoreTriggerInfo"),
            (
                {"Recurrence": None, "ScheduleType": "1", "DataStoreTriggerInfo": {"PollingInterval": 5}},
                "DataStoreName",
            ),
            ({"DataStoreTriggerInfo": STORE}, "Recurrence and DataStoreTriggerInfo"),
            ({"ScheduleType": "1"}, "does not go with"),
            ({"ScheduleType": "2"}, "no ScheduleType"),
            ({"Recurrence": {"Interval": 1}}, "Frequency"),
            ({"Recurrence": {"Frequency": "Day"}}, "Interval"),
            ({"Recurrence": {"Frequency": "Minute", "Interval": 1, "Schedule": {"Hours": [1]}}}, "Day and Week"),
            ({"Recurrence": {"Frequency": "Day", "Interval": 1, "Schedule": {"Hours": 1}}}, "array"),
            ({"Recurrence": {"Frequency": "Day", "Interval": 1, "TimeZone": "Asia/Seoul"}}, "time zone"),
            ({"Recurrence": {"Frequency": "Day", "Interval": 1, "StartTime": "tomorrow"}}, "StartTime"),
            ({"Recurrence": None, "DataStoreTriggerInfo": {"DataStoreName": "missing"}}, "missing was not found"),
            ({"Recurrence": None, "DataStoreTriggerInfo": {**STORE, "PollingInterval": 0}}, "PollingInterval"),
            (
                {"Recurrence": None, "DataStoreTriggerInfo": {**STORE, "DataPathParameterName": "x"}},
                "no data path parameter x",
            ),
            ({"EntityStatus": "Deprecated"}, "Active or Disabled"),
            ({"EntityStatus": "Sleeping"}, "EntityStatus"),
        ],
    )
    def test_of_a_creation(self, api, values, pattern):
        refused(api.post(f"{SCHEDULES}/Create", json=body(**values)), pattern)
        assert api.get(SCHEDULES).json() == []

    def test_of_a_file_share(self):
        seed = {"pipelines": [{"name": "p", "id": "p"}], "datastores": [FILES]}
        with EmulatorServer(seed) as emulator:
            whole = body(PipelineId="p", Recurrence=None, DataStoreTriggerInfo={"DataStoreName": "files"})
            headers = {"Authorization": "Bearer t"}
            refused(httpx.post(f"{emulator.url}{SCHEDULES}/Create", json=whole, headers=headers), "only AzureBlob")

    @pytest.mark.parametrize(
        ("changes", "pattern"),
        [
            ({"Recurrence": None, "DataStoreTriggerInfo": STORE, "ScheduleType": "1"}, "cannot be changed"),
            ({"PipelineId": SCORE}, "cannot be changed"),
            ({"EntityStatus": None}, "EntityStatus"),
            ({"Recurrence": {"Frequency": "Day"}}, "Interval"),
            ({"PipelineSubmissionInfo": None}, "JSON object"),
        ],
    )
    def test_of_an_update(self, api, changes, pattern):
        entity = create(api)
        refused(api.put(f"{SCHEDULES}/{entity['Id']}", json={**entity, **changes}), pattern)
        assert api.get(f"{SCHEDULES}/{entity['Id']}").json() == entity

    def test_a_pipeline_with_active_schedules_cannot_be_disabled(self, api):
        entity, status = create(api), f"{PIPELINES}/Pipelines/{WORK}/status"
        refused(api.put(status, json="Disabled"), "active schedules: s")
        assert api.put(status, json="Active").status_code == 200
        disable(api, entity)
        assert api.put(status, json="Disabled").status_code == 200
        refused(api.put(f"{SCHEDULES}/{entity['Id']}", json=entity), "is Disabled")
        assert disable(api, entity)["EntityStatus"] == "Disabled"

    @quirk("disable_with_schedules")
    def test_or_can_and_then_nothing_starts(self, api, emulator):
        entity = create(api)
        assert api.put(f"{PIPELINES}/Pipelines/{WORK}/status", json="Disabled").status_code == 200
        emulator.clock.advance(3600)
        assert len(runs(api, entity)) == 1
        assert "is Disabled" in described(api, entity)["last_error"]


class TestUpdate:
    def test_everything_that_can_change(self, api):
        entity = create(api, PipelineSubmissionInfo={**INFO, "tags": {"a": "b"}, "RunSource": "me"})
        info = {"ExperimentName": "other", "Description": "new"}
        recurrence = {"Frequency": "Hour", "Interval": 2}
        after = put(api, entity, Name="n", PipelineSubmissionInfo=info, Recurrence=recurrence)
        assert (after["Name"], after["Recurrence"]) == ("n", recurrence)
        kept = after["PipelineSubmissionInfo"]
        assert (kept["ExperimentName"], kept["Description"]) == ("other", "new")
        # What is not sent is gone.
        assert not kept.keys() & {"tags", "RunSource"}

    def test_what_can_only_be_read_is_ignored(self, api, emulator):
        entity = create(api)
        emulator.clock.advance(1)
        nonsense = {"Id": MISSING, "Etag": "x", "CreatedDate": "never", "LastModifiedDate": "never"}
        whole = {**entity, **nonsense, "ProvisioningStatus": "Failed"}
        after = api.put(f"{SCHEDULES}/{entity['Id']}", json=whole).json()
        assert after["Id"] == entity["Id"]
        assert after["CreatedDate"] == entity["CreatedDate"] < after["LastModifiedDate"]
        assert after["ProvisioningStatus"] == "Completed"
        assert after["Etag"] != entity["Etag"]

    def test_twice_is_once(self, api, emulator):
        entity = create(api)
        emulator.clock.advance(60)
        once = disable(api, entity)
        assert disable(api, entity) == once
        assert len(runs(api, entity)) == 1


class TestFiring:
    def test_at_once_and_then_at_every_interval(self, api, emulator):
        entity, begin = create(api), emulator.clock.now()
        assert [run["Status"]["StatusCode"] for run in runs(api, entity)] == ["NotStarted"]
        emulator.clock.advance(3600)
        times = created(api, entity)
        assert len(times) == 5
        assert [round(time - times[0], 3) for time in times] == [0, 900, 1800, 2700, 3600]
        assert 0 <= begin - times[0] < 0.001

    def test_what_a_run_is(self, api, emulator):
        info = {
            **INFO,
            "Description": "nightly",
            "ParameterAssignments": {"input_string": "x"},
            "DataPathAssignments": {"input_datapath": {"DataStoreName": "workspaceblobstore", "RelativePath": "in"}},
            "ContinueRunOnStepFailure": True,
            "tags": {"team": "risk"},
            "Properties": {"p": "q"},
        }
        entity = create(api, PipelineId=SCORE, PipelineSubmissionInfo=info)
        (run,) = runs(api, entity)
        assert run == api.get(f"{RUNS}/{entity['Id']}/Last").json()
        assert (run["RunType"], run["RunSource"], run["ScheduleId"]) == ("Schedule", "Unavailable", entity["Id"])
        assert (run["RunHistoryExperimentName"], run["Description"]) == ("exp", "nightly")
        assert (run["PipelineId"], run["ParameterAssignments"]) == (SCORE, {"input_string": "x"})
        assert (run["tags"], run["Properties"]) == ({"team": "risk"}, {"p": "q"})
        emulator.clock.advance(60)
        history = api.get(f"/history/v1.0{SCOPE}/experiments/exp/runs/{run['Id']}").json()
        assert history["status"] == "Completed"
        assert history["tags"]["team"] == "risk"
        properties = history["properties"]
        assert (properties["runType"], properties["runSource"], properties["p"]) == ("Schedule", "Unavailable", "q")
        (full,) = api.get("/_emulator/runs").json()["runs"]
        assert (full["schedule_id"], full["continue_on_step_failure"]) == (entity["Id"], True)
        assert full["data_paths"] == {"input_datapath": {"datastore": "workspaceblobstore", "path": "in"}}
        assert api.get(f"{PIPELINES}/PipelineRuns/Pipeline/{SCORE}").json()[0]["Id"] == run["Id"]

    def test_the_source_is_as_submitted(self, api):
        entity = create(api, PipelineSubmissionInfo={**INFO, "RunSource": "SDK"})
        assert runs(api, entity)[0]["RunSource"] == "SDK"

    def test_the_default_version_of_an_endpoint_as_it_is_then(self, api, emulator):
        entity = create(api, PipelineId=None, PipelineEndpointId=ENDPOINT)
        endpoint = api.get(f"{PIPELINES}/PipelineEndpoints/Id/{ENDPOINT}").json()
        api.put(f"{PIPELINES}/PipelineEndpoints/{ENDPOINT}", json={**endpoint, "DefaultVersion": "0"})
        emulator.clock.advance(900)
        assert [run["PipelineId"][-1] for run in runs(api, entity)] == ["7", "1"]

    def test_an_endpoint_with_another_interface_by_then(self, api, emulator):
        entity = create(api, PipelineId=None, PipelineEndpointId=ENDPOINT)
        endpoint = api.get(f"{PIPELINES}/PipelineEndpoints/Id/{ENDPOINT}").json()
        versions = [*endpoint["PipelineVersionList"], {"Version": "2", "PipelineId": TYPED}]
        changed = {**endpoint, "DefaultVersion": "2", "PipelineVersionList": versions}
        api.put(f"{PIPELINES}/PipelineEndpoints/{ENDPOINT}", json=changed)
        emulator.clock.advance(900)
        assert len(runs(api, entity)) == 1
        assert "count has no value" in described(api, entity)["last_error"]
        refused(api.put(f"{SCHEDULES}/{entity['Id']}", json=entity), "count has no value")
        assert disable(api, entity)["EntityStatus"] == "Disabled"

    def test_before_the_first_run_there_is_no_last(self, api):
        entity = create(api, Recurrence={**EVERY_QUARTER, "StartTime": "2100-01-01T00:00:00"})
        last = api.get(f"{RUNS}/{entity['Id']}/Last")
        assert (last.status_code, last.content) == (204, b"")
        assert runs(api, entity) == []

    @quirk("history_lag=30s")
    def test_lists_find_a_run_late(self, api, emulator):
        entity = create(api)
        assert runs(api, entity) == []
        assert api.get(f"{RUNS}/{entity['Id']}/Last").status_code == 204
        emulator.clock.advance(30)
        assert len(runs(api, entity)) == 1

    def test_a_disabled_one_fires_nothing_and_has_no_backlog(self, api, emulator):
        entity = create(api)
        emulator.clock.advance(60)
        disable(api, entity)
        assert described(api, entity)["next_fires"] == []
        emulator.clock.advance(3000)
        assert len(runs(api, entity)) == 1
        enable(api, entity)
        assert len(runs(api, entity)) == 1
        emulator.clock.advance(840)
        times = created(api, entity)
        # Still counted from the creation.
        assert [round(time - times[0], 3) for time in times] == [0, 3600]

    def test_one_that_is_created_disabled_waits(self, api, emulator):
        entity = create(api, EntityStatus="Disabled")
        emulator.clock.advance(3600)
        assert runs(api, entity) == []
        enable(api, entity)
        assert runs(api, entity) == []
        emulator.clock.advance(900)
        assert len(runs(api, entity)) == 1

    def test_several_fire_in_the_order_of_time(self, api, emulator):
        create(api, Name="ten", Recurrence={"Frequency": "Minute", "Interval": 10})
        create(api, Name="seven", Recurrence={"Frequency": "Minute", "Interval": 7})
        emulator.clock.advance(3600)
        found = [run["created"] for run in api.get("/_emulator/runs").json()["runs"]]
        assert len(found) == 7 + 9
        assert found == sorted(found, reverse=True)

    def test_steps_of_its_runs_run_on_the_way(self, api, emulator):
        create(api, PipelineId=SCORE, Recurrence={"Frequency": "Hour", "Interval": 1})
        emulator.clock.advance(3 * 3600 + 60)
        assert [run["status"] for run in api.get("/_emulator/runs").json()["runs"]] == ["Finished"] * 4
        starts = [run["steps"][0]["started"][14:19] for run in api.get("/_emulator/runs").json()["runs"]]
        assert len(set(starts)) == 1

    def test_real_time_does_it_too(self, api, emulator):
        entity = create(api)
        emulator.clock.set(held=False, speed=3600)
        while len(runs(api, entity)) < 3:
            pass
        emulator.clock.hold()
        times = created(api, entity)
        assert [round(time - times[0], 3) for time in times[:3]] == [0, 900, 1800]

    def test_a_month_of_quarters_is_quick(self, api, emulator):
        entity = create(api)
        emulator.clock.advance(10 * 86400)
        assert len(api.get("/_emulator/runs").json()["runs"]) == 961
        assert len(runs(api, entity)) == 961


HOURLY = {"Frequency": "Hour", "Interval": 1}


class TestFiringAfterAnUpdate:
    def counts(self, api, emulator):
        """The runs after a change of the name, after one of the recurrence, and after enabling."""
        entity = create(api)
        emulator.clock.advance(60)
        entity = put(api, entity, Name="renamed")
        renamed = len(runs(api, entity))
        entity = put(api, entity, Recurrence=HOURLY)
        changed = len(runs(api, entity))
        entity = disable(api, entity)
        disabled = len(runs(api, entity))
        enable(api, entity)
        return renamed, changed, disabled, len(runs(api, entity))

    def test_another_recurrence_fires_at_once(self, api, emulator):
        assert self.counts(api, emulator) == (1, 2, 2, 2)

    @quirk("update_fires=never")
    def test_or_not(self, api, emulator):
        assert self.counts(api, emulator) == (1, 1, 1, 1)

    @quirk("update_fires=always")
    def test_or_every_update_does(self, api, emulator):
        assert self.counts(api, emulator) == (2, 3, 3, 4)

    def test_it_is_counted_from_the_update(self, api, emulator):
        entity = create(api)
        emulator.clock.advance(600)
        put(api, entity, Recurrence=HOURLY)
        emulator.clock.advance(3600)
        times = created(api, entity)
        assert [round(time - times[0]) for time in times] == [0, 600, 4200]

    def test_with_a_start_time_it_does_not_fire_at_once(self, api):
        entity = create(api)
        put(api, entity, Recurrence={**HOURLY, "StartTime": "2020-01-01T00:00:00"})
        assert len(runs(api, entity)) == 1


class TestProvisioning:
    @quirk("provisioning=5s")
    def test_takes_time_and_nothing_fires_before(self, api, emulator):
        entity = create(api)
        assert entity["ProvisioningStatus"] == "Provisioning"
        emulator.clock.advance(4)
        assert runs(api, entity) == []
        emulator.clock.advance(1)
        assert len(runs(api, entity)) == 1
        assert api.get(f"{SCHEDULES}/{entity['Id']}").json()["ProvisioningStatus"] == "Completed"
        assert disable(api, entity)["ProvisioningStatus"] == "Provisioning"

    @quirk("provisioning=0.33333333s")
    def test_may_take_any_time(self, api, emulator):
        entities = []
        for _ in range(20):
            emulator.clock.advance(0.0137)
            entities.append(create(api))
        emulator.clock.advance(1)
        assert [len(runs(api, entity)) for entity in entities] == [1] * 20

    @quirk("provisioning=600s")
    def test_what_falls_into_the_time_of_an_update_is_missed(self, api, emulator):
        entity = create(api)
        emulator.clock.advance(600 + 890)
        entity = put(api, entity, Name="renamed")
        found = described(api, entity)
        assert found["provisioning_status"] == "Provisioning"
        emulator.clock.advance(1800)
        times = created(api, entity)
        assert datetime.fromisoformat(found["next_fires"][0][:26]).replace(tzinfo=UTC).timestamp() == times[1]
        assert [round(time - times[0]) for time in times] == [0, 1800]

    @quirk("provisioning=5s", "provisioning_fails=no storage account")
    def test_may_fail(self, api, emulator):
        entity = create(api)
        assert entity["ProvisioningStatus"] == "Provisioning"
        emulator.clock.advance(3600)
        assert api.get(f"{SCHEDULES}/{entity['Id']}").json()["ProvisioningStatus"] == "Failed"
        assert runs(api, entity) == []
        assert described(api, entity)["provisioning_error"] == "no storage account"


class TestAround:
    def test_the_control_api_tells_what_comes(self, api, emulator):
        entity = create(api, Recurrence={**EVERY_QUARTER, "StartTime": "2100-01-01T00:00:00"})
        found = described(api, entity, count=2)
        assert found["next_fires"] == ["2100-01-01T00:00:00.0000000Z", "2100-01-01T00:15:00.0000000Z"]
        assert (found["next_polls"], found["last_fired"], found["runs"]) == ([], None, [])
        assert found["submission"]["experiment"] == "exp"
        assert api.get("/_emulator/schedules?count=x").status_code == 400

    def test_reset_forgets_them(self, api):
        create(api)
        api.post("/_emulator/reset")
        assert api.get(SCHEDULES).json() == []

    def test_they_survive_in_a_file_and_miss_what_they_miss(self, tmp_path):
        path = tmp_path / "state.json"
        with EmulatorServer(state_file=path) as emulator, httpx.Client(base_url=emulator.url) as api:
            api.headers["Authorization"] = "Bearer t"
            emulator.clock.hold()
            recurrence = {"Frequency": "Week", "Interval": 1, "Schedule": {"Hours": [9], "WeekDays": ["Monday"]}}
            entity = create(api, Recurrence=recurrence, PipelineSubmissionInfo={**INFO, "tags": {"a": None}})
            trigger = create(api, Recurrence=None, DataStoreTriggerInfo=STORE)
            quarter = create(api)
            emulator.clock.advance(1000)
            expected = described(api, entity), described(api, trigger), described(api, quarter)
            now = emulator.clock.now()
        with EmulatorServer(state_file=path) as emulator, httpx.Client(base_url=emulator.url) as api:
            api.headers["Authorization"] = "Bearer t"
            emulator.clock.hold()
            found = described(api, entity), described(api, trigger), described(api, quarter)
            assert found == expected
            assert api.get(f"{SCHEDULES}/{entity['Id']}").json() == entity
            assert len(runs(api, quarter)) == 2
            emulator.clock.advance(now + 800 - emulator.clock.now())
            assert len(runs(api, quarter)) == 3
        # It was off for an hour.
        path.write_text(re.sub(r'^\{"clock": [\d.]+', f'{{"clock": {now + 4400}', path.read_text()))
        with EmulatorServer(state_file=path) as emulator, httpx.Client(base_url=emulator.url) as api:
            api.headers["Authorization"] = "Bearer t"
            emulator.clock.hold()
            assert len(runs(api, quarter)) == 3

    def test_one_of_a_seed_counts_from_the_start_and_does_not_fire_at_once(self):
        schedule = {"name": "s", "pipeline_id": "p", "submission": {"experiment": "e", "parameters": {"x": "1"}}}
        recurrence = {"frequency": "Day", "interval": 1, "hours": [9], "minutes": [0], "time_zone": "UTC"}
        seed = {
            "pipelines": [{"name": "p", "id": "p", "parameters": [{"name": "x"}]}],
            "schedules": [{**schedule, "recurrence": recurrence}],
        }
        with EmulatorServer(seed) as emulator, httpx.Client(base_url=emulator.url) as api:
            emulator.clock.hold()
            emulator.clock.advance(86400)
            (run,) = api.get("/_emulator/runs").json()["runs"]
            assert run["created"][11:] == "09:00:00.0000000Z"
            assert run["parameters"] == {"x": "1"}
