"""Hundreds of deferred tasks in a real Airflow: what its triggerer asks the workspace for, and whether it stalls.

The local workspace counts the requests. It takes some minutes, as each task is two processes of a worker:
``python benchmarks/triggerer.py 20`` is for a try.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

_ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(_ROOT / "scripts"))

from local_airflow import LocalAirflow  # noqa: E402 - found by the line above
from local_workspace import LocalWorkspace  # noqa: E402
from processes import Guard  # noqa: E402
from rows import Row, as_text  # noqa: E402
from watched_dag import WatchedDag  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

TASKS = 500
INTERVAL = 30.0  # as the DAG's poll_interval
WINDOW = 4
# What Airflow's triggerer says when its event loop stood still for more than 0.2 seconds.
_BLOCKED = re.compile(r"^(\S+) .*async thread was blocked for ([0-9.]+) seconds.*$", re.MULTILINE)
_THRESHOLD = 0.2
# It writes its line in a thread, so a little later.
_LATE = 0.2
_PATIENCE = 3600.0
# Each question costs Airflow's API server as much as a task does.
_LOOK_EVERY = 3.0
_SETTINGS = {
    # One more than can work at once, as they wait for the API server too; with many more the triggerer has to wait.
    "core": {"parallelism": (os.cpu_count() or 1) + 1},
    # While hundreds of tasks wait, the DAG processor has nothing better to do than to read the DAG again.
    "dag_processor": {"min_file_process_interval": 600, "refresh_interval": 600},
}
# Airflow imports this in each of its processes. A full garbage collection scans some 300,000 objects, nearly all of
# which are Airflow's, and stalls the loop for 0.2 to 0.4 seconds. When it comes depends on all objects that have been
# made since the last one; for ours there is a row in ``waiting.py``. The triggers run in the only fork; the name of the
# file ends with the id of the process that started it.
LOCAL_SETTINGS = """
import gc, os, sys, time

ours, began = os.getpid(), 0.0

def note(phase, info):
    global began
    if info["generation"] < 2 or os.getpid() == ours:
        return
    if phase == "start":
        began = time.time()
        return
    with open(f"{os.environ['AZUREML_BENCHMARK_COLLECTIONS']}.{ours}", "a") as log:
        log.write(f"{began} {time.time()}\\n")

if "triggerer" in sys.argv:
    gc.callbacks.append(note)
"""
# The same rule as the triggerer's, in a loop that has nothing to do: if that is late, the machine is the cause.
_IDLE_LOOP = """
import asyncio, sys, time

async def beat():
    while True:
        began = time.monotonic()
        await asyncio.sleep(0.1)
        if time.monotonic() - began > 0.2:
            print("late", flush=True)

async def main():
    beating = asyncio.create_task(beat())
    await asyncio.to_thread(sys.stdin.read)
    beating.cancel()

asyncio.run(main())
"""


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
        """Whether all of them are in a state; it takes its time.

        Raises:
            RuntimeError: One has failed for good.
        """
        time.sleep(_LOOK_EVERY)
        for failed in self._airflow.get(self._path, state="failed", limit=1)["task_instances"]:
            log = self._dag.task_log(self._dag_run_id, failed["task_id"], failed["map_index"])
            raise RuntimeError(f"a task has failed; the end of its log:\n{log.read_text()[-4000:]}")
        return self._count(state) == tasks

    def _count(self, state: str) -> int:
        found: int = self._airflow.get(self._path, state=state, limit=1)["total_entries"]
        return found


class Stall(NamedTuple):
    """A warning in the triggerer's log that its event loop was blocked.

    Args:
        text: The line.
        seconds: For how long.
        ended: When it was written, in seconds since the epoch.
    """

    text: str
    seconds: float
    ended: float

    def is_explained(self, collections: Iterable[tuple[float, float]]) -> bool:
        """Whether there would be no warning without the full garbage collections meanwhile."""
        begun = self.ended - self.seconds - _LATE
        collecting = sum(max(0.0, min(end, self.ended) - max(start, begun)) for start, end in collections)
        return self.seconds - collecting <= _THRESHOLD


def stalls_of(log: Path) -> list[Stall]:
    """The warnings in a triggerer's log."""
    found = _BLOCKED.finditer(log.read_text(errors="replace"))
    lines = [(line[0], datetime.fromisoformat(line[1]).timestamp(), float(line[2])) for line in found]
    return [Stall(text, seconds, ended) for text, ended, seconds in lines]


def collections_of(home: Path, process: int | None = None) -> list[tuple[float, float]]:
    """When a triggerer's Python walked through all of its objects.

    Args:
        home: The folder with the files.
        process: The triggerer; None: all of them.
    """
    lines = [line for log in home.glob(f"collections.log.{process or '*'}") for line in log.read_text().splitlines()]
    return [(float(start), float(end)) for start, end in map(str.split, lines)]


@contextmanager
def idle_loop() -> Iterator[list[str]]:
    """Run a loop that does nothing in another process; in the end the list has one item for each of its delays."""
    late: list[str] = []
    with subprocess.Popen(
        [sys.executable, "-c", _IDLE_LOOP], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield late
        finally:
            late += process.communicate()[0].split()


def say(text: str) -> None:
    """Tell how far it is."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def measure(tasks: int, home: Path) -> list[Row]:
    """Let so many tasks defer, wait and end, in a folder of their own; the rows with their budgets."""
    os.environ["AZUREML_BENCHMARK_RUNS"] = str(tasks)
    (home / "config").mkdir()
    (home / "config" / "airflow_local_settings.py").write_text(LOCAL_SETTINGS)
    with (
        Guard() as guard,
        LocalWorkspace(guard, blob_endpoint="http://127.0.0.1:9/a", log=home / "ws.log") as workspace,
        LocalAirflow(
            guard,
            home,
            dags=_ROOT / "benchmarks" / "dags",
            connections={"azureml_default": workspace.connection()},
            report=say,
            settings=_SETTINGS,
            variables={
                "AIRFLOW__AZUREML__DEPLOYMENT_ID": "benchmark",
                "AZUREML_BENCHMARK_COLLECTIONS": str(home / "collections.log"),
            },
        ) as airflow,
        idle_loop() as late,
    ):
        dag = WatchedDag(airflow, "waiting")
        dag.unpause()
        # A machine that is busy with starting Airflow is no trigger's doing.
        earlier, begun = len(stalls_of(airflow.log("triggerer"))), time.time()
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
        collections = [(start, end) for start, end in collections_of(home) if start > begun]
        stalls = stalls_of(airflow.log("triggerer"))[earlier:]
    for stall in stalls[:20]:
        say(stall.text)
    for start, end in collections:
        say(f"full garbage collection at {time.ctime(start)} for {end - start:.2f} s")
    # A query for 250 runs, one for steps, and two records that are read in turn; a look may fall on the edge.
    most = (-(-tasks // 250) + 3) * (WINDOW + 1) / WINDOW
    return [
        Row(f"{tasks} tasks, deferred and ended: pipeline runs", runs, tasks),
        Row("requests per interval while the tasks wait", waiting.total() / WINDOW, most, "", f"{tasks}"),
        # The poller reads each, and so does the task that resumes.
        Row(
            "requests that read a single run, from the runs' end to the last task's end",
            ending["records"],
            2 * tasks + 50,
        ),
        Row(
            "warnings of the triggerer that its event loop was blocked, other than by a full garbage collection",
            sum(not stall.is_explained(collections) for stall in stalls),
            0,
        ),
        Row("full garbage collections in the triggerer", len(collections), 1),
        # If there are warnings, this shows whether the machine was the cause.
        Row("stalls of an idle event loop in another process, at the same time", len(late)),
    ]


def rows(tasks: int = TASKS) -> list[Row]:
    """The rows with their budgets."""
    with tempfile.TemporaryDirectory(prefix="azureml-waiting-") as home:
        return measure(tasks, Path(home))


if __name__ == "__main__":
    print(as_text(rows(*map(int, sys.argv[1:]))))
