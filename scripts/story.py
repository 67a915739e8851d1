"""The demo's story: it plays what happens and checks what must be true of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from watched_dag import WatchedDag, require

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from azure.storage.blob import ContainerClient
    from leaks import LeakSearch
    from local_airflow import LocalAirflow
    from local_workspace import LocalWorkspace

DAG_ID = "azureml_demo"
DATASTORE = "workspaceblobstore"
CONTAINER = "azureml-blobstore-demo"

FOLDER = "incoming"
FILE = f"{FOLDER}/orders.csv"
#: Files that must not start anything, and why.
STRAYS = {f"{FOLDER}/archive/orders.csv": "in a sub-folder", f"{FOLDER}-old/orders.csv": "in a folder next to it"}
_KNOWN = f"{FOLDER}/yesterday.csv"
_CONTENTS = (
    "order,amount\n1001,19.90\n1002,5.10\n1003,25.00\n",
    "order,amount\n1001,19.90\n1002,5.10\n1003,25.00\n1004,100.00\n",
)
_LISTING = re.compile(rf'"GET \S*comp=list\S*prefix={FOLDER}(?:%2F|/)')
_KINDS = {
    "submissions": r"POST .*/PipelineSubmit/",
    "polls of a run": r"GET .*/PipelineRuns/[^/]+$",
    "queries of the run history": r".* /history/",
    "look-ups of the datastore": r".* /datastore/",
}


class Chapter(NamedTuple):
    """One DAG run and the pipeline run that it started.

    Attributes:
        dag_run_id: The DAG run.
        state: What it ended as.
        change: ``added`` or ``modified``.
        run_id: The pipeline run.
        status: What that ended as.
        data_path: The ``input_datapath`` that the workspace received.
        reply: Whether the reply to the submission ``arrived`` or ``was lost``.
        rows: How many rows the pipeline found, checked by the DAG.
        amount: The sum that the pipeline found, checked by the DAG.
    """

    dag_run_id: str
    state: str
    change: str
    run_id: str
    status: str
    data_path: str
    reply: str
    rows: int
    amount: float


class Story:
    """Plays the demo and checks it.

    Args:
        airflow: Airflow, with the demo's DAG paused.
        workspace: The workspace.
        container: The container of its datastore.
        access_log: The file in which the blob storage logs each request.
        search: Searches for secrets.
        report: Prints the progress.

    Attributes:
        chapters: What happened, one for each DAG run.
        requests: The number of requests that the workspace received, by kind.
    """

    def __init__(
        self,
        airflow: LocalAirflow,
        workspace: LocalWorkspace,
        container: ContainerClient,
        *,
        access_log: Path,
        search: LeakSearch,
        report: Callable[[str], None],
    ) -> None:
        self._airflow = airflow
        self._dag = WatchedDag(airflow, DAG_ID)
        self._workspace = workspace
        self._container = container
        self._access_log = access_log
        self._search = search
        self._report = report
        self.chapters: list[Chapter] = []
        self.requests: dict[str, int] = {}

    def tell(self) -> None:
        """Play the story.

        Raises:
            StoryError: Something else happened.
            ServiceError: A service ended, or something did not happen in time.
        """
        self._upload(_KNOWN, _CONTENTS[0])
        self._dag.unpause()
        dag_runs = [self._play(number, content) for number, content in enumerate(_CONTENTS, 1)]
        self._search.read_database(self._airflow.database)
        self._check(dag_runs)

    def _play(self, number: int, content: str) -> str:
        """One DAG run, from waiting to its end."""
        dag_run_id: str
        (dag_run_id,) = self._airflow.wait(
            lambda: self._dag.dag_run_ids()[number - 1 : number], f"DAG run {number} has started", timeout=60
        )
        log = self._dag.task_log(dag_run_id, "wait_for_files")
        self._dag.wait_for(
            dag_run_id, "wait_for_files", "deferred", "the sensor has polled once and waits in the triggerer"
        )
        self._report(f"DAG run {number} waits for files; those that are there now are known")

        for stray in STRAYS:
            self._upload(stray, content)
        polls = self._polls() + 2  # the current one may have begun before the upload
        self._airflow.wait(lambda: self._polls() >= polls, "the sensor polls again", timeout=60, log=log)
        require(
            self._dag.states(dag_run_id, "wait_for_files") != ["success"] and len(self._workspace.runs()) == number - 1,
            "a file that is not in the folder itself started something",
            log,
        )
        self._report(f"{' and '.join(STRAYS)} were uploaded: nothing happens")
        self._search.read_database(self._airflow.database)

        if number > 1:
            self._workspace.drop_next_reply(method="POST", path="*/PipelineSubmit/*")
        # The run must not end before the task waits for it.
        self._workspace.hold_clock(held=True)
        self._upload(FILE, content)
        what = "uploaded" if number == 1 else "overwritten, and the reply to the next submission will be lost"
        self._report(f"{FILE} was {what}")
        self._dag.wait_for(
            dag_run_id, "score", "deferred", "the task has submitted a run and waits for it in the triggerer"
        )
        self._report(f"the workspace runs the pipeline as {self._workspace.runs()[-1]['id']}; the task waits deferred")
        self._search.read_database(self._airflow.database)
        self._workspace.hold_clock(held=False)
        self._dag.wait_for(dag_run_id, "check_results", "success", "the result is checked")
        self._dag.wait_for_success(dag_run_id)
        self._report(f"DAG run {number} ended successfully; its last task compared the result with the file")
        return dag_run_id

    def _check(self, dag_runs: list[str]) -> None:
        requests = self._workspace.requests()
        lines = [f"{request['method']} {request['path']}" for request in requests]
        self.requests = {kind: sum(bool(re.match(rule, line)) for line in lines) for kind, rule in _KINDS.items()}
        self.requests["in all"] = len(lines)
        submissions = [request for request in requests if "/PipelineSubmit/" in request["path"]]
        runs = self._workspace.runs()
        require(
            len(submissions) == len(runs) == len(dag_runs),
            f"{len(dag_runs)} DAG runs, but {len(submissions)} submissions and {len(runs)} pipeline runs",
        )
        self.chapters = [
            self._chapter(dag_run_id, submission, run)
            for dag_run_id, submission, run in zip(dag_runs, submissions, runs, strict=True)
        ]
        for chapter, change, reply, content in zip(
            self.chapters, ("added", "modified"), ("arrived", "was lost"), _CONTENTS, strict=True
        ):
            rows = content.splitlines()[1:]
            expected = chapter._replace(
                state="success",
                change=change,
                status="Finished",
                data_path=f"{DATASTORE}/{FILE}",
                reply=reply,
                rows=len(rows),
                amount=sum(float(row.split(",")[1]) for row in rows),
            )
            require(chapter == expected, f"found {chapter}, expected {expected}")

    def _chapter(self, dag_run_id: str, submission: dict[str, Any], run: dict[str, Any]) -> Chapter:
        owner = run["tags"]["airflow.dag_id"], run["tags"]["airflow.run_id"]
        require(owner == (DAG_ID, dag_run_id), f"run {run['id']} belongs to {owner}, not to {dag_run_id}")
        (change,) = self._dag.returned(dag_run_id, "wait_for_files")
        (result,) = self._dag.returned(dag_run_id, "check_results")
        require(result["run_id"] == run["id"], f"the DAG checked {result['run_id']}, not {run['id']}")
        received = submission["body"]["DataPathAssignments"]["input_datapath"]
        return Chapter(
            dag_run_id=dag_run_id,
            state=self._dag.state(dag_run_id),
            change=change["change"],
            run_id=run["id"],
            status=run["status"],
            data_path=f"{received['DataStoreName']}/{received['RelativePath']}",
            reply="was lost" if submission["status"] is None else "arrived",
            rows=result["rows"],
            amount=result["amount"],
        )

    def check_leaks(self) -> None:
        """Make sure that no secret was found, and that all tables that could hold one were searched.

        Raises:
            StoryError: A secret was found, or a table was not searched.
        """
        for table in ("connection", "trigger", "variable", "xcom"):
            require(table in self._search.rows, f"the search for secrets saw no row of the table {table}")
        places = "".join(f"\n  {leak.secret} in {leak.place}" for leak in self._search.leaks)
        require(not places, f"secrets were found:{places}")

    def _upload(self, path: str, content: str) -> None:
        self._container.upload_blob(path, content.encode(), overwrite=True)

    def _polls(self) -> int:
        return len(_LISTING.findall(self._access_log.read_text(encoding="utf-8", errors="replace")))
