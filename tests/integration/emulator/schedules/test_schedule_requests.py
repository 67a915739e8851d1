"""Schedules over HTTP: operations, updates and refusals."""

from __future__ import annotations

import httpx
import pytest
from support.services.emulated_schedules import (
    ENDPOINT,
    EVERY_QUARTER,
    FILES,
    INFO,
    MISSING,
    RETIRED,
    RUNS,
    SCHEDULES,
    SCORE,
    STORE,
    TYPED,
    WORK,
    body,
    create,
    described,
    disable,
    put,
    quirk,
    refused,
    runs,
)
from support.services.workspace_api import PIPELINES

from aml_provider.emulator.server import EmulatorServer


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

    def test_keys_in_any_case_and_numeric_enumerations(self, api):
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
    def test_unknown_ids_are_a_404(self, api, path):
        reply = api.get(path)
        assert (reply.status_code, reply.json()["Error"]["InnerError"]["Code"]) == (404, "NotFound")

    def test_an_update_of_an_unknown_schedule_is_a_404(self, api):
        assert api.put(f"{SCHEDULES}/{MISSING}", json=body()).status_code == 404

    def test_schedules_cannot_be_deleted(self, api):
        assert api.delete(f"{SCHEDULES}/{create(api)['Id']}").status_code == 501

    @quirk("int_enums")
    def test_enumerations_as_numbers(self, api):
        week = {"Frequency": "Week", "Interval": 1, "Schedule": {"WeekDays": ["Friday"]}}
        entity = create(api, Recurrence=week)
        assert (entity["ScheduleType"], entity["EntityStatus"], entity["ProvisioningStatus"]) == (0, 0, 0)
        assert entity["Recurrence"] == {"Frequency": 1, "Interval": 1, "Schedule": {"WeekDays": [4]}}
        # Microsoft's SDK reads numbers as texts and sends those back.
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
            ({"ScheduleType": "1"}, "does not fit"),
            ({"ScheduleType": "2"}, "not a ScheduleType"),
            ({"Recurrence": {"Interval": 1}}, "Frequency"),
            ({"Recurrence": {"Frequency": "Day"}}, "Interval"),
            ({"Recurrence": {"Frequency": "Minute", "Interval": 1, "Schedule": {"Hours": [1]}}}, "Day or Week"),
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
    def test_invalid_creations(self, api, values, pattern):
        refused(api.post(f"{SCHEDULES}/Create", json=body(**values)), pattern)
        assert api.get(SCHEDULES).json() == []

    def test_a_file_share_cannot_trigger(self):
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
    def test_invalid_updates(self, api, changes, pattern):
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
    def test_with_the_quirk_it_can_be_disabled_and_nothing_starts(self, api, emulator):
        entity = create(api)
        assert api.put(f"{PIPELINES}/Pipelines/{WORK}/status", json="Disabled").status_code == 200
        emulator.clock.advance(3600)
        assert len(runs(api, entity)) == 1
        assert "is Disabled" in described(api, entity)["last_error"]


class TestUpdate:
    def test_an_update_changes_everything_that_can_change(self, api):
        entity = create(api, PipelineSubmissionInfo={**INFO, "tags": {"a": "b"}, "RunSource": "me"})
        info = {"ExperimentName": "other", "Description": "new"}
        recurrence = {"Frequency": "Hour", "Interval": 2}
        after = put(api, entity, Name="n", PipelineSubmissionInfo=info, Recurrence=recurrence)
        assert (after["Name"], after["Recurrence"]) == ("n", recurrence)
        kept = after["PipelineSubmissionInfo"]
        assert (kept["ExperimentName"], kept["Description"]) == ("other", "new")
        # Fields that were not sent are empty.
        assert not kept.keys() & {"tags", "RunSource"}

    def test_read_only_fields_are_ignored(self, api, emulator):
        entity = create(api)
        emulator.clock.advance(1)
        nonsense = {"Id": MISSING, "Etag": "x", "CreatedDate": "never", "LastModifiedDate": "never"}
        whole = {**entity, **nonsense, "ProvisioningStatus": "Failed"}
        after = api.put(f"{SCHEDULES}/{entity['Id']}", json=whole).json()
        assert after["Id"] == entity["Id"]
        assert after["CreatedDate"] == entity["CreatedDate"] < after["LastModifiedDate"]
        assert after["ProvisioningStatus"] == "Completed"
        assert after["Etag"] != entity["Etag"]

    def test_repeating_an_update_changes_nothing(self, api, emulator):
        entity = create(api)
        emulator.clock.advance(60)
        once = disable(api, entity)
        assert disable(api, entity) == once
        assert len(runs(api, entity)) == 1
