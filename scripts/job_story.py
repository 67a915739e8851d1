"""The second part of the demo: a component (v2) runs as a pipeline job, and the reply to its submission is lost."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, NamedTuple

from story import FILE
from watched_dag import WatchedDag, require

if TYPE_CHECKING:
    from collections.abc import Callable

    from azure.storage.blob import ContainerClient
    from leaks import LeakSearch
    from local_airflow import LocalAirflow
    from local_workspace import LocalWorkspace

DAG_ID = "azureml_demo_component"
_JOB = re.compile(r"/jobs/[^/]+$")


class JobChapter(NamedTuple):
    """One DAG run and its job.

    Attributes:
        dag_run_id: The DAG run.
        component: The component and its version, as the task recorded them.
        job_id: The job, whose id the task chose.
        status: How it ended.
        rows: How many rows it found in the file.
    """

    dag_run_id: str
    component: str
    job_id: str
    status: str
    rows: int


class JobStory:
    """Plays this part and checks it.

    Args:
        airflow: Airflow, with the demo's DAGs paused.
        workspace: The workspace.
        container: The container of its datastore, with the file of the story before.
        search: Searches for secrets.
        report: Prints the progress.
    """

    def __init__(
        self,
        airflow: LocalAirflow,
        workspace: LocalWorkspace,
        container: ContainerClient,
        *,
        search: LeakSearch,
        report: Callable[[str], None],
    ) -> None:
        self._airflow = airflow
        self._dag = WatchedDag(airflow, DAG_ID)
        self._workspace = workspace
        self._container = container
        self._search = search
        self._report = report

    def tell(self) -> JobChapter:
        """Play the story.

        Raises:
            StoryError: Something else happened.
            ServiceError: A service ended, or something did not happen in time.
        """
        before = {run["id"] for run in self._workspace.runs()}
        self._dag.unpause()
        self._workspace.drop_next_reply(method="PUT", path="*/jobs/*")
        self._report("the next pipeline is a component (v2), and the reply to its submission will be lost")
        dag_run_id = self._dag.trigger()
        self._dag.wait_for(dag_run_id, "score", "success", "the task has run the component to its end")
        self._search.read_database(self._airflow.database)
        return self._check(dag_run_id, before)

    def _check(self, dag_run_id: str, before: set[str]) -> JobChapter:
        log = self._dag.task_log(dag_run_id, "score")
        jobs = [run for run in self._workspace.runs() if run["id"] not in before]
        require(len(jobs) == 1, f"the DAG run started {len(jobs)} jobs instead of one", log)
        (job,) = jobs
        require(job["job"] is not None, f"{job['id']} is a run of a published pipeline, not a job", log)
        returned = self._dag.returned(dag_run_id, "score")
        require(returned == job["id"], f"the task returned {returned}, the job is {job['id']}", log)
        status = job["history_status"]
        require(status == "Completed", f"the job ended as {status}", log)
        sent = [request for request in self._workspace.requests() if _JOB.search(request["path"])]
        submissions = [request["status"] for request in sent if request["method"] == "PUT"]
        require(submissions == [None], f"the submissions were answered {submissions}; one without a reply is due", log)
        result = json.loads(self._container.download_blob(f"results/{job['id']}.json").readall())
        expected = len(self._container.download_blob(FILE).readall().splitlines()) - 1
        require(result["rows"] == expected, f"the job found {result['rows']} rows, the file has {expected}", log)
        self._report(f"job {job['id']} ended successfully; it was submitted once, and found by its id")
        return JobChapter(dag_run_id, job["tags"]["airflow.component"], job["id"], status, result["rows"])
