"""Take the pictures of the documents from a real Airflow and a local workspace: ``make screenshots``.

They show what a reader of the tutorial sees: its DAG is read from ``docs/start/tutorial.md``, run, and then changed as
the tutorial says, so that it fails. Each picture is taken in light and in dark.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_pages import AirflowPages
from azurite import Azurite, AzuriteError
from camera import Camera
from local_airflow import LocalAirflow
from local_workspace import LocalWorkspace
from processes import Guard, ServiceError
from story import CONTAINER, FOLDER
from task_log import tail
from tutorial_dag import TutorialDag
from watched_dag import StoryError, WatchedDag

if TYPE_CHECKING:
    from collections.abc import Sequence

    from azure.storage.blob import ContainerClient

_ROOT = Path(__file__).resolve().parents[1]
_HOME = _ROOT / ".cache" / "screenshots"
_DEMO = _ROOT / "example_dags" / "demo_score_new_files.py"
_ROWS = "order,amount\n1001,19.90\n1002,5.10\n"


def main() -> int:
    """Take all pictures; returns the exit code."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    shutil.rmtree(_HOME, ignore_errors=True)
    dags = _HOME / "dags"
    dags.mkdir(parents=True)
    try:
        with contextlib.ExitStack() as resources:
            guard = resources.enter_context(Guard())
            azurite = resources.enter_context(Azurite(log=_HOME / "azurite.log"))
            container = azurite.container(CONTAINER)
            workspace = resources.enter_context(
                LocalWorkspace(guard, blob_endpoint=azurite.blob_endpoint, log=_HOME / "workspace.log")
            )
            airflow = resources.enter_context(
                LocalAirflow(guard, _HOME, dags=dags, connections={}, report=print, serve_tasks_apart=True)
            )
            airflow.add_connection("azureml_default", workspace.connection())
            camera = resources.enter_context(Camera(_ROOT / "docs" / "images"))
            _Session(airflow, workspace, container, dags, camera).take_all()
    except (AzuriteError, ServiceError, StoryError) as error:
        log = getattr(error, "log", None)
        print(f"{error}\n{tail(log) if log is not None else ''}", file=sys.stderr)
        return 1
    return 0


class _Session:
    """Runs DAGs, and takes pictures of what they did.

    Args:
        airflow: Airflow, with the connection.
        workspace: The workspace.
        container: The container of its datastore.
        dags: The folder of Airflow's DAG files; it is empty.
        camera: Takes the pictures.
    """

    def __init__(
        self,
        airflow: LocalAirflow,
        workspace: LocalWorkspace,
        container: ContainerClient,
        dags: Path,
        camera: Camera,
    ) -> None:
        self._airflow = airflow
        self._workspace = workspace
        self._container = container
        self._dags = dags
        self._camera = camera
        self._pages = AirflowPages(airflow.url)

    def take_all(self) -> None:
        """Take all pictures."""
        shutil.copy(_DEMO, self._dags)
        demo = WatchedDag(self._airflow, "azureml_demo")
        demo.unpause()
        dag_run_id = self._run(demo, ["north.csv", "south.csv", "west.csv"], "success")
        self._camera.take("demo-dag", lambda page: self._pages.open_graph(page, "azureml_demo", dag_run_id), height=640)
        # The next DAG run would take the files of the tutorial.
        self._airflow.patch("/dags/azureml_demo", {"is_paused": True})

        tutorial = TutorialDag.read()
        file = self._dags / tutorial.file_name
        file.write_text(tutorial.code)
        dag = WatchedDag(self._airflow, tutorial.dag_id)
        dag.unpause()
        dag_run_id = self._run(dag, ["orders.csv"], "success")
        self._camera.take(
            "tutorial-graph", lambda page: self._pages.open_graph(page, tutorial.dag_id, dag_run_id), height=640
        )

        file.write_text(tutorial.failing)
        self._airflow.wait(
            lambda: tutorial.failing in self._airflow.get(f"/dagSources/{tutorial.dag_id}")["content"],
            "Airflow has read the changed DAG",
            timeout=120,
        )
        dag_run_id = self._run(dag, ["orders.csv"], "failed")
        self._camera.take(
            "tutorial-log",
            lambda page: self._pages.open_log(page, tutorial.dag_id, dag_run_id, "score", 0),
            height=820,
        )
        run = self._workspace.runs()[-1]
        address = f"{self._workspace.url}/runs/{run['id']}"
        self._camera.take("failed-run", lambda page: page.goto(address), height=830)
        self._camera.take("connection-form", self._pages.fill_in_connection, height=1700)

    def _run(self, dag: WatchedDag, files: Sequence[str], state: str) -> str:
        """Put files where the DAG's latest run waits for them, and wait for its end; returns its id."""
        done = len(self._ended(dag))
        dag_run_id: str
        (dag_run_id,) = self._airflow.wait(lambda: dag.dag_run_ids()[done : done + 1], "a DAG run begins", timeout=60)
        dag.wait_for(dag_run_id, "wait_for_files", "deferred", "the sensor waits")
        for name in files:
            self._container.upload_blob(f"{FOLDER}/{name}", _ROWS.encode(), overwrite=True)
        self._airflow.wait(
            lambda: dag.state(dag_run_id) in {"success", "failed"}, f"DAG run {dag_run_id} has ended", timeout=180
        )
        if dag.state(dag_run_id) != state:
            raise StoryError(f"DAG run {dag_run_id} is not {state}", dag.task_log(dag_run_id, "score", 0))
        return dag_run_id

    def _ended(self, dag: WatchedDag) -> list[str]:
        return [name for name in dag.dag_run_ids() if dag.state(name) in {"success", "failed"}]


if __name__ == "__main__":
    os.environ.pop("AIRFLOW_HOME", None)
    sys.exit(main())
