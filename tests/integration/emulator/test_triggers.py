"""Datastore triggers: schedules that start runs for added or modified blobs, on real blobs in Azurite."""

from __future__ import annotations

import httpx
import pytest

from aml_provider.emulator.server import EmulatorServer

SCOPE = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.MachineLearningServices/workspaces/ws"
PIPELINES = f"/pipelines/v1.0{SCOPE}"
FOLDER = {"DataStoreName": "store", "PollingInterval": 5, "PathOnDataStore": "in", "DataPathParameterName": "data"}


@pytest.fixture
def seed(stores):
    return {
        "datastores": stores,
        "pipelines": [{"name": "p", "id": "p", "data_paths": [{"name": "data"}, {"name": "more", "optional": True}]}],
    }


@pytest.fixture
def quirks():
    return []


@pytest.fixture
def emulator(azurite, seed, quirks):
    with EmulatorServer(seed, blob_endpoint=azurite.blob_endpoint, quirks=quirks) as running:
        running.clock.hold()
        yield running


@pytest.fixture
def api(emulator):
    with httpx.Client(base_url=emulator.url, headers={"Authorization": "Bearer t"}) as client:
        yield client


def create(api, trigger=FOLDER, **values):
    whole = {"Name": "s", "PipelineId": "p", "PipelineSubmissionInfo": {"ExperimentName": "e"}, "ScheduleType": "1"}
    reply = api.post(f"{PIPELINES}/Schedules/Create", json={**whole, "DataStoreTriggerInfo": trigger, **values})
    assert reply.status_code == 200, reply.text
    return reply.json()


def put(api, entity, **changes):
    reply = api.put(f"{PIPELINES}/Schedules/{entity['Id']}", json={**entity, **changes})
    assert reply.status_code == 200, reply.text
    return reply.json()


def described(api):
    return api.get("/_emulator/schedules").json()["schedules"][0]


def paths(api):
    """The data paths of the runs, oldest first."""
    found = reversed(api.get("/_emulator/runs").json()["runs"])
    return [run["data_paths"].get("data", {}).get("path") for run in found]


def test_one_run_per_blob_that_is_added_or_modified(api, emulator, container):
    container.upload_blob("in/old.csv", b"1")
    create(api)
    emulator.clock.advance(600)
    # Existing blobs do not count.
    assert paths(api) == []
    container.upload_blob("in/b.csv", b"1")
    container.upload_blob("in/a.csv", b"1")
    emulator.clock.advance(299)
    assert paths(api) == []
    emulator.clock.advance(1)
    assert paths(api) == ["in/a.csv", "in/b.csv"]
    container.upload_blob("in/old.csv", b"2", overwrite=True)
    emulator.clock.advance(300)
    assert paths(api)[2:] == ["in/old.csv"]
    container.delete_blob("in/a.csv")
    emulator.clock.advance(900)
    assert len(paths(api)) == 3
    container.upload_blob("in/a.csv", b"1")
    emulator.clock.advance(300)
    assert paths(api)[3:] == ["in/a.csv"]


def test_the_fields_of_a_triggered_run(api, emulator, container):
    info = {
        "ExperimentName": "e",
        "DataPathAssignments": {"more": {"DataStoreName": "store", "RelativePath": "fixed"}},
        "tags": {"a": "b"},
    }
    entity = create(api, PipelineSubmissionInfo=info)
    container.upload_blob("in/a.csv", b"1")
    begin = emulator.clock.now()
    emulator.clock.advance(1000)
    (run,) = api.get("/_emulator/runs").json()["runs"]
    assert run["data_paths"] == {
        "more": {"datastore": "store", "path": "fixed"},
        "data": {"datastore": "store", "path": "in/a.csv"},
    }
    assert (run["schedule_id"], run["run_type"], run["tags"]["a"]) == (entity["Id"], "Schedule", "b")
    reply = api.get(f"{PIPELINES}/PipelineRuns/Schedule/{entity['Id']}/Last").json()
    assert (reply["Id"], reply["RunType"]) == (run["id"], "Schedule")
    assert emulator.state.runs[run["id"]].created - begin == pytest.approx(300, abs=0.01)


@pytest.mark.parametrize(
    ("path", "expected"),
    [("in", ["in/a.csv"]), ("/in/", ["in/a.csv"]), (None, ["root.csv"]), ("in/deeper", ["in/deeper/c.csv"])],
)
def test_only_blobs_directly_in_the_folder_count(api, emulator, container, path, expected):
    create(api, {**FOLDER, "PathOnDataStore": path})
    for name in ("root.csv", "in/a.csv", "in/deeper/c.csv", "incoming/d.csv"):
        container.upload_blob(name, b"1")
    emulator.clock.advance(300)
    assert paths(api) == expected


def test_without_a_parameter_the_run_gets_no_path(api, emulator, container, seed):
    info = {"ExperimentName": "e", "DataPathAssignments": {"data": {"DataStoreName": "store", "RelativePath": "x"}}}
    create(api, {"DataStoreName": "store"}, PipelineSubmissionInfo=info)
    container.upload_blob("a.csv", b"1")
    emulator.clock.advance(300)
    assert paths(api) == ["x"]


@pytest.mark.parametrize("quirks", [["one_run_per_poll"]])
def test_one_run_per_poll_with_the_quirk(api, emulator, container, quirks):
    create(api)
    container.upload_blob("in/a.csv", b"1")
    container.upload_blob("in/b.csv", b"1")
    emulator.clock.advance(300)
    assert paths(api) == ["in"]


def test_an_enabled_trigger_catches_up(api, emulator, container):
    entity = create(api)
    put(api, entity, EntityStatus="Disabled")
    assert described(api)["next_polls"] == []
    container.upload_blob("in/a.csv", b"1")
    emulator.clock.advance(3600)
    assert paths(api) == []
    put(api, entity, EntityStatus="Active")
    emulator.clock.advance(300)
    assert paths(api) == ["in/a.csv"]


def test_existing_blobs_of_another_folder_do_not_count(api, emulator, container):
    entity = create(api)
    container.upload_blob("other/old.csv", b"1")
    container.upload_blob("in/a.csv", b"1")
    put(api, entity, DataStoreTriggerInfo={**FOLDER, "PathOnDataStore": "other"})
    emulator.clock.advance(300)
    assert paths(api) == []
    container.upload_blob("other/new.csv", b"1")
    emulator.clock.advance(300)
    assert paths(api) == ["other/new.csv"]


def test_existing_blobs_do_not_count_for_a_seed(azurite, container, seed):
    container.upload_blob("in/old.csv", b"1")
    trigger = {"datastore": "store", "path": "in", "polling_interval": 1, "data_path_parameter": "data"}
    seed["schedules"] = [{"name": "s", "pipeline_id": "p", "submission": {"experiment": "e"}, "trigger": trigger}]
    with (
        EmulatorServer(seed, blob_endpoint=azurite.blob_endpoint) as emulator,
        httpx.Client(base_url=emulator.url) as api,
    ):
        emulator.clock.hold()
        container.upload_blob("in/new.csv", b"1")
        emulator.clock.advance(61)
        assert paths(api) == ["in/new.csv"]
        api.post("/_emulator/reset")
        emulator.clock.hold()
        assert set(described(api)["seen"]) == {"in/old.csv", "in/new.csv"}
        emulator.clock.advance(61)
        assert paths(api) == []


def test_seen_blobs_survive_in_a_file(azurite, container, seed, tmp_path):
    options = {"blob_endpoint": azurite.blob_endpoint, "state_file": tmp_path / "state.json"}
    with EmulatorServer(seed, **options) as emulator, httpx.Client(base_url=emulator.url) as api:
        api.headers["Authorization"] = "Bearer t"
        emulator.clock.hold()
        container.upload_blob("in/a.csv", b"1")
        create(api)
    container.upload_blob("in/b.csv", b"1")
    with EmulatorServer(**options) as emulator, httpx.Client(base_url=emulator.url) as api:
        emulator.clock.hold()
        emulator.clock.advance(300)
        assert paths(api) == ["in/b.csv"]


def test_a_container_created_later(api, emulator, azurite, stores):
    create(api, {**FOLDER, "DataStoreName": "absent"})
    made = azurite.container(stores[1]["container"])
    made.upload_blob("in/a.csv", b"1")
    emulator.clock.advance(300)
    assert paths(api) == ["in/a.csv"]


@pytest.mark.parametrize(
    ("endpoint", "message"), [(None, "--blob-endpoint"), ("http://127.0.0.1:9/devstoreaccount1", "Error")]
)
def test_without_a_blob_service_nothing_starts_and_last_error_says_why(seed, endpoint, message):
    with (
        EmulatorServer(seed, blob_endpoint=endpoint) as emulator,
        httpx.Client(base_url=emulator.url, headers={"Authorization": "Bearer t"}) as api,
    ):
        emulator.clock.hold()
        create(api)
        assert message in described(api)["last_error"]
        emulator.clock.advance(300)
        assert paths(api) == []
        assert message in described(api)["last_error"]
