"""One DAG of the local Airflow, as its REST API and its log folder show it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from local_airflow import LocalAirflow


class StoryError(Exception):
    """Something is not as it must be.

    Args:
        message: The difference.
        log: The log with the details.
    """

    def __init__(self, message: str, log: Path | None = None) -> None:
        super().__init__(message)
        self.log = log


class WatchedDag:
    """A DAG that is observed while it runs.

    Args:
        airflow: Airflow, with the DAG paused.
        dag_id: Its id.
    """

    def __init__(self, airflow: LocalAirflow, dag_id: str) -> None:
        self.dag_id = dag_id
        self._airflow = airflow

    def unpause(self) -> None:
        """Wait until it is loaded, and let it run.

        Raises:
            StoryError: A DAG file cannot be imported.
            ServiceError: It is not loaded in time.
        """
        self._airflow.wait(self._is_loaded, f"the DAG {self.dag_id} is loaded", timeout=120)
        self._airflow.unpause(self.dag_id)

    def trigger(self) -> str:
        """Start a DAG run now; returns its id."""
        dag_run_id: str = self._airflow.post(f"/dags/{self.dag_id}/dagRuns", {"logical_date": None})["dag_run_id"]
        return dag_run_id

    def dag_run_ids(self) -> list[str]:
        """The DAG runs, oldest first."""
        found = self._airflow.get(f"/dags/{self.dag_id}/dagRuns", order_by="id")["dag_runs"]
        return [dag_run["dag_run_id"] for dag_run in found]

    def state(self, dag_run_id: str) -> str:
        """The state of a DAG run."""
        state: str = self._airflow.get(f"/dags/{self.dag_id}/dagRuns/{dag_run_id}")["state"]
        return state

    def wait_for(self, dag_run_id: str, task_id: str, state: str, what: str) -> None:
        """Wait until the only instance of a task is in a state.

        Args:
            dag_run_id: The DAG run.
            task_id: The task.
            state: The state.
            what: The meaning of that state, for the message.

        Raises:
            StoryError: A task of this DAG run has failed for good.
            ServiceError: It does not reach the state in time.
        """
        self._airflow.wait(
            lambda: self.states(dag_run_id, task_id) == [state],
            what,
            timeout=120,
            log=self.task_log(dag_run_id, task_id),
        )

    def wait_for_success(self, dag_run_id: str) -> None:
        """Wait until a DAG run is a success.

        Raises:
            ServiceError: It does not succeed in time.
        """
        self._airflow.wait(
            lambda: self.state(dag_run_id) == "success", f"DAG run {dag_run_id} is a success", timeout=60
        )

    def states(self, dag_run_id: str, task_id: str) -> list[str | None]:
        """The states of a task's instances, unless a task has failed for good.

        A retry is not a failure: Airflow may lose a task that it resumes very soon after it deferred.

        Raises:
            StoryError: A task has failed for good.
        """
        found = self._airflow.get(f"/dags/{self.dag_id}/dagRuns/{dag_run_id}/taskInstances")["task_instances"]
        for instance in found:
            if instance["state"] in {"failed", "upstream_failed"}:
                name, index = instance["task_id"], instance["map_index"]
                raise StoryError(f"task {name} ended as {instance['state']}", self.task_log(dag_run_id, name, index))
        return [instance["state"] for instance in found if instance["task_id"] == task_id]

    def task_log(self, dag_run_id: str, task_id: str, map_index: int = -1) -> Path:
        """The log of a task's latest try."""
        parts = [f"dag_id={self.dag_id}", f"run_id={dag_run_id}", f"task_id={task_id}"]
        mapped = [f"map_index={map_index}"] if map_index >= 0 else []
        folder = self._airflow.logs.joinpath(*parts, *mapped)
        return max(folder.glob("attempt=*.log"), default=folder / "attempt=1.log")

    def returned(self, dag_run_id: str, task_id: str) -> Any:
        """The result of a task."""
        entry = self._airflow.get(
            f"/dags/{self.dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/xcomEntries/return_value"
        )
        try:
            return json.loads(entry["value"])
        except (TypeError, ValueError):  # the REST API returns text without quotes, and everything else as it is
            return entry["value"]

    def _is_loaded(self) -> bool:
        for error in self._airflow.get("/importErrors")["import_errors"]:
            raise StoryError(f"{error['filename']} cannot be imported:\n{error['stack_trace']}")
        return any(dag["dag_id"] == self.dag_id for dag in self._airflow.get("/dags", limit=100)["dags"])


def require(condition: bool, message: str, log: Path | None = None) -> None:
    """Make sure that a condition holds.

    Raises:
        StoryError: It does not.
    """
    if not condition:
        raise StoryError(message, log)
