"""Task instances of a real Airflow that can be brought to a moment and killed there."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import signal
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import count
from pathlib import Path

import airflow_sqlite
from local_airflow import AIRFLOW_3, LocalAirflow
from postgres import Postgres
from processes import Guard, ServiceError
from support.oracles import job_promises
from support.oracles.promises import Act, Task, violations
from support.services.held_workspace import HeldWorkspace
from task_instances import TaskInstances
from task_log import tail

DAGS = Path(__file__).parents[2] / "kills" / "dags"
#: Seconds until something that must happen has happened, on a machine that has much else to do.
PATIENCE = 600
PIPELINES = 120
#: Each has a workspace name of its own, and a connection under the same name: so all requests of a case tell whose they
#: are, also that for a job whose id nobody knows yet.
COMPONENTS = tuple(f"c{number}" for number in range(60))
#: For how long a request is held, so that a kill surely falls into that time.
HELD = 8
ENDED = ("success", "failed")
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
    """

    def __init__(self, home, *, retries=5, retry_delay=0, breaks=False):
        self._variables = {"KILLS_RETRIES": str(retries), "KILLS_RETRY_DELAY": str(retry_delay)}
        self._breaks = breaks
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
            if self._breaks and AIRFLOW_3:
                self._postgres = resources.enter_context(Postgres(guard, log=self._home / "postgres.log"))
            self.airflow = resources.enter_context(
                LocalAirflow(
                    guard,
                    self._home,
                    dags=DAGS,
                    connections={
                        "azureml_default": self.workspace.connection(),
                        **{name: self.workspace.connection(name) for name in COMPONENTS},
                    },
                    report=lambda what: None,
                    settings=_SETTINGS,
                    serve_tasks_apart=True,
                    database_url=None if self._postgres is None else self._postgres.url,
                    variables=self._variables,
                    restarted=self._restarted if self._breaks else None,
                )
            )
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


class Case:
    """One task instance, its pipeline and its runs.

    Args:
        world: Where it lives.
        name: The DAG run's id, and the experiment.
        dag_id: ``on_worker`` or ``deferred``.
        pipeline: Its own pipeline or component, so that faults meet no other case's requests.
        is_job: Whether it runs a component.
    """

    def __init__(self, world, name, dag_id, pipeline, *, is_job):
        self._world = world
        self._workspace = world.workspace
        self.name = name
        self.task = Task(dag_id, name, "run")
        self.may_go_on = False
        self.is_job = is_job
        self._pipeline = pipeline
        self._watcher = None
        self._started = None
        self._logs = Path(world.airflow.logs, f"dag_id={dag_id}", f"run_id={name}", "task_id=run")

    def __str__(self):
        return str(self.task)

    @property
    def info(self):
        """The task instance, as Airflow tells it."""
        return self._world.tasks.read().get(tuple(self.task), {})

    @property
    def state(self):
        return self.info.get("state")

    @property
    def is_deferred(self):
        """Whether it waits for its run in a triggerer."""
        return self.task.dag_id.startswith("deferred")

    def once(self):
        """Another task instance instead of it, without retries."""
        self._world.cases.remove(self)
        return self._world.case(f"{self.name}-once", deferred=self.is_deferred, kind="_once")

    def runs(self):
        """Its runs, oldest first, as the workspace records them."""
        return self._workspace.record(self.name)

    def statuses(self):
        return [run["status"] for run in self.runs()]

    def requests(self, method=None):
        """The logged requests of a case that runs a component."""
        assert self.is_job
        return self._workspace.requests(method, f"/workspaces/{self._pipeline}/")

    # --- what a test does ---

    def start(self):
        self._world.tasks.trigger(self.task.dag_id, self.name, {"pipeline": self._pipeline})

    def start_and_wait(self):
        """Start it, and wait until it waits for its run."""
        self.start()
        self.until_waiting()

    def finish(self, fails=None):
        """Let its newest run end."""
        self._workspace.finish(self.runs()[-1]["id"], fails)

    def finish_each(self):
        """Let its newest run end, again and again, until the task has ended."""

        def has_ended():
            if self.statuses()[-1:] == ["Running"]:
                self.finish()
            return self.state in ENDED

        self.until(has_ended, "it has ended")

    def clear(self):
        self._act("clear")
        self._world.tasks.clear(*self.task)

    def mark(self, state):
        self._act(f"mark_{state}")
        self._world.tasks.mark(*self.task, state=state)

    def mark_dag_run(self, *, becomes="failed"):
        """Mark its whole DAG run as failed: Airflow fails a task that runs, and skips one that waits for its turn."""
        self._act(f"mark_{becomes}")
        self._world.tasks.mark_dag_run(self.task.dag_id, self.task.run_id, "failed")

    def expect_its_deadline(self, timeout):
        """Note that its run has to end so many seconds after it began."""
        began = self.until(lambda: self.info.get("start_date"), "it has begun")
        self._world.acts.append(Act(datetime.fromisoformat(began).timestamp() + timeout - 1, "deadline", self.task))

    def drain(self):
        """Shut down its worker, as a node that is drained does: SIGTERM to its supervisor."""
        processes = self.until(lambda: self._world.tasks.processes(*self.task), "it has a process")
        os.kill(processes.supervisor, signal.SIGTERM)
        self._world.counted("SIGTERM to a supervisor")

    @contextlib.contextmanager
    def tested(self):
        """Let a person test it, ``airflow tasks test``; gives the command and its output's file."""
        log = Path(self._world.airflow.logs, f"{self.name}-tested.log")
        testing = self._world.airflow.command("tasks", "test", self.task.dag_id, self.task.task_id, self.name, log=log)
        self._world.counted(f"airflow tasks test {self.state}")
        try:
            yield testing, log
        finally:
            testing.kill()
            testing.wait()

    def kill(self, what, *, just_after=lambda: None):
        """Kill -9 its ``task`` process, that one's ``supervisor``, or ``both``; just after something else."""
        self.note_try()
        processes = self.until(lambda: self._world.tasks.processes(*self.task), "it has a process")
        just_after()
        for pid in {"task": processes[:1], "supervisor": processes[1:], "both": processes[::-1]}[what]:
            os.kill(pid, signal.SIGKILL)
        self._world.counted(f"kill -9 of {what}")

    def fault(self, kind, where, **details):
        """Put a fault in front of one kind of this case's requests; see :data:`_REQUESTS`."""
        method, path = (_JOB_REQUESTS if self.is_job else _REQUESTS)[where]
        run = self.runs()[-1]["id"] if "{run}" in path else None
        path = path.format(pipeline=self._pipeline, name=self.name, run=run)
        return self._workspace.faults.add(kind, method=method, path=path, **details)

    def hold(self, where, seconds=HELD):
        """Let the next such request take so long that a kill falls into it; it is carried out all the same."""
        return self.fault("delay", where, seconds=seconds)

    # --- what a test waits for ---

    def until(self, condition, what, *, timeout=PATIENCE):
        deadline = time.monotonic() + timeout
        while not (result := condition()):
            assert time.monotonic() < deadline, f"{self}: waited {timeout} s in vain until {what}; {self.told()}"
            assert not self._world.closing.wait(0.05), f"{self}: given up"
        return result

    def until_met(self, fault):
        """Wait until a fault has met its request."""
        self.until(lambda: not self._workspace.awaits(fault), f"the {fault.kind} at {fault.path} has met a request")

    def until_state(self, *states):
        self.until(lambda: self.state in states, f"it is {' or '.join(map(str, states))}")

    def until_dag_run_ended(self):
        """Wait until its DAG run has ended too: a clear just before that leaves an ended DAG run with a task to do."""
        path = f"/dags/{self.task.dag_id}/dagRuns/{self.name}"
        self.until(lambda: self._world.airflow.get(path)["state"] in ENDED, "its DAG run has ended")

    def until_waiting(self):
        """Wait until its newest run is active and watched."""
        self.until(lambda: self.statuses()[-1:] == ["Running"], "its run is active")
        if self.is_deferred:
            self.until(lambda: self.state == "deferred" and self.info.get("triggerer_job"), "a triggerer has it")
        else:
            run = self.runs()[-1]["id"]
            path = f"jobs/{run}" if self.is_job else f"PipelineRuns/{run}"
            self.until(lambda: self._workspace.requests("GET", path), "it looks at its run")
        self._watcher = (self.info.get("triggerer_job") or {}).get("id")

    def until_watched_by_another(self):
        """Wait until another triggerer than before has its trigger."""
        self.until(
            lambda: (self.info.get("triggerer_job") or {}).get("id") not in (None, self._watcher),
            "another triggerer has it",
        )

    def until_given_up_by(self, triggerer):
        """Wait until a triggerer, which watched its run before another one did, has noticed that."""
        # Airflow 3 says so in the task's log, Airflow 2 in the triggerer's.
        end = "trigger completed" if AIRFLOW_3 else rf"trigger {self.task.dag_id}/{self.name}/.* completed"

        def has_ended():
            own = self._logs.glob(f"attempt=*.log.trigger.{self._watcher}.log")
            logs = own if AIRFLOW_3 else [self._world.airflow.log(triggerer)]
            return any(re.search(end, log.read_text()) for log in logs)

        self.until(has_ended, f"{triggerer} has given it up")

    def until_runs(self, number):
        self.until(lambda: len(self.runs()) >= number, f"it has {number} runs")

    def until_tried_again(self):
        """Wait until its next try is on a worker or has gone further, after a kill."""
        # Airflow 2 does not always count tries, and lets a task whose supervisor is gone defer all the same.
        self.until(
            lambda: (
                self.state == "deferred"
                or (self.state in {"running", *ENDED} and self.info["start_date"] != self._started)
            ),
            "it is tried again",
        )

    def note_try(self):
        """Remember the present try, as it is about to be killed."""
        self._started = self.info.get("start_date")

    def check(self, state, statuses=None):
        """Make sure that it ended as it should, and that the workspace's record keeps every promise.

        Args:
            state: The task's final state.
            statuses: Those of its runs, oldest first; None: whatever the promises allow.
        """
        self.until_state(state)
        self.until(lambda: self.may_go_on or "Running" not in self.statuses(), "none of its runs is active")
        found = self._world.violations(self)
        assert not found, "\n".join([*map(str, found), self.told()])
        assert statuses is None or self.statuses() == statuses, self.told()

    def said(self, text):
        """How often something stands in its logs."""
        return sum(log.read_text().count(text) for log in self._logs.glob("attempt=*.log*"))

    def told(self):
        """Everything that helps to understand."""
        logs = [f"--- {log.name}\n{tail(log, 25)}" for log in sorted(self._logs.glob("attempt=*.log*"))]
        runs = [f"{run['id']} {run['status']} {run['created']} {run['ended']} {run['tags']}" for run in self.runs()]
        info = {name: self.info.get(name) for name in ("state", "try_number", "max_tries", "start_date", "end_date")}
        return "\n".join([str(self), str(info), *runs, *logs])

    def _act(self, kind):
        self._world.acts.append(Act(self._workspace.clock.now(), kind, self.task))
        self._world.counted(f"{kind.replace('_', ' ')} {self.state}")


#: Each kind of request of one case: method and path.
_REQUESTS = {
    "submit": ("POST", "*/PipelineRuns/PipelineSubmit/{pipeline}"),
    "look up": ("POST", "*/experiments/{name}/runs:query"),
    "look at": ("GET", "*/PipelineRuns/{run}"),
    "explain": ("GET", "*/experiments/{name}/runs/*/details"),
}
#: The same of a case that runs a component. What it looks up after a doubt is the id, so that is its look at the job.
_JOB_REQUESTS = {
    "submit": ("PUT", "*/workspaces/{pipeline}/jobs/*"),
    "look up": ("GET", "*/workspaces/{pipeline}/jobs/*"),
    "look at": ("GET", "*/workspaces/{pipeline}/jobs/{run}"),
    "explain": _REQUESTS["explain"],
}


def at_once(scripts):
    """Start callables in threads, a few at a time; returns their futures by name."""
    pool = ThreadPoolExecutor(max_workers=_AT_ONCE)
    futures = {name: pool.submit(script) for name, script in scripts.items()}
    pool.shutdown(wait=False)
    return futures
