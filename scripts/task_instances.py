"""Task instances of the local Airflow, the actions of people on them, and the processes that they run in."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from local_airflow import AIRFLOW_3
from processes import ServiceError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local_airflow import LocalAirflow


class TaskProcesses(NamedTuple):
    """The processes of a task instance with LocalExecutor.

    Args:
        task: The one that runs the operator.
        supervisor: The one that started it, sends its heartbeats and reports its end.
    """

    task: int
    supervisor: int


class TaskInstances:
    """All task instances, read at most a few times a second for all callers; threads may share it.

    Changes are requested one after another: on SQLite two such requests make Airflow's API server wait for itself.

    Args:
        airflow: Airflow, with ``[api] maximum_page_limit`` large enough for all of them.
        interval: Seconds for which the instances are not read again.
    """

    def __init__(self, airflow: LocalAirflow, *, interval: float = 0.4) -> None:
        self._airflow = airflow
        self._interval = interval
        self._lock = threading.Lock()
        self._acting = threading.Lock()
        self._read_at = 0.0
        self._known: dict[tuple[str, str, str, int], Mapping[str, Any]] = {}

    def read(self) -> Mapping[tuple[str, str, str, int], Mapping[str, Any]]:
        """All task instances, as the REST API returns them, by DAG, DAG run, task and map index.

        While Airflow's API is unreachable, the previous ones.
        """
        with self._lock:
            if time.monotonic() - self._read_at > self._interval:
                try:
                    found = self._airflow.get("/dags/~/dagRuns/~/taskInstances", limit=1000)["task_instances"]
                except ServiceError:
                    return self._known
                self._known = {
                    (item["dag_id"], item["dag_run_id"], item["task_id"], item["map_index"]): item for item in found
                }
                self._read_at = time.monotonic()
            return self._known

    def trigger(self, dag_id: str, run_id: str, conf: Mapping[str, Any]) -> None:
        """Start a DAG run."""
        body: dict[str, Any] = {"dag_run_id": run_id, "conf": conf}
        with self._acting:
            self._airflow.post(f"/dags/{dag_id}/dagRuns", body | {"logical_date": None} if AIRFLOW_3 else body)

    def clear(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> None:
        """Clear a task instance, whatever it is doing."""
        body = {
            "dry_run": False,
            "only_failed": False,
            "reset_dag_runs": True,
            "dag_run_id": run_id,
            "task_ids": [task_id if map_index < 0 else [task_id, map_index]],
        }
        with self._acting:
            self._airflow.post(f"/dags/{dag_id}/clearTaskInstances", body)

    def clear_dag_run(self, dag_id: str, run_id: str) -> None:
        """Clear all task instances of a DAG run, whatever they are doing."""
        with self._acting:
            self._airflow.post(f"/dags/{dag_id}/dagRuns/{run_id}/clear", {"dry_run": False, "only_failed": False})

    def mark(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1, *, state: str) -> None:
        """Set the state of a task instance to ``success`` or ``failed``, as a person does."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}"
        body: dict[str, Any] = {"new_state": state}
        if not AIRFLOW_3:
            body["dry_run"] = False
        with self._acting:
            self._airflow.patch(path if map_index < 0 else f"{path}/{map_index}", body)

    def mark_dag_run(self, dag_id: str, run_id: str, state: str) -> None:
        """Set the state of a whole DAG run to ``success`` or ``failed``, as a person does."""
        with self._acting:
            self._airflow.patch(f"/dags/{dag_id}/dagRuns/{run_id}", {"state": state})

    def processes(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> TaskProcesses | None:
        """The processes of a task instance that is on a worker; None while it has none."""
        known = self.read().get((dag_id, run_id, task_id, map_index), {})
        # Airflow 3's task process names the try's id, Airflow 2's the task.
        titles = [f"airflow worker -- {known.get('id')}", f"airflow task runner: {dag_id} {task_id} {run_id}"]
        for process in self._airflow.processes():
            if process.title.startswith(tuple(titles)):
                return TaskProcesses(process.pid, process.parent)
        return None
