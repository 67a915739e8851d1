"""A task whose try is gone while its run goes on, and what Airflow and people do to it (Airflow 3.3 and later)."""

from __future__ import annotations

import json
import sys
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import TYPE_CHECKING, Any

from airflow.utils.session import create_session
from airflow.utils.state import TaskInstanceState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.airflow.played_dag import PlayedDag
    from support.services.local_workspace import Workspace

# Seconds for something that must happen, on a machine that has much else to do.
_PATIENCE = 240.0


class HandClock:
    """A clock that is moved by hand, and wakes those who sleep by it."""

    def __init__(self) -> None:
        self._time = 0.0
        self._moved = threading.Condition()
        self._wakes_at: list[float] = []

    def now(self) -> float:
        return self._time

    def sleep(self, seconds: float) -> None:
        with self._moved:
            until = self._time + seconds
            self._wakes_at.append(until)
            self._moved.notify_all()
            self._moved.wait_for(lambda: self._time >= until)
            self._wakes_at.remove(until)

    def advance(self, seconds: float) -> None:
        with self._moved:
            self._time += seconds
            self._moved.notify_all()

    def until_asleep(self) -> None:
        """Wait until somebody sleeps, now that the clock was moved."""
        with self._moved:
            assert self._moved.wait_for(lambda: any(at > self._time for at in self._wakes_at), timeout=_PATIENCE)


class ApiServer:
    """Lets this process stand for an API server, which is told by the module that it is made of; by a clock of its own.

    Args:
        monkeypatch: Takes it back.
    """

    def __init__(self, monkeypatch: Any) -> None:
        from airflow.listeners.listener import get_listener_manager

        from aml_provider.api_server.listener import ManualStateChangeListener

        monkeypatch.setitem(sys.modules, "airflow.api_fastapi.main", ModuleType("airflow.api_fastapi.main"))
        get_listener_manager.cache_clear()
        self.clock = HandClock()
        self.listeners = get_listener_manager()
        (by_real_time,) = [one for one in self.listeners.pm.get_plugins() if isinstance(one, ManualStateChangeListener)]
        self.listeners.pm.unregister(by_real_time)
        self._listener = ManualStateChangeListener(self.clock.now, self.clock.sleep)
        self.listeners.add_listener(self._listener)

    def calm(self) -> None:
        """Let time pass until every manual state change has been handled."""
        pool = self._listener._threads()
        pool.shutdown(wait=False)
        while any(thread.is_alive() for thread in pool._threads):
            self.clock.advance(3600)
            time.sleep(0.01)


class Left:
    """The task ``run`` of a DAG run, and its newest pipeline run."""

    def __init__(self, played: PlayedDag, workspace: Workspace) -> None:
        self._played = played
        self._workspace = workspace
        (self.ti,) = played.instances()

    @property
    def status(self) -> str:
        return str(self._workspace.status(self._workspace.runs()[-1].id))

    @property
    def reason(self) -> str | None:
        reason: str | None = self._workspace.runs()[-1].history_tags.get("airflow.cancel")
        return reason

    def shown(self) -> Any:
        """The task instance, as Airflow shows it now."""
        (ti,) = self._played.instances()
        return ti

    def show(self, state: str | None, ended: datetime | None = None) -> None:
        """Let Airflow show it in a state."""
        with self._changing() as (ti, _):
            ti.state = state
            ti.end_date = ended

    def change_record(self, **fields: Any) -> None:
        """Change what is stored of its submission."""
        from airflow.state import TaskScope, get_state_backend

        scope = TaskScope(dag_id=self.ti.dag_id, run_id=self.ti.run_id, task_id="run", map_index=-1)
        changed = fields.get("instead", (self.record() or {}) | fields)
        get_state_backend().set(scope, "azureml_submission", json.dumps(changed))

    def record(self) -> dict[str, Any] | None:
        """What is stored of its submission."""
        from airflow.state import TaskScope, get_state_backend

        scope = TaskScope(dag_id=self.ti.dag_id, run_id=self.ti.run_id, task_id="run", map_index=-1)
        stored = get_state_backend().get(scope, "azureml_submission")
        return None if stored is None else dict(json.loads(stored))

    def change_tries(self, max_tries: int) -> None:
        """Let it have so many retries."""
        self._played.set_retries(max_tries)
        with self._changing() as (ti, _):
            ti.max_tries = max_tries
        self.change_record(max_tries=max_tries)

    def let_an_hour_pass(self) -> None:
        """Let everything be an hour ago that Airflow shows of it."""
        from airflow.models.taskinstance import TaskInstance
        from airflow.models.taskinstancehistory import TaskInstanceHistory
        from sqlalchemy import select

        with create_session() as session:
            for table in (TaskInstance, TaskInstanceHistory):
                for one in session.scalars(select(table).where(table.run_id == self.ti.run_id)):
                    for name in ("scheduled_dttm", "queued_dttm", "start_date", "end_date"):
                        moment = getattr(one, name)
                        setattr(one, name, moment and moment - timedelta(hours=1))

    def run_again(self, state: str = "running") -> None:
        """Let Airflow show its DAG run in a state."""
        from airflow.models.dagrun import DagRun

        with create_session() as session:
            session.get(DagRun, self._played.dag_run.id).state = state

    def mark(self, state: str) -> None:
        """Do what the API server does for a person's mark."""
        from airflow.api_fastapi.core_api.services.public import task_instances as api

        with create_session(scoped=False) as session:
            api._patch_task_instance_state(
                task_id="run",
                dag_run_id=self.ti.run_id,
                dag=self._played.scheduler_dag(),
                task_instance_body=api.PatchTaskInstanceBody(new_state=state),
                data={"new_state": TaskInstanceState(state)},
                session=session,
            )

    def mark_dag_run(self, state: str) -> None:
        """Do what the API server does when a person marks the whole DAG run."""
        from airflow.api_fastapi.core_api.services.public import dag_run as api
        from airflow.models.dagrun import DagRun

        with create_session(scoped=False) as session:
            api.patch_dag_run_state(
                dag=self._played.scheduler_dag(),
                dag_run=session.get(DagRun, self._played.dag_run.id),
                state=api.DagRunMutableStates(state),
                session=session,
            )

    def clear(self) -> None:
        """A person clears it."""
        from airflow.models.taskinstance import clear_task_instances

        self._played.sync()
        with self._changing() as (ti, session):
            clear_task_instances([ti], session)

    def fail_to_retry(self) -> None:
        """The task's process tells Airflow that its try has failed, with retries left."""
        self._worker().retry(self.shown().id, datetime.now(UTC), None)

    def lose_worker(self) -> None:
        """The scheduler notes that its worker is gone, or that its executor has failed to start it."""
        with self._changing() as (ti, session):
            ti.task = self._played.scheduler_dag().get_task("run")
            ti.handle_failure("lost", session=session)

    def schedule(self) -> None:
        """The scheduler takes the next try up, and hands it to the executor."""
        from airflow.models.dagrun import DagRun

        with self._changing() as (ti, session):
            ti.task = self._played.scheduler_dag().get_task("run")
            session.get(DagRun, self._played.dag_run.id).schedule_tis([ti], session=session)
        with self._changing() as (ti, _):
            assert ti.state == "scheduled"
            ti.state = "queued"

    def begin(self) -> None:
        """A worker begins the try."""
        self._worker().start(self.shown().id, 1, datetime.now(UTC))

    def end(self, state: str) -> None:
        """The task's process tells Airflow how its try ended."""
        self._worker().finish(self.shown().id, TaskInstanceState(state), datetime.now(UTC), None)

    def wait_until(self, status: str) -> None:
        deadline = time.monotonic() + _PATIENCE
        while self.status != status:
            assert time.monotonic() < deadline, self.status
            time.sleep(0.05)

    @contextmanager
    def _changing(self) -> Iterator[tuple[Any, Any]]:
        from airflow.models.taskinstance import TaskInstance
        from sqlalchemy import select

        here = (TaskInstance.dag_id == self.ti.dag_id, TaskInstance.run_id == self.ti.run_id)
        with create_session() as session:
            yield session.scalars(select(TaskInstance).where(*here, TaskInstance.task_id == "run")).one(), session

    def _worker(self) -> Any:
        """What workers tell Airflow's API server with."""
        from airflow.sdk.execution_time.supervisor import InProcessTestSupervisor

        return InProcessTestSupervisor._api_client().task_instances
