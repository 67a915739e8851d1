"""A whole Airflow of this cell, with a local workspace and a local blob storage."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from azurite import Azurite
from local_airflow import LocalAirflow
from local_workspace import LocalWorkspace
from processes import Guard, ServiceError
from task_instances import TaskInstances
from task_log import tail

DAGS = Path(__file__).parent / "dags"
CONTAINER = "azureml-blobstore-demo"
#: Seconds until something that must happen has happened, on a machine that has much else to do.
PATIENCE = 240
SETTINGS = {
    "azureml": {"deployment_id": "matrix", "lookup_grace": 2, "retry_budget": 1},
    "core": {"test_connection": "Enabled"},
    "scheduler": {"scheduler_heartbeat_sec": 1},
    "triggerer": {"job_heartbeat_sec": 2},
}

# Ends the fixture's processes too when the run is terminated; pytest does so by itself on an interrupt only.
signal.signal(signal.SIGTERM, signal.default_int_handler)


class World:
    """An Airflow with all its components, the workspace that its tasks use, and the storage of that.

    Args:
        airflow: Airflow.
        workspace: The workspace, whose clock may be held.
        container: The container of its datastore.
    """

    def __init__(self, airflow, workspace, container):
        self.airflow = airflow
        self.workspace = workspace
        self.container = container
        self._tasks = TaskInstances(airflow)

    def load(self, dag_id):
        """Wait until a DAG is loaded, and let it run."""
        self.airflow.wait(lambda: self._is_loaded(dag_id), f"the DAG {dag_id} is loaded", timeout=PATIENCE)
        self.airflow.unpause(dag_id)

    def start(self, dag_id):
        """Start a DAG run of the DAG's own name."""
        self.load(dag_id)
        self._tasks.trigger(dag_id, dag_id, {})

    def info(self, dag_id, task_id="task", run_id=None):
        """A task instance, as Airflow returns it."""
        return self._tasks.read().get((dag_id, run_id or dag_id, task_id, -1), {})

    def until(self, dag_id, state, **which):
        """Wait until a task instance has a state, and fail if it ends in another one."""

        def has_it():
            found = self.info(dag_id, **which).get("state")
            if found in {"success", "failed"} and found != state:
                pytest.fail(f"{dag_id} is {found}, not {state}\n{self.logs(dag_id)}")
            return found == state

        self.wait(has_it, f"{dag_id} is {state}", dag_id)

    def wait(self, condition, what, dag_id):
        """Wait until something has happened."""
        try:
            return self.airflow.wait(condition, what, timeout=PATIENCE)
        except ServiceError as error:
            pytest.fail(f"{error}\n{self.logs(dag_id)}\n--- {error.log.name}\n{tail(error.log, 40)}")

    def result(self, dag_id, task_id="task", run_id=None):
        """What a task returned."""
        path = f"/dags/{dag_id}/dagRuns/{run_id or dag_id}/taskInstances/{task_id}/xcomEntries/return_value"
        value = self.airflow.get(path)["value"]
        if not isinstance(value, str):
            return value
        try:
            return ast.literal_eval(value)
        except (SyntaxError, ValueError):
            return value

    def submissions(self, experiment):
        """The requests that submitted a run or a job to an experiment."""
        return [
            request
            for request in self.workspace.requests()
            if ("/PipelineSubmit/" in request["path"] and request["body"].get("ExperimentName") == experiment)
            or (request["method"] == "PUT" and "/jobs/" in request["path"] and _experiment(request) == experiment)
        ]

    def runs(self, experiment):
        """The pipeline runs of an experiment, oldest first."""
        return [run for run in self.workspace.runs() if run["experiment"] == experiment]

    def logs(self, dag_id):
        """The ends of the logs of a DAG's tasks."""
        found = sorted(self.airflow.logs.glob(f"dag_id={dag_id}/**/*.log*"))
        return "\n".join(f"--- {log.relative_to(self.airflow.logs)}\n{tail(log, 30)}" for log in found)

    def command(self, *arguments):
        """The output of one of Airflow's commands."""
        log = self.airflow.logs.parent / f"{'-'.join(arguments)}.log"
        command = self.airflow.command(*arguments, log=log)
        try:
            code = command.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            command.kill()
            code = command.wait()
        output = log.read_text()
        assert code == 0, f"airflow {' '.join(arguments)} ended with {code}\n{output}"
        return output

    def table(self, *arguments):
        """The rows that one of Airflow's commands lists."""
        output = self.command(*arguments, "--output", "json")
        # Old Airflows log to the same place.
        start = output.index("\n[{") + 1 if "\n[{" in output else output.index("[{")
        return json.JSONDecoder().raw_decode(output[start:])[0]

    def _is_loaded(self, dag_id):
        with contextlib.suppress(ServiceError):
            return self.airflow.get(f"/dags/{dag_id}")["dag_id"] == dag_id
        if errors := self.airflow.get("/importErrors")["import_errors"]:
            pytest.fail("\n".join(error["stack_trace"] for error in errors))
        return False


def _experiment(request):
    """The experiment in a request for a job."""
    return request["body"]["properties"]["experimentName"]


@pytest.fixture(scope="session")
def home():
    """The folder of the cell's Airflow, which stays there for those who read its logs."""
    return Path(os.environ["AIRFLOW_HOME"])


@pytest.fixture(scope="session")
def world(home):
    with contextlib.ExitStack() as resources:
        guard = resources.enter_context(Guard())
        azurite = resources.enter_context(Azurite())
        workspace = resources.enter_context(
            LocalWorkspace(
                guard,
                blob_endpoint=azurite.blob_endpoint,
                log=home / "workspace.log",
                # So that a task can be seen to wait for it.
                quirks=["provisioning=2s"],
            )
        )
        container = azurite.container(CONTAINER)
        container.upload_blob("orders/orders.csv", b"order,amount\n1001,19.90\n")
        airflow = resources.enter_context(
            LocalAirflow(
                guard,
                home,
                dags=DAGS,
                connections={"azureml_default": workspace.connection()},
                report=lambda what: None,
                settings=SETTINGS,
                serve_tasks_apart=True,
            )
        )
        yield World(airflow, workspace, container)
