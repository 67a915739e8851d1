"""A task instance of a real Airflow that can be brought to a moment and killed there, with its runs."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from datetime import datetime
from pathlib import Path

from local_airflow import AIRFLOW_3
from support.oracles.promises import Act, Task
from task_log import tail

#: Seconds until something that must happen has happened, on a machine that has much else to do.
PATIENCE = 600
#: For how long a request is held, so that a kill surely falls into that time.
HELD = 8
ENDED = ("success", "failed")


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
