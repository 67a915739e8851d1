"""A storm: a plan that is carried out on a real Airflow, and what came of it."""

from __future__ import annotations

import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from chaos.blob_load import BlobLoad
from chaos.breakage import Breakage, ClusterBreakage
from chaos.journal import Journal
from chaos.people import ENDED, People
from chaos.pipeline_load import LONG, TASKS, Start
from chaos.plan import REQUESTS, Plan
from chaos.witnesses import Witnesses
from chaos.workspace import StormWorkspace
from local_airflow import LocalAirflow, free_port
from postgres import Postgres
from processes import Guard, ServiceError
from task_instances import TaskInstances

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, Self

DAGS = Path(__file__).parent / "dags"
#: A DAG run that brings the first key of this workspace before anything breaks: later doubts need that evidence.
FIRST = Start(0, "pipelines_deferred", "before-the-storm", ("1", "1", "1"))
# Seconds until DAGs are loaded, and for each DAG run until all have ended, on a machine that has much else to do.
_LOADED, _CALM, _SETTLED = 180, 900, 300
# And for the runs of tasks that have ended, which others than the task may have to end.
_RESTS = 60
# Seconds after which people end what would go on for ever.
_PATIENCE = 60
_TOLD_EVERY = 120
# Seconds after which Celery delivers a task again that has not ended.
_VISIBILITY_TIMEOUT = 12


class OverError(Exception):
    """The storm ended before its time, because something else failed."""


class Storm:
    """A context manager that runs Airflow and its workspace, for one plan.

    Args:
        plan: What to do.
        home: A folder for Airflow.
        report: Told what has happened so far.
        variables: More environment variables of Airflow's processes.
    """

    def __init__(
        self, plan: Plan, home: Path, report: Callable[[str], None], variables: Mapping[str, str] | None = None
    ) -> None:
        self.plan = plan
        self.journal = Journal()
        self.workspace = StormWorkspace(
            BlobLoad.pipelines(), BlobLoad.components(), BlobLoad.datastores(), quirks=plan.quirks
        )
        self.load = BlobLoad(plan.seed, plan.scale, self.workspace)
        self._home = home
        self._report = report
        self._variables = {"STORM_DEADLINE": str(plan.size.deadline), **(variables or {})}
        self._over = threading.Event()
        self._calm_at = 0.0
        self._siblings = {task: start.tasks for start in plan.starts for task in start.tasks}

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as resources:
            guard = resources.enter_context(Guard())
            resources.enter_context(self.workspace)
            resources.enter_context(self.load)
            self.load.prepare()
            self.airflow, self._breakage = self._prepare(guard, resources)
            resources.enter_context(self.airflow)
            if "triggerer-2" not in self.airflow.components:
                self.airflow.start("triggerer-2")
            self._tasks = TaskInstances(self.airflow)
            self.people = People(self.airflow, self._tasks, self.workspace, self.journal, self._siblings.__getitem__)
            self.witnesses = Witnesses(self.airflow, self.plan.size.deadline)
            for dag_id in self._wait_for_dags():
                self.airflow.unpause(dag_id)
            self._resources = resources.pop_all()
        return self

    def __exit__(self, *details: object) -> None:
        self._over.set()
        self._resources.close()

    def rage(self) -> None:
        """Carry out the plan.

        Raises:
            ServiceError: A component does not come up again.
        """
        self._trigger(FIRST)
        self.airflow.wait(lambda: self._has_ended(FIRST), "the first pipelines have run", timeout=_CALM)
        self._report("the storm begins")
        self.load.start()
        begun = time.monotonic()

        def each(acts: Iterable, do: Callable) -> None:
            for act in acts:
                self._sleep(begun + act.at - time.monotonic())
                do(act)

        pool = ThreadPoolExecutor()
        lanes = [
            pool.submit(each, self.plan.starts, self._trigger),
            pool.submit(each, self.plan.task_kills, self._breakage.kill_task),
            pool.submit(each, self.plan.breaks, self._breakage.break_component),
            pool.submit(each, self.plan.troubles, self._make_trouble),
            pool.submit(self.people.play, self.plan.stories, begun, self._sleep),
        ]
        try:
            self._wait_for(lanes)
        finally:
            # Where one has failed the others end at their next step, or when Airflow is gone.
            self._over.set()
            pool.shutdown(wait=False, cancel_futures=True)
        self.workspace.faults.clear()
        self.load.stop()
        self._report(f"the storm is over after {time.monotonic() - begun:.0f} s")

    def calm(self) -> None:
        """Wait until every DAG run has ended, and every blob version has arrived or surely will not."""
        self._calm_at = time.monotonic()
        for condition, what, timeout in (
            (self._all_have_ended, "every DAG run has ended", _CALM),
            (lambda: self.load.settled(self.airflow), "every blob has arrived", _SETTLED),
            (self.workspace.rests, "no run goes on", _RESTS),
        ):
            try:
                self.airflow.wait(condition, what, timeout=timeout)
            except ServiceError as error:
                # What goes on or is missing then, the oracle names.
                self._report(str(error))

    def dag_ids(self) -> list[str]:
        """All DAGs."""
        return [dag["dag_id"] for dag in self.airflow.get("/dags", limit=500)["dags"]]

    def deliveries(self) -> dict[str, int]:
        """How often Celery delivered a task that had a process already, for the report; nothing without Celery."""
        return {"tasks that Celery delivered again": self.airflow.refusals()} if self._is_cluster else {}

    # --- parts of it ---

    @property
    def _is_cluster(self) -> bool:
        return self.plan.size.engine == "cluster"

    def _prepare(self, guard: Guard, resources: contextlib.ExitStack) -> tuple[LocalAirflow, Breakage]:
        """An Airflow that has not been started, and what breaks it; what it needs has been started."""
        options: dict[str, Any] = {
            "dags": DAGS,
            "connections": {"azureml_default": self.workspace.connection(), **self.load.connections()},
            "report": self._report,
            "settings": _settings(self.plan),
            "variables": self._variables,
            # Elsewhere too somebody starts again what has ended.
            "restarted": partial(self.journal.note, "start of a component that ended by itself"),
        }
        if self.plan.size.engine == "SQLite":
            airflow = LocalAirflow(guard, self._home, serve_tasks_apart=True, **options)
            return airflow, Breakage(airflow, self.journal, self._sleep)
        database = resources.enter_context(Postgres(guard, log=self._home / "postgres.log"))
        if not self._is_cluster:
            airflow = LocalAirflow(guard, self._home, serve_tasks_apart=True, database_url=database.url, **options)
            return airflow, Breakage(airflow, self.journal, self._sleep)
        # Only the environment of a cluster has what these import.
        from airflow_cluster import AirflowCluster
        from valkey import Valkey

        broker = resources.enter_context(Valkey(guard, port=free_port(), log=self._home / "valkey.log"))
        cluster = AirflowCluster(
            guard,
            self._home,
            broker=broker,
            database_url=database.url,
            visibility_timeout=_VISIBILITY_TIMEOUT,
            **options,
        )
        return cluster, ClusterBreakage(cluster, self.journal, self._sleep, broker=broker, database=database)

    def _wait_for(self, lanes: list) -> None:
        told = time.monotonic()

        def are_done() -> bool:
            nonlocal told
            for lane in lanes:
                if lane.done():
                    lane.result()
            if time.monotonic() - told > _TOLD_EVERY:
                told = time.monotonic()
                faults = sum(request["fault"] is not None for request in self.workspace.requests())
                self._report(
                    f"{self.journal.kills()} kills, {faults} faults, {len(self.workspace.record())} runs so far"
                )
            return all(lane.done() for lane in lanes)

        self.airflow.wait(are_done, "the storm is over", timeout=10 * self.plan.size.seconds + _CALM)

    def _sleep(self, seconds: float) -> None:
        if self._over.wait(max(0.0, seconds)):
            raise OverError

    def _trigger(self, start: Start) -> None:
        while True:
            try:
                self._tasks.trigger(start.dag_id, start.run_id, start.conf)
            except ServiceError as error:
                # Airflow is away; or it was, after it had taken this.
                if "409" in str(error):
                    return
                self._sleep(1)
            else:
                return

    def _make_trouble(self, trouble) -> None:
        method, path = REQUESTS[trouble.where]
        self.workspace.faults.add(trouble.kind, method=method, path=path, **trouble.details)

    def _wait_for_dags(self) -> list[str]:
        def are_loaded() -> list[str] | None:
            found = self.dag_ids()
            return found if set(TASKS) <= set(found) else None

        return self.airflow.wait(are_loaded, "all DAGs are loaded", timeout=_LOADED)

    def _has_ended(self, start: Start) -> bool:
        return self.airflow.get(f"/dags/{start.dag_id}/dagRuns/{start.run_id}")["state"] in ENDED

    def _all_have_ended(self) -> bool:
        try:
            for dag_id in TASKS:
                runs = self.witnesses.dag_runs(dag_id)
                if not all(state in ENDED for state in runs.values()):
                    self._end_what_goes_on()
                    return False
            forgotten = [task for task, state in self.witnesses.endings(TASKS).items() if state is None]
            for task in forgotten:
                # A clear that met the end of its DAG run: the DAG run has ended, and Airflow does not look at it again.
                self.journal.note("clear of a task that Airflow forgot", str(task))
                self.people.clear(task)
        except ServiceError:
            return False
        return not forgotten

    def _end_what_goes_on(self) -> None:
        """Let people end, some time after the last story, what no story has ended: Airflow may lose a mark."""
        if time.monotonic() < self._calm_at + _PATIENCE:
            return
        for task, state in self.witnesses.endings(LONG).items():
            if state in {"running", "deferred"}:
                self.people.cancel(task)


def _settings(plan: Plan) -> dict[str, dict[str, object]]:
    small = plan.size.engine == "SQLite"
    return {
        "core": {"parallelism": plan.size.parallelism, "max_active_tasks_per_dag": 500, "max_active_runs_per_dag": 500},
        "api": {"maximum_page_limit": 1000},
        # Heartbeats and what follows from missing ones, in seconds where they take minutes otherwise.
        "scheduler": {
            "job_heartbeat_sec": 2,
            "scheduler_heartbeat_sec": 2,
            # On a busy machine a scheduler that counts as dead too soon takes its own tasks for orphans.
            "scheduler_health_check_threshold": 15 if small else 60,
            "orphaned_tasks_check_interval": 5,
            "task_instance_heartbeat_timeout": {"SQLite": 20, "PostgreSQL": 60, "cluster": 30}[plan.size.engine],
            "task_instance_heartbeat_timeout_detection_interval": 3,
            # A task whose worker died before it had begun.
            "task_queued_timeout": 30 if small else 120,
            "task_queued_timeout_check_interval": 5,
            "num_stuck_in_queued_retries": 100,
        },
        "triggerer": {"job_heartbeat_sec": 2, "triggerer_health_check_threshold": 11 if small else 20},
        "azureml": {"deployment_id": "chaos", "lookup_grace": 8, "retry_budget": 15},
    }
