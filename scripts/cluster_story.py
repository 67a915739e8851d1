"""The story of ``make cluster``: files arrive, tasks on several workers run pipelines, and components run meanwhile."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from job_story import DAG_ID as COMPONENT_DAG_ID
from story import DAG_ID, FOLDER
from watched_dag import WatchedDag, require

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_cluster import AirflowCluster
    from azure.storage.blob import ContainerClient
    from local_workspace import LocalWorkspace

_FILES = ("north.csv", "south.csv", "orders.csv")
_CONTENT = "order,amount\n1001,19.90\n1002,5.10\n"
_COMPONENTS = 2
# Each triggerer writes a log of its own about a task that waits in it; the name ends with the id of its job.
_TRIGGERER = re.compile(r"\.trigger\.(\d+)\.log$")


class Row(NamedTuple):
    """One task instance that has ended.

    Attributes:
        dag_id: Its DAG.
        task: Its task, with the map index.
        worker: The host of its last process.
        triggerers: The hosts of the triggerers that it waited in.
        run_id: Its pipeline run or job; empty if it runs none.
        status: How that ended.
    """

    dag_id: str
    task: str
    worker: str
    triggerers: str
    run_id: str
    status: str


class ClusterStory:
    """Plays the story and checks it.

    Args:
        airflow: Airflow, with all DAGs paused.
        workspace: The workspace.
        container: The container of its datastore.
        report: Prints the progress.
    """

    def __init__(
        self,
        airflow: AirflowCluster,
        workspace: LocalWorkspace,
        container: ContainerClient,
        *,
        report: Callable[[str], None],
    ) -> None:
        self._airflow = airflow
        self._workspace = workspace
        self._container = container
        self._report = report

    def tell(self) -> list[Row]:
        """Play the story; returns what ran where.

        Raises:
            StoryError: Something else happened.
            ServiceError: A service ended, or something did not happen in time.
        """
        self._upload("yesterday.csv")
        files = WatchedDag(self._airflow, DAG_ID)
        files.unpause()
        (waiting,) = self._airflow.wait(lambda: files.dag_run_ids()[:1], "a DAG run has started", timeout=120)
        files.wait_for(waiting, "wait_for_files", "deferred", "the sensor has polled once and waits in a triggerer")
        self._report("the sensor waits for files in a triggerer")
        for name in _FILES:
            self._upload(name)
        self._report(f"{len(_FILES)} files were uploaded")
        components = WatchedDag(self._airflow, COMPONENT_DAG_ID)
        components.unpause()
        started = [components.trigger() for _ in range(_COMPONENTS)]
        for dag_run_id in started:
            components.wait_for(dag_run_id, "score", "success", "the task has run the component to its end")
            components.wait_for_success(dag_run_id)
        self._report(f"{_COMPONENTS} components ran to their end")
        scored = self._wait_for_files(files)
        self._report(
            f"a pipeline ran for each file, and the results were compared with the files ({len(scored)} DAG runs)"
        )
        rows = [
            row for dag, ids in ((files, scored), (components, started)) for one in ids for row in self._rows(dag, one)
        ]
        self._check(rows)
        return rows

    def _wait_for_files(self, dag: WatchedDag) -> list[str]:
        """Wait until a pipeline run has ended for each file, in one DAG run or in several; returns the DAG runs."""

        def scored() -> list[str]:
            ended = [one for one in dag.dag_run_ids() if dag.state(one) == "success"]
            changes = [change["name"] for one in ended for change in dag.returned(one, "wait_for_files")]
            return ended if len(changes) >= len(_FILES) else []

        found: list[str] = self._airflow.wait(scored, "each file has its pipeline run", timeout=180)
        return found

    def _rows(self, dag: WatchedDag, dag_run_id: str) -> list[Row]:
        instances = self._airflow.get(f"/dags/{dag.dag_id}/dagRuns/{dag_run_id}/taskInstances")["task_instances"]
        rows = []
        for instance in instances:
            index = instance["map_index"]
            log = dag.task_log(dag_run_id, instance["task_id"], index)
            jobs = {
                int(number)
                for path in log.parent.glob("*.log.trigger.*.log")
                for number in _TRIGGERER.findall(path.name)
            }
            run = self._run(dag_run_id, instance["task_id"], index)
            rows.append(
                Row(
                    dag.dag_id,
                    instance["task_id"] + (f"[{index}]" if index >= 0 else ""),
                    instance["hostname"],
                    ", ".join(sorted(self._hosts()[number] for number in jobs)),
                    *run,
                )
            )
        return rows

    def _hosts(self) -> dict[int, str]:
        jobs = self._airflow.get("/jobs", job_type="TriggererJob", limit=100)["jobs"]
        return {job["id"]: job["hostname"] for job in jobs}

    def _run(self, dag_run_id: str, task_id: str, map_index: int) -> tuple[str, str]:
        """The id and status of the pipeline run of a task instance, two empty texts if it has none."""
        for run in self._workspace.runs():
            tags = run["tags"]
            if (tags["airflow.run_id"], tags["airflow.task_id"]) == (dag_run_id, task_id) and int(
                tags.get("airflow.map_index", -1)
            ) == map_index:
                return run["id"], run["history_status"]
        return "", ""

    def _check(self, rows: list[Row]) -> None:
        runs = self._workspace.runs()
        expected = len(_FILES) + _COMPONENTS
        require(len(runs) == expected, f"{len(runs)} pipeline runs instead of {expected}")
        shown = Counter(row.run_id for row in rows if row.run_id)
        require(
            set(shown) == {run["id"] for run in runs} and set(shown.values()) == {1},
            f"the pipeline runs are those of these task instances: {shown}",
        )
        ends = {row.status for row in rows if row.run_id}
        require(ends == {"Completed"}, f"pipeline runs ended as {ends}")
        workers = {row.worker for row in rows}
        require(workers <= self._airflow.workers(), f"tasks ran on {workers}, which are not all workers")

    def _upload(self, name: str) -> None:
        self._container.upload_blob(f"{FOLDER}/{name}", _CONTENT, overwrite=True)
