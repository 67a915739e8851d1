"""When schedules fire, on a clock that is held and moved by hand."""

from __future__ import annotations

from support.services.emulated_schedules import (
    ENDPOINT,
    EVERY_QUARTER,
    HOURLY,
    INFO,
    RUNS,
    SCHEDULES,
    SCORE,
    TYPED,
    create,
    created,
    described,
    disable,
    enable,
    put,
    quirk,
    refused,
    runs,
)
from support.services.workspace_api import HISTORY, PIPELINES


class TestFiring:
    def test_it_fires_immediately_and_then_at_every_interval(self, api, emulator):
        entity, begin = create(api), emulator.clock.now()
        assert [run["Status"]["StatusCode"] for run in runs(api, entity)] == ["NotStarted"]
        emulator.clock.advance(3600)
        times = created(api, entity)
        assert len(times) == 5
        assert [round(time - times[0], 3) for time in times] == [0, 900, 1800, 2700, 3600]
        assert 0 <= begin - times[0] < 0.001

    def test_the_fields_of_a_run_of_a_schedule(self, api, emulator):
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
        history = api.get(f"{HISTORY}/experiments/exp/runs/{run['Id']}").json()
        assert history["status"] == "Completed"
        assert history["tags"]["team"] == "risk"
        properties = history["properties"]
        assert (properties["runType"], properties["runSource"], properties["p"]) == ("Schedule", "Unavailable", "q")
        (full,) = api.get("/_emulator/runs").json()["runs"]
        assert (full["schedule_id"], full["continue_on_step_failure"]) == (entity["Id"], True)
        assert full["data_paths"] == {"input_datapath": {"datastore": "workspaceblobstore", "path": "in"}}
        assert api.get(f"{PIPELINES}/PipelineRuns/Pipeline/{SCORE}").json()[0]["Id"] == run["Id"]

    def test_the_run_source_is_that_of_the_submission(self, api):
        entity = create(api, PipelineSubmissionInfo={**INFO, "RunSource": "SDK"})
        assert runs(api, entity)[0]["RunSource"] == "SDK"

    def test_an_endpoints_default_version_counts_when_it_fires(self, api, emulator):
        entity = create(api, PipelineId=None, PipelineEndpointId=ENDPOINT)
        endpoint = api.get(f"{PIPELINES}/PipelineEndpoints/Id/{ENDPOINT}").json()
        api.put(f"{PIPELINES}/PipelineEndpoints/{ENDPOINT}", json={**endpoint, "DefaultVersion": "0"})
        emulator.clock.advance(900)
        assert [run["PipelineId"][-1] for run in runs(api, entity)] == ["7", "1"]

    def test_an_endpoint_whose_interface_has_changed(self, api, emulator):
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

    def test_before_the_first_run_the_last_run_is_empty(self, api):
        entity = create(api, Recurrence={**EVERY_QUARTER, "StartTime": "2100-01-01T00:00:00"})
        last = api.get(f"{RUNS}/{entity['Id']}/Last")
        assert (last.status_code, last.content) == (204, b"")
        assert runs(api, entity) == []

    @quirk("history_lag=30s")
    def test_lists_contain_a_run_after_the_history_lag(self, api, emulator):
        entity = create(api)
        assert runs(api, entity) == []
        assert api.get(f"{RUNS}/{entity['Id']}/Last").status_code == 204
        emulator.clock.advance(30)
        assert len(runs(api, entity)) == 1

    def test_a_disabled_schedule_fires_nothing_and_has_no_backlog(self, api, emulator):
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

    def test_a_schedule_created_disabled_fires_nothing(self, api, emulator):
        entity = create(api, EntityStatus="Disabled")
        emulator.clock.advance(3600)
        assert runs(api, entity) == []
        enable(api, entity)
        assert runs(api, entity) == []
        emulator.clock.advance(900)
        assert len(runs(api, entity)) == 1

    def test_several_schedules_fire_in_order_of_time(self, api, emulator):
        create(api, Name="ten", Recurrence={"Frequency": "Minute", "Interval": 10})
        create(api, Name="seven", Recurrence={"Frequency": "Minute", "Interval": 7})
        emulator.clock.advance(3600)
        found = [run["created"] for run in api.get("/_emulator/runs").json()["runs"]]
        assert len(found) == 7 + 9
        assert found == sorted(found, reverse=True)

    def test_step_functions_of_its_runs_run_during_a_move(self, api, emulator):
        create(api, PipelineId=SCORE, Recurrence={"Frequency": "Hour", "Interval": 1})
        emulator.clock.advance(3 * 3600 + 60)
        assert [run["status"] for run in api.get("/_emulator/runs").json()["runs"]] == ["Finished"] * 4
        starts = [run["steps"][0]["started"][14:19] for run in api.get("/_emulator/runs").json()["runs"]]
        assert len(set(starts)) == 1

    def test_it_fires_in_real_time(self, api, emulator):
        entity = create(api)
        emulator.clock.set(held=False, speed=3600)
        while len(runs(api, entity)) < 3:
            pass
        emulator.clock.hold()
        times = created(api, entity)
        assert [round(time - times[0], 3) for time in times[:3]] == [0, 900, 1800]

    def test_a_month_of_quarter_hours_is_fast(self, api, emulator):
        entity = create(api)
        emulator.clock.advance(10 * 86400)
        assert len(api.get("/_emulator/runs").json()["runs"]) == 961
        assert len(runs(api, entity)) == 961


class TestFiringAfterAnUpdate:
    def counts(self, api, emulator):
        """The runs after a new name, after a new recurrence, and after enabling."""
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

    def test_a_changed_recurrence_fires_immediately(self, api, emulator):
        assert self.counts(api, emulator) == (1, 2, 2, 2)

    @quirk("update_fires=never")
    def test_with_update_fires_never_it_does_not(self, api, emulator):
        assert self.counts(api, emulator) == (1, 1, 1, 1)

    @quirk("update_fires=always")
    def test_with_update_fires_always_every_update_fires(self, api, emulator):
        assert self.counts(api, emulator) == (2, 3, 3, 4)

    def test_times_count_from_the_update(self, api, emulator):
        entity = create(api)
        emulator.clock.advance(600)
        put(api, entity, Recurrence=HOURLY)
        emulator.clock.advance(3600)
        times = created(api, entity)
        assert [round(time - times[0]) for time in times] == [0, 600, 4200]

    def test_with_a_start_time_it_does_not_fire_immediately(self, api):
        entity = create(api)
        put(api, entity, Recurrence={**HOURLY, "StartTime": "2020-01-01T00:00:00"})
        assert len(runs(api, entity)) == 1
