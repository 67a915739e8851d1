"""Blob sensors of a real Airflow, killed with SIGKILL between commit and result: the retry hands on the same batch."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import signal
import sqlite3
from functools import partial
from pathlib import Path

import pytest
from local_airflow import AIRFLOW_3, LocalAirflow
from processes import Guard, ServiceError
from support.airflow.killing import at_once
from support.services.folder import ContainerServer
from task_instances import TaskInstances

DAGS = Path(__file__).parent / "sensor_dags"
PATIENCE = 240
SETTINGS = {
    "api": {"maximum_page_limit": 1000},
    "core": {"parallelism": 12},
    # Heartbeats and what follows from missing ones, in seconds where they take minutes otherwise.
    "scheduler": {
        "job_heartbeat_sec": 2,
        "scheduler_heartbeat_sec": 2,
        "task_instance_heartbeat_timeout": 20,
        "task_instance_heartbeat_timeout_detection_interval": 3,
        "local_task_job_heartbeat_sec": 2,
        "scheduler_zombie_task_threshold": 40,
        "zombie_detection_interval": 10,
    },
    "triggerer": {"job_heartbeat_sec": 2},
}


class Watched:
    """A real Airflow whose sensors watch folders of one container."""

    def __init__(self, airflow, container, committed):
        self.airflow = airflow
        self.tasks = TaskInstances(airflow)
        self._container = container
        self._committed = committed

    def wait(self, condition, what):
        return self.airflow.wait(condition, what, timeout=PATIENCE)

    def write(self, dag_id, *names):
        """Write blobs into a DAG's folder; their paths and ETags."""
        return sorted((f"{dag_id}/{name}", self._container.write(f"{dag_id}/{name}")) for name in names)

    def record(self, dag_id):
        """What is stored of a DAG's folder."""
        with contextlib.closing(sqlite3.connect(self.airflow.database, timeout=30)) as database:
            query = "SELECT val FROM variable WHERE key LIKE ?"
            found = database.execute(query, [f"azureml_cursor_{dag_id}_%"]).fetchall()
        return json.loads(found[0][0]) if found else None

    def state(self, dag_id, run_id):
        return self.tasks.read().get((dag_id, run_id, "watch", -1), {}).get("state")

    def has_committed(self, dag_id):
        return Path(self._committed, dag_id).exists()

    def result(self, dag_id, run_id):
        """What a sensor returned: paths and ETags; None while there is nothing."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/watch/xcomEntries/return_value"
        try:
            value = self.airflow.get(path)["value"]
        except ServiceError:
            return None
        changes = value if AIRFLOW_3 and not isinstance(value, str) else ast.literal_eval(value)
        return sorted((change["path"], change["etag"]) for change in changes)

    def kill(self, dag_id, run_id, victim):
        """Kill -9 the task's process, and its supervisor too."""
        task, supervisor = self.wait(lambda: self.tasks.processes(dag_id, run_id, "watch"), "it has a process")
        for pid in [supervisor, task] if victim == "both" else [task]:
            os.kill(pid, signal.SIGKILL)


def script(watched, dag_id, victim):
    """One sensor's life: it looks, waits, takes a batch, is killed, and is tried again; then the next run."""
    watched.tasks.trigger(dag_id, "first", {})
    watched.wait(lambda: watched.record(dag_id), f"{dag_id} has looked a first time")
    batch = watched.write(dag_id, "a.csv", "b.csv")
    watched.wait(lambda: watched.has_committed(dag_id), f"{dag_id} has committed")
    record = watched.record(dag_id)
    assert sorted((change["path"], change["etag"]) for change in record["batch"]) == batch
    assert watched.result(dag_id, "first") is None
    watched.kill(dag_id, "first", victim)
    new = watched.write(dag_id, "c.csv")
    watched.wait(lambda: watched.state(dag_id, "first") == "success", f"{dag_id} is tried again and succeeds")
    assert watched.result(dag_id, "first") == batch
    watched.tasks.trigger(dag_id, "second", {})
    watched.wait(lambda: watched.state(dag_id, "second") == "success", f"the next run of {dag_id} succeeds")
    assert watched.result(dag_id, "second") == new


SCRIPTS = {f"{mode}_{victim}": victim for mode in ("poke", "reschedule", "deferrable") for victim in ("task", "both")}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory, request):
    """Each sensor's outcome; they live at the same time, as each waits much and does little."""
    chosen = {item.callspec.params["name"] for item in request.session.items if item.module is request.module}
    extra = {"subscription_id": "s", "resource_group": "g", "workspace_name": "w", "region": "westeurope"}
    with contextlib.ExitStack() as resources:
        server = resources.enter_context(ContainerServer())
        connection = {
            "conn_type": "azureml",
            "password": "static-token",
            "extra": extra | {"auth_method": "static_token", "blob_endpoint": server.url},
        }
        committed = tmp_path_factory.mktemp("committed")
        airflow = resources.enter_context(
            LocalAirflow(
                resources.enter_context(Guard()),
                tmp_path_factory.mktemp("airflow"),
                dags=DAGS,
                connections={"azureml_default": connection},
                report=lambda what: None,
                settings=SETTINGS,
                serve_tasks_apart=True,
                variables={"SENSORS_CONTAINER": f"{server.url}/landing", "SENSORS_COMMITTED": str(committed)},
            )
        )
        watched = Watched(airflow, server.container("landing"), committed)
        for dag_id in chosen:
            airflow.wait(partial(is_loaded, airflow, dag_id), f"the DAG {dag_id} is loaded", timeout=PATIENCE)
            airflow.unpause(dag_id)
        yield at_once({name: partial(script, watched, name, SCRIPTS[name]) for name in chosen})


def is_loaded(airflow, dag_id):
    try:
        return airflow.get(f"/dags/{dag_id}")["dag_id"] == dag_id
    except ServiceError:
        return False


@pytest.mark.parametrize("name", SCRIPTS)
def test_killed_between_commit_and_result(outcomes, name):
    outcomes[name].result()
