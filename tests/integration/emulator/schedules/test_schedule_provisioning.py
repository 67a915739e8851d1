"""Provisioning of schedules; schedules in the control API, in a state file and in a seed."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import httpx
from support.services.emulated_schedules import (
    EVERY_QUARTER,
    INFO,
    SCHEDULES,
    STORE,
    create,
    created,
    described,
    disable,
    put,
    quirk,
    runs,
)

from aml_provider.emulator.server import EmulatorServer


class TestProvisioning:
    @quirk("provisioning=5s")
    def test_nothing_fires_during_provisioning(self, api, emulator):
        entity = create(api)
        assert entity["ProvisioningStatus"] == "Provisioning"
        emulator.clock.advance(4)
        assert runs(api, entity) == []
        emulator.clock.advance(1)
        assert len(runs(api, entity)) == 1
        assert api.get(f"{SCHEDULES}/{entity['Id']}").json()["ProvisioningStatus"] == "Completed"
        assert disable(api, entity)["ProvisioningStatus"] == "Provisioning"

    @quirk("provisioning=0.33333333s")
    def test_any_provisioning_time_is_accepted(self, api, emulator):
        entities = []
        for _ in range(20):
            emulator.clock.advance(0.0137)
            entities.append(create(api))
        emulator.clock.advance(1)
        assert [len(runs(api, entity)) for entity in entities] == [1] * 20

    @quirk("provisioning=600s")
    def test_runs_due_during_provisioning_are_missed(self, api, emulator):
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
    def test_provisioning_can_fail(self, api, emulator):
        entity = create(api)
        assert entity["ProvisioningStatus"] == "Provisioning"
        emulator.clock.advance(3600)
        assert api.get(f"{SCHEDULES}/{entity['Id']}").json()["ProvisioningStatus"] == "Failed"
        assert runs(api, entity) == []
        assert described(api, entity)["provisioning_error"] == "no storage account"


class TestAround:
    def test_the_control_api_lists_the_next_instants(self, api, emulator):
        entity = create(api, Recurrence={**EVERY_QUARTER, "StartTime": "2100-01-01T00:00:00"})
        found = described(api, entity, count=2)
        assert found["next_fires"] == ["2100-01-01T00:00:00.0000000Z", "2100-01-01T00:15:00.0000000Z"]
        assert (found["next_polls"], found["last_fired"], found["runs"]) == ([], None, [])
        assert found["submission"]["experiment"] == "exp"
        assert api.get("/_emulator/schedules?count=x").status_code == 400

    def test_reset_removes_schedules(self, api):
        create(api)
        api.post("/_emulator/reset")
        assert api.get(SCHEDULES).json() == []

    def test_schedules_survive_in_a_file_and_miss_runs_meanwhile(self, tmp_path):
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
            # Its blobs could not be listed, so it has polled again at the start.
            assert found[1].pop("last_polled") > expected[1].pop("last_polled")
            assert found == expected
            assert api.get(f"{SCHEDULES}/{entity['Id']}").json() == entity
            assert len(runs(api, quarter)) == 2
            emulator.clock.advance(now + 800 - emulator.clock.now())
            assert len(runs(api, quarter)) == 3
        # The emulator was stopped for an hour.
        path.write_text(re.sub(r'^\{"clock": [\d.]+', f'{{"clock": {now + 4400}', path.read_text()))
        with EmulatorServer(state_file=path) as emulator, httpx.Client(base_url=emulator.url) as api:
            api.headers["Authorization"] = "Bearer t"
            emulator.clock.hold()
            assert len(runs(api, quarter)) == 3

    def test_a_schedule_of_a_seed_counts_from_the_start_and_does_not_fire_immediately(self):
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
