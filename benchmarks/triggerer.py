"""Hundreds of deferred tasks in a real Airflow: what its triggerer asks the workspace for, and whether it stalls.

``python benchmarks/triggerer.py [TASKS]``; the local workspace counts the requests. It takes some minutes: each task
is two processes of a worker.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

_ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(_ROOT / "scripts"))

from local_airflow import LocalAirflow  # noqa: E402 - found by the line above
from local_workspace import LocalWorkspace  # noqa: E402
from processes import Guard  # noqa: E402
from watched_dag import WatchedDag  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterable

INTERVAL = 30.0
WINDOW = 4
# What Airflow's triggerer says when its event loop stood still for more than 0.2 seconds.
_BLOCKED = re.compile(r"^.*async thread was blocked for .*$", re.MULTILINE)
_PATIENCE = 3600.0


def kinds(requests: Iterable[dict[str, Any]]) -> Counter[str]:
    """Requests by what they ask for."""
    found: Counter[str] = Counter()
    for request in requests:
        path, method = request["path"], request["method"]
        if path.endswith("runs:query"):
            by = request["body"]["filter"]
            found["steps" if "ParentRunId" in by else "statuses" if "RunId" in by else "look-ups by key"] += 1
        elif "/PipelineRuns/" in path:
            found["records" if method == "GET" else "submissions"] += 1
        elif path.endswith("/children"):
            found["steps"] += 1
        else:
            found["others"] += 1
    return found


class Waits:
    """The mapped task instances.

    Args:
        airflow: Airflow.
        dag: Their DAG.
        dag_run_id: Their DAG run.
    """

    def __init__(self, airflow: LocalAirflow, dag: WatchedDag, dag_run_id: str) -> None:
        self._airflow = airflow
        self._dag = dag
        self._dag_run_id = dag_run_id
        self._path = f"/dags/{dag.dag_id}/dagRuns/{dag_run_id}/taskInstances"

    def all_are(self, state: str, tasks: int) -> bool:
        """Whether all of them are in a state.

        Raises:
            RuntimeError: One has failed for good.
        """
        for failed in self._airflow.get(self._path, state="failed", limit=1)["task_instances"]:
            log = self._dag.task_log(self._dag_run_id, failed["task_id"], failed["map_index"])
            raise RuntimeError(f"a task has failed; the end of its log:\n{log.read_text()[-4000:]}")
        return self._count(state) == tasks

    def _count(self, state: str) -> int:
        found: int = self._airflow.get(self._path, state=state, limit=1)["total_entries"]
        return found


def stalls_of(home: Path) -> list[str]:
    """The warnings in the triggerer's log."""
    return _BLOCKED.findall((home / "triggerer.log").read_text(errors="replace"))


def say(text: str) -> None:
    """Tell how far it is."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def run(tasks: int, home: Path) -> bool:
    """Run it; whether all is as it should be."""
    os.environ["AZUREML_BENCHMARK_RUNS"] = str(tasks)
    os.environ["AIRFLOW__AZUREML__DEPLOYMENT_ID"] = "benchmark"
    with (
        Guard() as guard,
        LocalWorkspace(guard, blob_endpoint="http://127.0.0.1:9/a", log=home / "ws.log") as workspace,
    ):
        connections = {"azureml_default": workspace.connection()}
        with LocalAirflow(
            guard, home, dags=_ROOT / "benchmarks" / "dags", connections=connections, report=say
        ) as airflow:
            dag = WatchedDag(airflow, "waiting")
            dag.unpause()
            # A machine that is busy with starting Airflow is no trigger's doing.
            earlier = len(stalls_of(home))
            waits = Waits(airflow, dag, dag.trigger())
            airflow.wait(lambda: waits.all_are("deferred", tasks), "all tasks are deferred", timeout=_PATIENCE)
            say(f"{tasks} tasks are deferred: {dict(kinds(workspace.requests()))}")
            # Every run has then been looked at twice, and all are looked at together.
            time.sleep(2 * INTERVAL)
            before = len(workspace.requests())
            time.sleep(WINDOW * INTERVAL)
            waiting = kinds(workspace.requests()[before:])
            say(f"in {WINDOW} intervals of {INTERVAL:.0f} s: {dict(waiting)}")
            before = len(workspace.requests())
            workspace.move_clock(4000)
            airflow.wait(lambda: waits.all_are("success", tasks), "all tasks have succeeded", timeout=_PATIENCE)
            ending = kinds(workspace.requests()[before:])
            say(f"from the runs' end to the last task's: {dict(ending)}")
            runs = len(workspace.runs())
        stalls = stalls_of(home)[earlier:]
    # A query for 250 runs, one for steps, and two records that are read in turn; a look may fall on the edge.
    most = (WINDOW + 1) * (-(-tasks // 250) + 3)
    report = {
        f"runs for {tasks} tasks": (runs, runs == tasks),
        f"requests in {WINDOW} intervals, at most {most}": (waiting.total(), waiting.total() <= most),
        f"records read at the end, at most {2 * tasks + 50}": (ending["records"], ending["records"] <= 2 * tasks + 50),
        "warnings of a blocked event loop": (len(stalls), not stalls),
    }
    for what, (measured, holds) in report.items():
        print(f"{what}: {measured}{'' if holds else ' MISSED'}")
    print("\n".join(stalls[:20]))
    return all(holds for _, holds in report.values())


def main() -> int:
    """Run it in a folder of its own."""
    tasks = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    with tempfile.TemporaryDirectory(prefix="azureml-waiting-") as home:
        return 0 if run(tasks, Path(home)) else 1


if __name__ == "__main__":
    sys.exit(main())
