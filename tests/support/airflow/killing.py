"""A real Airflow whose processes and task instances are killed, and what the workspace says of it afterwards."""

from __future__ import annotations

import contextlib
import functools
import re
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import airflow_sqlite
from local_airflow import AIRFLOW_3, LocalAirflow
from postgres import Postgres
from processes import Guard, ServiceError
from support.airflow.killed_task import PATIENCE, Case
from support.oracles import job_promises
from support.oracles.promises import violations
from support.services.held_workspace import HeldWorkspace
from task_instances import TaskInstances

DAGS = Path(__file__).parents[2] / "kills" / "dags"
PIPELINES = 120
#: Each has a workspace name of its own, and a connection under the same name: so all requests of a case tell whose they
#: are, also that for a job whose id nobody knows yet.
COMPONENTS = tuple(f"c{number}" for number in range(60))
#: How the names of DAGs without retries, with an ``execution_timeout``, or with a long pause between tries, end.
KINDS = ("", "_once", "_within_5_min", "_within_20_s", "_tried_hourly")
#: How the names of DAGs end that run a component, or the component behind a batch endpoint.
COMPONENT, BATCH_ENDPOINT = "_component", "_batch_endpoint"

# More would only wait for the processor.
_AT_ONCE = 8

_SETTINGS = {
    "core": {"parallelism": 24},
    "api": {"maximum_page_limit": 1000},
    # Heartbeats and what follows from missing ones, in seconds where they take minutes otherwise.
    "scheduler": {
        "job_heartbeat_sec": 2,
        "scheduler_heartbeat_sec": 2,
        "scheduler_health_check_threshold": 15,
        "orphaned_tasks_check_interval": 5,
        "task_instance_heartbeat_timeout": 20,
        "task_instance_heartbeat_timeout_detection_interval": 3,
        # A try that begins as its API goes away may stay queued, and Airflow looks for such after ten minutes.
        "task_queued_timeout": 60,
        "task_queued_timeout_check_interval": 5,
        # Airflow 2's names for the same. It ends tasks whose heartbeats come late on a busy machine.
        "local_task_job_heartbeat_sec": 2,
        "scheduler_zombie_task_threshold": 40,
        "zombie_detection_interval": 10,
    },
    "triggerer": {"job_heartbeat_sec": 2, "triggerer_health_check_threshold": 15},
    "azureml": {"deployment_id": "kills", "lookup_grace": 5, "retry_budget": 15},
}


class World:
    """A real Airflow, the workspace that its tasks use, and the record of what people did.

    Args:
        home: A folder for Airflow.
        retries: Of each task.
        retry_delay: Seconds between two tries.
        breaks: Components may end by themselves, and are started again; with PostgreSQL where that is installed.
        settings: More of Airflow's options, by section.
    """

    def __init__(self, home, *, retries=5, retry_delay=0, breaks=False, settings=None):
        self._variables = {"KILLS_RETRIES": str(retries), "KILLS_RETRY_DELAY": str(retry_delay)}
        self._breaks = breaks
        self._settings = _SETTINGS | (settings or {})
        self._postgres = None
        # So users have seen the real service refuse the same request again (azureml-v2-rest 4.3).
        self.workspace = HeldWorkspace(PIPELINES, COMPONENTS, quirks=["put_again=400"])
        self.acts = []
        self.cases = []
        self.counts = Counter()
        self.closing = threading.Event()
        self._counting = threading.Lock()
        self._pipelines = (f"p{number}" for number in count())
        self._components = iter(COMPONENTS)
        self._resources = contextlib.ExitStack()
        self._home = home

    def __enter__(self):
        with contextlib.ExitStack() as resources:
            guard = resources.enter_context(Guard())
            resources.enter_context(self.workspace)
            self.airflow = resources.enter_context(self.make_airflow(guard, resources))
            self.tasks = TaskInstances(self.airflow)
            kinds = (*KINDS, COMPONENT, BATCH_ENDPOINT)
            for dag_id in (name + kind for name in ("on_worker", "deferred") for kind in kinds):
                loaded = functools.partial(self._is_loaded, dag_id)
                self.airflow.wait(loaded, f"the DAG {dag_id} is loaded", timeout=PATIENCE)
                self.airflow.unpause(dag_id)
            self._resources = resources.pop_all()
        return self

    def __exit__(self, *details):
        self.closing.set()
        self._resources.close()

    def make_airflow(self, guard, resources):
        """An Airflow that has not been started, and what it needs, which has; for subclasses."""
        if self._breaks and AIRFLOW_3:
            self._postgres = resources.enter_context(Postgres(guard, log=self._home / "postgres.log"))
        url = None if self._postgres is None else self._postgres.url
        return LocalAirflow(guard, self._home, serve_tasks_apart=True, database_url=url, **self.options())

    def options(self):
        """The arguments of any Airflow."""
        return {
            "dags": DAGS,
            "connections": {
                "azureml_default": self.workspace.connection(),
                **{name: self.workspace.connection(name) for name in COMPONENTS},
            },
            "report": lambda what: None,
            "settings": self._settings,
            "variables": self._variables,
            "restarted": self._restarted if self._breaks else None,
        }

    def case(self, name, *, deferred, kind=""):
        """A task instance that is about to run, of one of the :data:`KINDS`, or of a component."""
        dag_id = ("deferred" if deferred else "on_worker") + kind
        is_job = kind in {COMPONENT, BATCH_ENDPOINT}
        case = Case(self, name, dag_id, next(self._components if is_job else self._pipelines), is_job=is_job)
        self.cases.append(case)
        return case

    def counted(self, what):
        """Count something for the figures."""
        with self._counting:
            self.counts[what] += 1

    def figures(self):
        """What was done, for the report."""
        runs = self.workspace.record()
        done = [f"{number} x {what}" for what, number in sorted(self.counts.items())]
        lost = sum(run["fault"] is not None for run in self.workspace.requests())
        broken = len(self.violations(*self.cases))
        jobs = sum(run["job"] is not None for run in runs)
        shown = f"{len(runs)} pipeline runs, of which {jobs} are jobs"
        total = f"{len(self.cases)} task instances, {shown}, {lost} requests held or lost"
        return [f"{total}; {broken} promises broken", *done]

    def kill(self, component, *, alone=False):
        """Kill a component with SIGKILL: all of it, or only the process that was started."""
        for case in self.cases:
            case.note_try()
        self.airflow.kill(component, alone=alone)
        self.counted(f"kill -9 of {component.rstrip('-0123456789')}{' alone' if alone else ''}")

    @contextlib.contextmanager
    def frozen(self, component):
        """Let a component stand still meanwhile."""
        self.counted(f"stop and resume of {component.rstrip('-0123456789')}")
        with self.airflow.frozen(component):
            yield

    @contextlib.contextmanager
    def database_away(self):
        """Let Airflow's database be gone meanwhile, or on SQLite let nobody write."""
        self.counted("database away")
        away = airflow_sqlite.locked(self.airflow.database) if self._postgres is None else self._postgres.away()
        with away:
            yield
        # Its components may have ended, and are started again.
        self.airflow.start()

    def start(self, *components):
        self.airflow.start(*components)

    def start_another(self, component, *, clock=None):
        """Start one more of a component's kind; returns its name.

        Args:
            component: One of the kind.
            clock: The environment variables of one whose clock is off. Airflow may never call such a one healthy.
        """
        kind, number = re.fullmatch(r"(.*?)(?:-(\d+))?", component).groups()
        another = f"{kind}-{int(number or 1) + 1}"
        self.airflow.start(another, variables=clock, healthy=clock is None)
        return another

    def violations(self, *cases):
        """What the workspace's record says about cases that have ended: none, if all is well."""
        tasks = {case.task for case in cases}
        runs = [run for case in cases for run in case.runs()]
        found = violations(
            runs,
            [act for act in self.acts if act.task in tasks],
            endings={case.task: case.state for case in cases},
            may_go_on={case.task for case in cases if case.may_go_on},
        )
        requests = [request for case in cases if case.is_job for request in case.requests()]
        return found + job_promises.violations(runs, requests)

    def _restarted(self, component):
        self.counted(f"start of {component}, which had ended by itself")

    def _is_loaded(self, dag_id):
        try:
            return self.airflow.get(f"/dags/{dag_id}")["dag_id"] == dag_id
        except ServiceError:
            return False


def at_once(scripts):
    """Start callables in threads, a few at a time; returns their futures by name."""
    pool = ThreadPoolExecutor(max_workers=_AT_ONCE)
    futures = {name: pool.submit(script) for name, script in scripts.items()}
    pool.shutdown(wait=False)
    return futures
