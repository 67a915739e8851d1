"""The fourth part of the demo: a person marks a task as failed, and Airflow's API server cancels its job."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from job_story import DAG_ID
from task_instances import TaskInstances
from watched_dag import WatchedDag, require

if TYPE_CHECKING:
    from collections.abc import Callable

    from leaks import LeakSearch
    from local_airflow import LocalAirflow
    from local_workspace import LocalWorkspace


class CancelChapter(NamedTuple):
    """One DAG run and its job.

    Attributes:
        dag_run_id: The DAG run.
        state: What it ended as.
        job_id: The job.
        status: What that ended as.
    """

    dag_run_id: str
    state: str
    job_id: str
    status: str


class CancelStory:
    """Plays this part and checks it.

    Args:
        airflow: Airflow, with the DAG of the job's part unpaused.
        workspace: The workspace.
        search: Searches for secrets.
        report: Prints the progress.
    """

    def __init__(
        self, airflow: LocalAirflow, workspace: LocalWorkspace, *, search: LeakSearch, report: Callable[[str], None]
    ) -> None:
        self._airflow = airflow
        self._dag = WatchedDag(airflow, DAG_ID)
        self._workspace = workspace
        self._search = search
        self._report = report

    def tell(self) -> CancelChapter:
        """Play the story.

        Raises:
            StoryError: Something else happened.
            ServiceError: A service ended, or something did not happen in time.
        """
        before = {run["id"] for run in self._workspace.runs()}
        # The job must not end by itself.
        self._workspace.hold_clock(held=True)
        dag_run_id = self._dag.trigger()
        self._dag.wait_for(dag_run_id, "score", "deferred", "the task waits for its job in the triggerer")
        log = self._dag.task_log(dag_run_id, "score")
        jobs = [run["id"] for run in self._workspace.runs() if run["id"] not in before]
        require(len(jobs) == 1, f"the DAG run started {len(jobs)} jobs instead of one", log)
        (job_id,) = jobs
        tasks = TaskInstances(self._airflow)
        # It still writes when it is deferred, and on SQLite an API server that writes for a person and for a task
        # waits for itself.
        self._airflow.wait(
            lambda: tasks.processes(DAG_ID, dag_run_id, "score") is None, "the task's process has ended", timeout=60
        )
        tasks.mark(DAG_ID, dag_run_id, "score", state="failed")
        self._report(f"the task that waits for job {job_id} was marked as failed")
        self._airflow.wait(
            lambda: self._status(job_id) == "Canceled",
            "Airflow's API server has cancelled the job",
            timeout=60,
            log=self._airflow.log("api-server"),
        )
        self._workspace.hold_clock(held=False)
        self._search.read_database(self._airflow.database)
        state = self._dag.state(dag_run_id)
        require(state == "failed", f"the DAG run ended as {state}, not as failed", log)
        self._report("Airflow's API server has cancelled the job")
        return CancelChapter(dag_run_id, state, job_id, self._status(job_id))

    def _status(self, job_id: str) -> str:
        (status,) = (run["history_status"] for run in self._workspace.runs() if run["id"] == job_id)
        return str(status)
