"""Tries of the real operator over real HTTP that are interrupted at any of their actions, on a clock that is driven.

An action is a request, or a write of the record, of a Variable, or of an XCom: what another process could see. A try
can be stopped before or after each, and each request can lose its reply or be answered by a 5xx.
"""

from __future__ import annotations

import itertools
from functools import partial
from types import SimpleNamespace
from typing import NamedTuple

from support.airflow.task import RunPipeline, Task, TaskInstance, TaskStateStore
from support.services.local_workspace import Workspace

from aml_provider.client.http import clients
from aml_provider.client.http.messages import Pause
from aml_provider.compat import TaskDeferred
from aml_provider.durable import evidence, submission
from aml_provider.state import variables
from aml_provider.worker import run_pipeline

#: For a write.
STOPS = ("stop before", "stop after")
#: For a request, besides stops: the fate of the request and of its reply.
LOSSES = ("lost, not done", "lost, done", "503, not done", "503, done")
_FAULTS = {
    "lost, not done": {"kind": "refuse"},
    "lost, done": {"kind": "drop"},
    "503, not done": {"kind": "status", "status": 503},
    "503, done": {"kind": "status", "status": 503, "after_commit": True},
}


class Stop(BaseException):
    """The process is gone: kill -9."""


class Interruption(NamedTuple):
    """What happens at which action of a try; 0: nothing."""

    at: int
    kind: str


class Script:
    """Counts the actions of a try and interrupts one."""

    def __init__(self, emulator):
        self._emulator = emulator
        self.begin(Interruption(0, ""))

    def begin(self, interruption):
        self._interruption = interruption
        #: The kind of each action so far: ``request``, ``write``.
        self.actions = []
        self._dead = False

    def act(self, kind, action):
        if self._dead:
            # What a dead process does is not done: its context managers do not run either.
            raise Stop
        self.actions.append(kind)
        at, what = self._interruption
        if len(self.actions) != at:
            return action()
        if what == "stop before":
            self._die()
        if what in _FAULTS:
            self._emulator.faults.add(**_FAULTS[what])
        result = action()
        if what == "stop after":
            self._die()
        return result

    def _die(self):
        self._dead = True
        raise Stop


class Variables(dict):
    """Airflow's Variables, in memory; each write is an action."""

    def __init__(self, script):
        super().__init__()
        self.script = script

    def write(self, key, value, description):
        self.script.act("write", lambda: self.__setitem__(key, value))

    def delete(self, key):
        self.script.act("write", lambda: self.pop(key, None))


class Store(TaskStateStore):
    """The task state store; each write is an action."""

    def __init__(self, script):
        super().__init__()
        self.script = script

    def set(self, key, value):
        self.script.act("write", lambda: super(Store, self).set(key, value))


class WatchedTaskInstance(TaskInstance):
    """A task instance; each XCom is an action."""

    def __init__(self, script):
        super().__init__()
        self.script = script
        self.try_number = 1

    def xcom_push(self, key, value):
        self.script.act("write", lambda: super(WatchedTaskInstance, self).xcom_push(key, value))


class Life(Task):
    """One task instance through tries, clears and interruptions, on a workspace of its own.

    Args:
        world: The workspace.
        store: Keep the record in a task state store, or else in Variables.
        deferrable: Defer while the run goes on.
        target: What is run, as arguments of the operator.
    """

    def __init__(self, world, *, store, deferrable, **target):
        world.renew()
        self.world = world
        self.script = world.script
        self.store = Store(world.script) if store else None
        self.ti = WatchedTaskInstance(world.script)
        self.deferrable = deferrable
        self.target = target or {"pipeline_id": "quick"}
        self.generation = 0
        #: The clear-generation in which each run was submitted.
        self.generations = {}

    @property
    def context(self):
        return {"ti": self.ti} | ({"task_state_store": self.store} if self.store is not None else {})

    def attempt(self, interruption=Interruption(0, "")):  # noqa: B008 - immutable
        """One try; returns the run's id, or the error that ended it."""
        self.script.begin(interruption)
        try:
            return self._attempt()
        except Stop as stop:
            return stop
        except Exception as error:  # noqa: BLE001 - whatever it is, a retry follows
            return error
        finally:
            self.world.emulator.faults.clear()
            for run_id in self.world.emulator.state.runs:
                self.generations.setdefault(run_id, self.generation)

    def _attempt(self):
        operator = partial(RunPipeline, poll_interval=30, deferrable=self.deferrable, **self.target)
        try:
            return operator().execute(self.context)
        except TaskDeferred as deferred:
            trigger = deferred.trigger
        self.world.advance(100)
        event = {"run_id": trigger.run_id, "experiment_name": trigger.experiment_name, "outcome": "ended"}
        return operator().resume_execution("execute_complete", {"event": event}, self.context)

    def retry(self):
        """What Airflow does before a retry."""
        self.next_try()
        self.ti.try_number += 1

    def clear_by_a_person(self):
        """What Airflow does when a person clears the task."""
        self.retry()
        self.ti.max_tries += 1
        self.generation += 1

    def check(self, history):
        """What has to be true of the workspace's own record, whatever happened."""
        self.world.advance(1000)
        runs = self.world.runs()
        for generation in range(self.generation + 1):
            own = sorted((run for run in runs if self.generations[run.id] == generation), key=lambda run: run.created)
            assert sum(run.status == "Finished" for run in own) <= 1, history
            for before, after in itertools.pairwise(own):
                assert before.ended is not None, history
                assert before.ended <= after.created, history
        for run in runs:
            assert run.status in {"Finished", "Canceled"}, history
            if run.status == "Canceled":
                assert self.generations[run.id] < self.generation, history


class World:
    """A workspace whose clock is driven by what its clients wait for.

    Args:
        quirks: How it differs from the emulator's default.
        monkeypatch: Puts our clock in the place of the operator's: it has no argument for one.
    """

    def __init__(self, quirks, monkeypatch):
        self.emulator = Workspace(quirks=quirks)
        self.script = Script(self.emulator)
        self._monkeypatch = monkeypatch
        self._taught = {}

    def __enter__(self):
        self.emulator.__enter__()
        self.emulator.connect(self._monkeypatch)
        patch = self._monkeypatch.setattr
        patch(run_pipeline, "Submission", partial(submission.Submission, now=self.now, monotonic=self.now))
        patch(run_pipeline, "Evidence", partial(evidence.Evidence, now=self.now, monotonic=self.now))
        act = clients.Client._act

        def acting(client, step):
            if isinstance(step, Pause):
                return self.advance(step.seconds)
            return self.script.act("request", lambda: act(client, step))

        patch(clients.Client, "_act", acting)
        return self

    def __exit__(self, *_):
        self.emulator.__exit__(None, None, None)

    def renew(self):
        """Forget everything but the evidence."""
        self.emulator.reset()
        self.emulator.clock.hold()
        self.emulator.faults.clear()
        self.script.begin(Interruption(0, ""))
        self.variables = Variables(self.script)
        self.variables.update(self._taught)
        patch = self._monkeypatch.setattr
        patch(variables, "read", self.variables.get)
        patch(variables, "write", self.variables.write)
        patch(variables, "delete", self.variables.delete)

    def teach(self):
        """Let a task end well once, so that the ways of finding runs are known."""
        life = Life(self, store=True, deferrable=False)
        life.ti.dag_id = "other"
        assert isinstance(life.attempt(), str)
        self._taught = {key: value for key, value in self.variables.items() if "evidence" in key}
        assert self._taught

    def now(self):
        return self.emulator.clock.now()

    def advance(self, seconds):
        self.emulator.clock.advance(max(seconds, 0.001))

    def runs(self):
        """Every run with its end, from the workspace's own record."""
        state = self.emulator.state
        found = []
        for run in state.runs.values():
            view = state.view(run)
            found.append(SimpleNamespace(id=run.id, created=run.created, ended=view.ended, status=view.status))
        return found


def interruptions(make_life):
    """Every interruption of one try: each action of an undisturbed one times whatever can happen to it."""
    life = make_life()
    assert isinstance(life.attempt(), str)
    for at, kind in enumerate(list(life.script.actions), 1):
        for what in STOPS + (LOSSES if kind == "request" else ()):
            yield Interruption(at, what)
