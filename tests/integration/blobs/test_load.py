"""The storm's checks of its blobs and schedules: writer and workspace are real, Airflow's answers are scripted."""

from __future__ import annotations

import json

import httpx
import pytest
from chaos.blob_load import FOLDERS, JOB_KEEPERS, KEEPERS, READERS, BlobLoad
from chaos.writer import SCALES, Scale
from processes import ServiceError
from support.oracles.promises import Act, Task
from support.services.recorded_workspace import TOKEN, RecordedWorkspace

ROOT = "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w"
ENDED = "2026-11-22T12:00:00+00:00"


class Airflow:
    """Answers as Airflow's REST API does.

    Attributes:
        tasks: The states of tasks, by DAG and DAG run.
        active: The active DAG runs of each DAG.
        results: What takers returned, by DAG run.
    """

    def __init__(self):
        self.tasks = {}
        self.active = {}
        self.results = {}
        self.paused = {}

    def get(self, path, **query):
        parts = path.split("/")
        dag_id = parts[2]
        if path.endswith("/return_value"):
            if parts[4] not in self.results:
                raise ServiceError(f"GET {path}: 404 no such XCom", None)
            return {"value": self.results[parts[4]]}
        if path.endswith("/taskInstances"):
            found = [
                {"dag_run_id": run_id, "task_id": task_id, "state": state, "end_date": ENDED}
                for (dag, run_id), states in self.tasks.items()
                for task_id, state in states.items()
                if dag == dag_id
            ]
            return {"task_instances": found[query["offset"] :][: query["limit"]], "total_entries": len(found)}
        assert query["state"] == ["queued", "running"]
        found = [{"dag_run_id": run_id} for run_id in self.active.get(dag_id, ())]
        return {"dag_runs": found, "total_entries": len(found)}

    def patch(self, path, body):
        self.paused[path.split("/")[2]] = body["is_paused"]


class Load(BlobLoad):
    """The load, and consumers whose answers are scripted."""

    def versions(self, reader):
        return [
            [version.path, version.etag]
            for version in self._writer.versions
            if reader.wants(version.path) and version.gone == float("inf")
        ]

    def hand_over(self, reader, run_id, versions):
        batch = json.dumps({"an event": versions} if reader.by_events else versions)
        parameters = {
            "reader": reader.name,
            "consumer": run_id,
            "events" if reader.by_events else "versions": batch,
        }
        body = {"ExperimentName": "e", "ParameterAssignments": parameters}
        self.post("PipelineRuns/PipelineSubmit/blobs-take", body)

    def post(self, path, body):
        headers = {"Authorization": f"Bearer {TOKEN}"}
        url = f"{self._workspace.url}/pipelines/v1.0{ROOT}/{path}"
        httpx.post(url, json=body, headers=headers, trust_env=False).raise_for_status()


@pytest.fixture
def load(monkeypatch):
    monkeypatch.setitem(SCALES, "tiny", Scale(60, 1, 0.0))
    seed = {"pipelines": BlobLoad.pipelines(), "datastores": BlobLoad.datastores()}
    with RecordedWorkspace(seed) as workspace, Load(1, "tiny", workspace) as load:
        load.prepare()
        load.start()
        load.stop()
        yield load


@pytest.fixture
def airflow():
    return Airflow()


def promises(load, airflow):
    return [violation.promise for violation in load.violations(airflow)]


def hand_over_all(load, but=None):
    for reader in READERS:
        if reader != but:
            load.hand_over(reader, "r1", load.versions(reader))


def test_a_load_settles_when_all_has_arrived_and_only_sensors_wait(load, airflow):
    assert not load.settled(airflow)
    hand_over_all(load)
    airflow.active = {reader.name: ["r2"] for reader in READERS if not reader.by_events}
    airflow.tasks = {(name, "r2"): {"wait": "deferred", "hand_over": None} for name in airflow.active}
    assert load.settled(airflow)
    assert promises(load, airflow) == []
    assert airflow.paused == dict.fromkeys((*KEEPERS, *JOB_KEEPERS), True)
    airflow.tasks[READERS[0].name, "r2"]["wait"] = "success"
    assert not load.settled(airflow)
    del airflow.active[READERS[0].name]
    airflow.active |= {"schedules_new": ["r1"]}
    assert not load.settled(airflow)
    assert airflow.paused["schedules_new"] is False
    figures = load.figures()
    assert figures["blob versions in watched folders"] >= 60
    assert figures["batches"] == len([reader for reader in READERS if not reader.by_events])


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_a_missing_version_is_lost_and_a_repeated_one_has_two_consumers(load, airflow, reader):
    hand_over_all(load, but=reader)
    first, *rest = load.versions(reader)
    load.hand_over(reader, "r1", rest)
    assert not load.settled(airflow)
    assert promises(load, airflow) == ["no version lost"]
    load.hand_over(reader, "r2", [first, rest[0]])
    assert promises(load, airflow) == ["each version to one consumer"]


def test_the_planned_parameters_count_where_a_task_obtained_no_run(load, airflow):
    reader = READERS[0]
    hand_over_all(load, but=reader)
    for teller, kept in (("failed", True), ("success", True), ("running", False)):
        airflow.tasks = {(reader.name, "r1"): {"wait": "success", "hand_over": teller}}
        airflow.results = {"r1": [{"path": path, "etag": etag} for path, etag in load.versions(reader)]}
        assert (promises(load, airflow) == []) == kept
    # A taker that failed has handed its batch on.
    airflow.tasks = {(reader.name, "r1"): {"wait": "failed", "hand_over": "upstream_failed"}}
    assert set(promises(load, airflow)) == {"no version lost"}


def test_a_clear_of_the_taker_alone_leaves_its_batch_without_a_run(load, airflow):
    reader = READERS[0]
    hand_over_all(load, but=reader)
    first, *rest = load.versions(reader)
    load.hand_over(reader, "r1", rest)
    airflow.tasks = {(reader.name, "r1"): {"wait": "success", "hand_over": "success"}}
    airflow.results = {"r1": [{"path": first[0], "etag": first[1]}]}
    assert promises(load, airflow) == ["no version lost"]
    load.acts.append(Act(0.0, "clear", Task(reader.name, "r1", "wait")))
    assert promises(load, airflow) == []


def test_schedules_are_judged_by_the_last_task_that_owned_them(load, airflow):
    hand_over_all(load)
    airflow.tasks = {("schedules_new", "r1"): {"create": "success", "disable": None}}
    assert promises(load, airflow) == ["each schedule as its task left it"]
    body = {
        "Name": "new-r1",
        "PipelineId": "blobs-scheduled",
        "PipelineSubmissionInfo": {"ExperimentName": "e"},
        "ScheduleType": "Recurrence",
        "Recurrence": {"Frequency": "Hour", "Interval": 1},
    }
    load.post("Schedules/Create", body)
    assert promises(load, airflow) == []
    assert len(load.not_ours()) == load.figures()["runs and jobs by schedules"] == 1
    load.post("Schedules/Create", body)
    assert promises(load, airflow) == ["one schedule of a name"]


def test_its_connection_leads_to_the_workspace_and_to_its_blobs(load):
    ((name, connection),) = load.connections().items()
    assert name == "azureml_blobs"
    assert connection["extra"]["endpoint"] == load._workspace.url
    assert connection["extra"]["blob_endpoint"].startswith("http://127.0.0.1:")
    assert {datastore["container"] for datastore in load.datastores()} == {"landing"}
    assert len(set(FOLDERS)) == len(FOLDERS)
