"""Thousands of deferred tasks over two triggerers of an Airflow with PostgreSQL: what waiting and its end cost.

A few tasks run and defer for real. Their rows in the metadata database are then multiplied: to execute thousands of
tasks would take hours, and what is measured begins when a task has deferred. Triggers, triggerers, requests and the end
of each wait are real. It takes half an hour: ``python benchmarks/cluster_scale.py 200 80`` is for a try.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
import urllib.request
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

_ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(_ROOT / "scripts"))

import cluster_figures  # noqa: E402 - found by the line above
from cluster_counters import Counters, costs_of, cpu_seconds, percentile, polled, written  # noqa: E402
from cluster_database import Database, Deferred  # noqa: E402
from cluster_figures import EARLY_SECONDS, INTERVAL, TRIGGERERS, WINDOW, Ends, Found, Measured, Size  # noqa: E402
from listing import serving  # noqa: E402
from local_airflow import LocalAirflow  # noqa: E402
from local_workspace import LocalWorkspace  # noqa: E402
from postgres import Postgres  # noqa: E402
from processes import Guard, ServiceError  # noqa: E402
from rows import as_markdown, as_text  # noqa: E402
from triggerer import LOCAL_SETTINGS, collections_of, idle_loop, say, stalls_of  # noqa: E402
from watched_dag import WatchedDag  # noqa: E402

from aml_provider.client import calls  # noqa: E402
from aml_provider.client.http.clients import Client  # noqa: E402
from aml_provider.client.secret import Secret  # noqa: E402
from aml_provider.client.settings import WorkspaceSettings  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

RUNS, FOLDERS = 5000, 2000
_SHARES = (0.1, 0.2, 0.5, 1.0)
# Seconds in which each run is polled at least once, as a poll may be a quarter of an interval late, and each folder 1.5
# times in the mean.
_ALL_POLLED = 1.5 * INTERVAL
_LISTINGS = 1.4
# A connection of PostgreSQL that is idle may report its rows 10 seconds later.
_LATE = 11.0
# One of five runs ends while the others continue, spread over two minutes, as with runs of ten minutes each.
_EARLY_SHARE = 0.2
_RUN_SECONDS = 3600.0  # as in the local workspace's demo
# Between the ends of the early runs and that of all others, by the workspace's clock.
_APART = 900.0
_PATIENCE = 1800.0
# Tasks in a pool without slots stay as their triggers leave them: no worker takes the processors from what is measured.
_POOL = "held"
_IDLE = "idle_trigger.IdleTrigger"
_FOLDER = "n100x"


class _Cluster:
    """Airflow with its database, the workspace and the blob storage, while they run."""

    def __init__(
        self, airflow: LocalAirflow, database: Database, workspace: LocalWorkspace, blobs: str, home: Path
    ) -> None:
        self.airflow = airflow
        self.database = database
        self.workspace = workspace
        self.home = home
        self._blobs = blobs

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for a condition, and ask once a second: each question costs the database something."""

        def ask() -> bool:
            time.sleep(1)
            return condition()

        self.airflow.wait(ask, what, timeout=_PATIENCE)

    def counters(self) -> Counters:
        """All counts at this moment."""
        loops = supervisors = 0.0
        for name in TRIGGERERS:
            for process in self.airflow.component_processes(name):
                spent = cpu_seconds(Path(f"/proc/{process.pid}/stat").read_text())
                # The component's own process is a child of ours.
                if process.parent == os.getpid():
                    supervisors += spent
                else:
                    loops += spent
        return Counters(
            time.monotonic(),
            loops,
            supervisors,
            self.database.commits(),
            self.database.tables(),
            len(self.workspace.requests()),
            self._listings(),
        )

    def measure(self, size: Size) -> Measured:
        """The costs of waiting, in a window from now on."""
        self.workspace.forget_requests()
        before = self.counters()
        time.sleep(WINDOW)
        costs = costs_of(before, self.counters(), INTERVAL)
        shares = tuple(sorted((n for job, n in self.database.triggers().items() if job is not None), reverse=True))
        say(f"{size.runs} runs and {size.folders} folders over {shares}: {costs}")
        return Measured(size, costs, shares)

    def until_taken(self, triggers: int) -> None:
        """Wait until the triggerers have taken all triggers, of which there are this many."""

        def are_taken() -> bool:
            found = self.database.triggers()
            return None not in found and sum(found.values()) == triggers

        began = time.monotonic()
        self.until(are_taken, f"the triggerers have taken {triggers} triggers")
        say(f"the triggerers have taken {triggers} triggers after {time.monotonic() - began:.0f} s")

    def until_polled(self, size: Size) -> None:
        """Wait until all runs and all folders are polled as often as they should: their triggers have started."""
        began = time.monotonic()
        runs = listings = 0
        while runs < size.runs or listings < int(_LISTINGS * size.folders):
            if time.monotonic() - began > _PATIENCE:
                raise ServiceError(
                    f"only {runs} runs are polled, with {listings} listings in {_ALL_POLLED:.0f} s",
                    self.airflow.log("triggerer"),
                )
            self.workspace.forget_requests()
            before = self._listings()
            time.sleep(_ALL_POLLED)
            runs, listings = len(polled(self.workspace.requests())), self._listings() - before
        say(f"{runs} runs are polled, with {listings} listings, after {time.monotonic() - began:.0f} s")

    def _listings(self) -> int:
        with urllib.request.urlopen(f"{self._blobs}/_counts") as reply:  # noqa: S310 - our own server
            return int(reply.read())


class _Runs(NamedTuple):
    """The runs for which copies wait, by the DAG run of the copy.

    Args:
        early: Those that end one after the other.
        together: Those that end at one moment, later.
    """

    early: dict[str, str]
    together: dict[str, str]

    def part(self, first: int, last: int) -> list[tuple[str, str]]:
        """Some of them; early ones come first."""
        return [*self.early.items(), *self.together.items()][first:last]


def _submit(workspace: LocalWorkspace, pipeline_id: str, count: int) -> _Runs:
    """Submit runs, by a clock that is moved so that they end as they should."""
    settings = WorkspaceSettings(
        subscription_id="00000000-0000-0000-0000-000000000000",
        resource_group="local",
        workspace_name="local",
        auth_method="static_token",
        endpoint=workspace.url,
        secret=Secret(workspace.token),
    )
    early = max(1, round(_EARLY_SHARE * count))
    workspace.hold_clock(held=True)
    with Client(settings) as client:

        def submit() -> str:
            return client.call(calls.submit_pipeline(pipeline_id, {"ExperimentName": "waiting"})).id

        runs = _Runs({}, {})
        for number in range(early):
            workspace.move_clock(EARLY_SECONDS / early)
            runs.early[f"early-{number}"] = submit()
        workspace.move_clock(_APART)
        runs.together.update({f"together-{number}": submit() for number in range(count - early)})
    workspace.hold_clock(held=False)
    return runs


def measure(size: Size, home: Path) -> Found:
    """Let tasks defer, multiply them, and let their runs end, in a folder of their own."""
    # A triggerer has one open file for the log of each task that has deferred.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    (home / "config").mkdir()
    (home / "config" / "airflow_local_settings.py").write_text(LOCAL_SETTINGS)
    with (
        Guard() as guard,
        serving() as blobs,
        LocalWorkspace(guard, blob_endpoint=f"{blobs}/account", log=home / "workspace.log") as workspace,
        Postgres(guard, log=home / "postgres.log") as postgres,
        LocalAirflow(
            guard,
            home,
            dags=_ROOT / "benchmarks" / "cluster_dags",
            connections={"azureml_default": workspace.connection()},
            report=say,
            settings=_settings(size),
            database_url=postgres.url,
            variables={
                "AIRFLOW__AZUREML__DEPLOYMENT_ID": "benchmark",
                "AZUREML_BENCHMARK_COLLECTIONS": str(home / "collections.log"),
                "AZUREML_BENCHMARK_FOLDER": f"{blobs}/account/{_FOLDER}0",
                "PYTHONPATH": str(_ROOT / "benchmarks" / "cluster_python"),
            },
        ) as airflow,
        Database(postgres.url) as database,
        idle_loop() as late,
    ):
        airflow.start(TRIGGERERS[1])
        found = _play(_Cluster(airflow, database, workspace, blobs, home), size)
    return found._replace(late=len(late))


def _settings(size: Size) -> dict[str, dict[str, object]]:
    return {
        # No more than can work at the same time.
        "core": {"parallelism": os.cpu_count() or 1},
        # While thousands of tasks wait, the DAG processor has nothing better to do than to read the DAGs again.
        "dag_processor": {"min_file_process_interval": 3600, "refresh_interval": 3600},
        # The default is 1,000. Each takes half, and could take a little more.
        "triggerer": {"capacity": round(0.6 * size.triggers) + 50},
    }


def _play(cluster: _Cluster, size: Size) -> Found:
    airflow, database = cluster.airflow, cluster.database
    samples = max(2, min(20, size.runs // 50))
    airflow.post("/pools", {"name": _POOL, "slots": 0})
    runs_dag, folders_dag = WatchedDag(airflow, "cluster_runs"), WatchedDag(airflow, "cluster_folders")
    runs_dag.unpause()
    folders_dag.unpause()
    # A machine that is busy with starting Airflow is no trigger's doing.
    time.sleep(INTERVAL)
    begun, earlier = time.time(), {name: len(stalls_of(airflow.log(name))) for name in TRIGGERERS}
    empty = cluster.measure(Size(0, 0))

    before = database.tables()
    for _ in range(samples):
        runs_dag.trigger()
    cluster.until(lambda: len(database.deferred("cluster_runs")) == samples, f"{samples} tasks are deferred")
    time.sleep(_LATE)
    # A Variable of the workspace is written once, and not for each task.
    kept = {table: round(writes.kept / samples) for table, writes in written(before, database.tables()).items()}
    folders_dag.trigger()
    cluster.until(lambda: len(database.deferred("cluster_folders")) == 1, "a sensor is deferred")
    sampled, (folder,) = database.deferred("cluster_runs"), database.deferred("cluster_folders")
    say(f"{samples} tasks and a sensor are deferred; each task keeps {kept}")

    names = [f"idle-{number}" for number in range(size.triggers - samples - 1)]
    database.copy(sampled[0], names, lambda _: "{}", pool=_POOL, classpath=_IDLE)
    cluster.until_taken(size.triggers)
    # The first trigger that reads a connection lets its supervisor load a part of Airflow's API server.
    cluster.until_polled(Size(samples, 1))
    idle = cluster.measure(size)
    database.delete_copies("idle-")
    cluster.until_taken(samples + 1)

    pipeline_id = cluster.workspace.runs()[0]["pipeline_id"]
    runs = _submit(cluster.workspace, pipeline_id, size.runs - samples)
    say(f"{len(cluster.workspace.runs())} runs are active")
    growth, reached = [], Size(samples, 1)
    for share in _SHARES:
        part = Size(max(round(share * size.runs), samples + 1), max(round(share * size.folders), 2))
        _add(cluster, runs, sampled[0], folder, reached, part, samples)
        cluster.until_taken(part.triggers)
        cluster.until_polled(part)
        growth.append(cluster.measure(part))
        reached = part

    ends = _end(cluster, runs, {sample.dag_run_id: sample.run_id for sample in sampled})
    collections = [start for start, _ in collections_of(cluster.home) if start > begun]
    return Found(empty, idle, growth, kept, ends, _stalls(cluster, earlier), len(collections), 0)


def _add(
    cluster: _Cluster, runs: _Runs, run: Deferred, folder: Deferred, reached: Size, part: Size, samples: int
) -> None:
    """Add copies until there are enough."""
    waits = runs.part(reached.runs - samples, part.runs - samples)
    cluster.database.copy(
        run,
        [name for name, _ in waits],
        lambda n: run.arguments.replace(run.run_id, waits[n][1]),
        pool=_POOL,
    )
    numbers = range(reached.folders, part.folders)
    cluster.database.copy_variable(folder.variable, [f"{folder.variable}-{number}" for number in numbers])
    cluster.database.copy(
        folder,
        [f"folder-{number}" for number in numbers],
        lambda n: folder.arguments.replace(
            folder.container_url, folder.container_url.removesuffix("0") + str(numbers[n])
        ).replace(folder.variable, f"{folder.variable}-{numbers[n]}"),
        pool=_POOL,
    )


def _end(cluster: _Cluster, runs: _Runs, sampled: dict[str, str]) -> Ends:
    """Let the runs end: those of the tasks that a worker resumes, then the early ones, then all others together."""
    database, dag_id = cluster.database, "cluster_runs"
    ends = _ends_after(cluster, sampled.values(), lambda: len(database.ended(dag_id)) == len(sampled))
    executed = [at.timestamp() - ends[sampled[name]] for name, at in database.ended(dag_id).items()]
    say(f"with a worker: {_delays(executed)}")
    early = _waits(cluster, "early-", runs.early)
    cluster.workspace.forget_requests()
    together = _waits(cluster, "together-", runs.together)
    return Ends(early, together, executed, len(cluster.workspace.requests()) / len(together))


def _waits(cluster: _Cluster, prefix: str, runs: Mapping[str, str]) -> list[float]:
    """Let the runs end for which the copies with this prefix wait; the seconds until the copies are resumed."""
    ends = _ends_after(cluster, runs.values(), lambda: cluster.database.waiting(prefix) == 0)
    waits = [at.timestamp() - ends[runs[name]] for name, at in cluster.database.resumed(prefix).items()]
    say(f"{prefix.removesuffix('-')}: {_delays(waits)}")
    return waits


def _ends_after(cluster: _Cluster, run_ids: Collection[str], are_noticed: Callable[[], bool]) -> dict[str, float]:
    """Move the workspace's clock to the first end of these runs and wait; their ends, by our clock."""
    workspace, wanted = cluster.workspace, set(run_ids)
    created = min(_timestamp(run["created"]) for run in workspace.runs() if run["id"] in wanted)
    workspace.move_clock(max(0.0, created + _RUN_SECONDS - 1 - workspace.now().timestamp()))
    ahead = workspace.now().timestamp() - time.time()
    say(f"{len(wanted)} runs begin to end")
    cluster.until(are_noticed, "their tasks are no longer deferred")
    return {run["id"]: _timestamp(run["ended"]) - ahead for run in workspace.runs() if run["id"] in wanted}


def _timestamp(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _delays(seconds: Collection[float]) -> str:
    return (
        f"median {percentile(seconds, 0.5):.1f} s, 99th percentile {percentile(seconds, 0.99):.1f} s,"
        f" longest {max(seconds):.1f} s of {len(seconds)}"
    )


def _stalls(cluster: _Cluster, earlier: dict[str, int]) -> int:
    """The warnings that a full garbage collection does not explain."""
    unexplained = []
    for name, known in earlier.items():
        (process,) = (p.pid for p in cluster.airflow.component_processes(name) if p.parent == os.getpid())
        collections = collections_of(cluster.home, process)
        stalls = stalls_of(cluster.airflow.log(name))[known:]
        unexplained += [stall for stall in stalls if not stall.is_explained(collections)]
    for stall in unexplained[:20]:
        say(stall.text)
    return len(unexplained)


def run(runs: int = RUNS, folders: int = FOLDERS) -> Found:
    """Measure everything, in a folder that is deleted afterwards."""
    with tempfile.TemporaryDirectory(prefix="azureml-cluster-") as home:
        return measure(Size(runs, folders), Path(home))


if __name__ == "__main__":
    results = run(*map(int, sys.argv[1:]))
    print(
        as_text(cluster_figures.rows(results)),
        as_markdown(cluster_figures.HEADINGS, cluster_figures.lines(results)),
        sep="\n\n",
    )
