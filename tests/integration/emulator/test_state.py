"""A workspace with a state file answers the same after a restart, after any history of operations."""

from __future__ import annotations

import random
import re

import httpx
import pytest
from support.drivers.driving import DATASTORES, HISTORY, PIPELINES

from aml_provider.emulator.server import EmulatorServer

SEED = {
    "datastores": [{"name": "store", "account_name": "a", "account_key": "a2V5", "container": "c"}],
    "pipelines": [
        {
            "name": name,
            "id": name,
            "parameters": [{"name": "label", "default": "x"}],
            "steps": [{"name": "first", "run_seconds": 20}, {"name": "second", "run_seconds": 40, **more}],
        }
        for name, more in (("good", {}), ("bad", {"fails": "no luck", "log": "trying"}))
    ],
    "endpoints": [{"name": "door", "id": "door", "versions": {"0": "good"}}],
}
OPERATIONS = 60
# Values that differ between starts or replies: the port, signatures of links, ids and times of errors.
MADE_UP = re.compile(r"http://127\.0\.0\.1:\d+|sig=[^\"&]*|\"(operation|request|time)\": \"[^\"]+\"")


class History:
    """A random history of operations, determined by its number."""

    def __init__(self, api, number):
        self._api = api
        self._random = random.Random(number)
        self.runs = []
        self.schedules = []
        self.endpoints = ["door"]

    def act(self):
        """Carry out one operation; refused operations are part of the history."""
        getattr(self, self._random.choice([name for name in dir(self) if name.startswith("do_")]))()

    def _pick(self, items):
        return self._random.choice(items) if items else "missing"

    def _run_url(self):
        return f"{HISTORY}/experiments/{self._pick(['e', 'f'])}/runs/{self._pick(self.runs)}"

    def do_submit(self):
        body = {
            "ExperimentName": self._pick(["e", "f"]),
            "ParameterAssignments": {"label": str(self._random.random())},
            "tags": self._pick([{}, {"k": "v", "flag": None}]),
            "Properties": self._pick([{}, {"p": "q"}]),
            "ContinueRunOnStepFailure": self._pick([True, False]),
        }
        target = self._pick(["PipelineSubmit/good", "PipelineSubmit/bad", "PipelineEndpointSubmit/Id/door"])
        parent = {"parentRunId": self._pick(self.runs)} if self._random.random() < 0.2 else {}
        reply = self._api.post(f"{PIPELINES}/PipelineRuns/{target}", json=body, params=parent)
        if reply.status_code == 200:
            self.runs.append(reply.json()["Id"])

    do_submit_again = do_submit

    def do_wait(self):
        self._api.post("/_emulator/clock", json={"advance": self._random.choice([0.1, 5, 30, 700])})

    def do_cancel(self):
        self._api.delete(f"{PIPELINES}/PipelineRuns/{self._pick(self.runs)}/Execution")

    def do_mark(self):
        changes = {
            "tags": {self._pick(["k", "l"]): self._pick(["w", None])},
            "properties": {self._pick(["p", "r"]): "s"},
        }
        self._api.patch(self._run_url(), json=changes)

    def do_rename(self):
        self._api.patch(self._run_url(), json={"displayName": str(self._random.random()), "description": "d"})

    def do_unmark(self):
        self._api.request("DELETE", f"{self._run_url()}/tags", json=["k"])

    def do_switch(self):
        status = self._pick(["Active", "Active", "Disabled"])
        self._api.put(f"{PIPELINES}/Pipelines/{self._pick(['good', 'bad'])}/status", json=status)

    def do_endpoint(self):
        body = {"Name": str(self._random.random()), "PipelineId": "bad", "Description": "d"}
        reply = self._api.post(f"{PIPELINES}/PipelineEndpoints/Create", json=body)
        if reply.status_code == 200:
            self.endpoints.append(reply.json()["Id"])

    def do_version(self):
        entity = self._api.get(f"{PIPELINES}/PipelineEndpoints/Id/{self._pick(self.endpoints)}").json()
        versions = entity["PipelineVersionList"]
        number = str(len(versions))
        entity |= {
            "PipelineVersionList": [*versions, {"Version": number, "PipelineId": self._pick(["good", "bad"])}],
            "DefaultVersion": number,
            "EntityStatus": self._pick(["Active", "Active", "Disabled"]),
        }
        self._api.put(f"{PIPELINES}/PipelineEndpoints/{entity['Id']}", json=entity)

    def do_schedule(self):
        body = {
            "Name": "s",
            "PipelineId": self._pick(["good", "bad"]),
            "PipelineSubmissionInfo": {"ExperimentName": "e", "ParameterAssignments": {"label": "y"}},
            "Recurrence": {"Frequency": self._pick(["Minute", "Hour"]), "Interval": self._random.randint(5, 50)},
            "ScheduleType": "0",
        }
        reply = self._api.post(f"{PIPELINES}/Schedules/Create", json=body)
        if reply.status_code == 200:
            self.schedules.append(reply.json()["Id"])

    def do_reschedule(self):
        entity = self._api.get(f"{PIPELINES}/Schedules/{self._pick(self.schedules)}").json()
        if "Id" in entity:
            entity["EntityStatus"] = self._pick(["Active", "Disabled"])
            self._api.put(f"{PIPELINES}/Schedules/{entity['Id']}", json=entity)

    def do_experiment(self):
        found = self._api.post(f"{HISTORY}/experiments/{self._pick(['e', 'g', 'h'])}").json()
        changes = {"description": "d", "tags": {"k": "v"}, "archive": self._pick([None, True, False])}
        self._api.patch(f"{HISTORY}/experimentids/{found['experimentId']}", json=changes)

    def do_datastore(self):
        section = {"accountName": "a", "containerName": "c", "accountKey": "a2V5"}
        body = {"name": self._pick(["x", "y"]), "dataStoreType": "AzureBlob", "azureStorageSection": section}
        self._api.post(f"{DATASTORES}/datastores", json=body)
        self._api.put(f"{DATASTORES}/default/{self._pick(['store', 'x'])}")


def answers(api, history):
    """The replies of all addresses that show the workspace's state."""
    paths = [
        f"{PIPELINES}/Pipelines?activeOnly=false",
        f"{PIPELINES}/PipelineEndpoints?activeOnly=false",
        f"{PIPELINES}/Schedules?activeOnly=false",
        f"{PIPELINES}/DataTypes",
        *(f"{PIPELINES}/PipelineRuns/Pipeline/{name}" for name in ("good", "bad")),
        *(f"{PIPELINES}/PipelineRuns/Schedule/{schedule_id}" for schedule_id in history.schedules),
        *(f"{PIPELINES}/PipelineRuns/{run_id}" for run_id in history.runs),
        *(f"{HISTORY}/runs/{run_id}{part}" for run_id in history.runs for part in ("", "/details", "/children")),
        f"{DATASTORES}/datastores",
        f"{DATASTORES}/default",
        "/_emulator/runs",
        "/_emulator/schedules",
    ]
    told = {path: api.get(path) for path in paths}
    told["experiments"] = api.post(f"{HISTORY}/experiments:query", json={"viewType": "All"})
    told["runs"] = api.post(f"{HISTORY}/experiments/e/runs:query", json={"orderby": "CreatedUtc desc"})
    return {path: (reply.status_code, MADE_UP.sub("", reply.text)) for path, reply in told.items()}


def client_of(emulator):
    return httpx.Client(base_url=emulator.url, headers={"Authorization": "Bearer t"}, timeout=60)


@pytest.mark.parametrize("number", range(8))
def test_a_restart_changes_no_answer(tmp_path, number):
    path = tmp_path / "state.json"
    with EmulatorServer(SEED, state_file=path) as first, client_of(first) as api:
        first.clock.hold()
        # A restart continues at real time at the earliest, so move ahead of it.
        first.clock.advance(100_000)
        history = History(api, number)
        for _ in range(OPERATIONS):
            history.act()
        # The file is written at changes, and time alone is not one.
        history.do_submit()
        assert history.runs
        copy = tmp_path / "copy.json"
        copy.write_bytes(path.read_bytes())
        with EmulatorServer(SEED, state_file=copy) as second, client_of(second) as restarted:
            second.clock.hold()
            early, late = sorted((first.clock, second.clock), key=lambda clock: clock.now())
            if early.now() < late.now():
                early.advance(late.now() - early.now())
            assert answers(restarted, history) == answers(api, history)
