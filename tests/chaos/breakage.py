"""Kills and freezes of Airflow's processes."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from typing import TYPE_CHECKING, TypeVar

from chaos.plan import Freeze, Outage, Shutdown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_cluster import AirflowCluster
    from chaos.journal import Journal
    from chaos.plan import Break, Kill
    from local_airflow import LocalAirflow
    from postgres import Postgres
    from processes import Process
    from valkey import Valkey

# The process that runs an operator names the try's id; its supervisor, a worker of LocalExecutor, names itself.
_TASK = re.compile(r"airflow worker -- ([0-9a-f-]{36})$")
# For how many seconds a kill of a task's process waits for there to be one.
_PATIENCE = 20.0


class Breakage:
    """Breaks a running Airflow, and starts its components again.

    Args:
        airflow: Airflow.
        journal: Told what was done.
        sleep: Waits for some seconds; raises if the storm is over before its time.
    """

    def __init__(self, airflow: LocalAirflow, journal: Journal, sleep: Callable[[float], None]) -> None:
        self._airflow = airflow
        self._journal = journal
        self._sleep = sleep

    def kill_task(self, kill: Kill) -> None:
        """Kill the process of a task, its supervisor, or both."""
        deadline = time.monotonic() + _PATIENCE
        while not (found := self._tasks()):
            if time.monotonic() > deadline:
                self._journal.note("found no task to kill")
                return
            self._sleep(0.2)
        victim = _pick(sorted(found), kill.dice)
        # The supervisor first: else it notices that its task has died.
        pids = {"task": [victim.pid], "supervisor": [victim.parent], "both": [victim.parent, victim.pid]}[kill.what]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._journal.note(f"kill -9 of {_NAMES[kill.what]}", victim.title.split()[-1])

    def break_component(self, act: Break) -> None:
        """Kill a component, or let it stand still, until all run again."""
        if isinstance(act, Freeze):
            name = self._pick(act.what, act.dice)
            with self._airflow.frozen(name):
                self._journal.note(f"stop of {act.what}", name)
                self._sleep(act.seconds)
            self._journal.note(f"resume of {act.what}", name)
            return
        assert not isinstance(act, Shutdown | Outage), "only a cluster has such"
        if act.what == "everything":
            names = self._airflow.components
        else:
            names = (self._pick(act.what.removesuffix(" alone"), act.dice),)
        for name in names:
            self._airflow.kill(name, alone=act.what.endswith(" alone"))
            self._journal.note(f"kill -9 of {act.what}", name)
        self._sleep(act.pause)
        self._start(*names)

    def _tasks(self) -> list[Process]:
        """The processes of tasks whose supervisors live."""
        processes = self._airflow.processes()
        alive = {process.pid for process in processes}
        return [process for process in processes if _TASK.match(process.title) and process.parent in alive]

    def _start(self, *names: str) -> None:
        self._airflow.start(*names)
        self._journal.note("start", ", ".join(names))

    def _pick(self, kind: str, dice: float) -> str:
        return _pick([name for name in self._airflow.components if re.sub(r"-\d+$", "", name) == kind], dice)


class ClusterBreakage(Breakage):
    """Breaks a running cluster too: its workers, its broker and its database.

    Args:
        airflow: Airflow.
        journal: Told what was done.
        sleep: Waits for some seconds; raises if the storm is over before its time.
        broker: Airflow's broker.
        database: Airflow's metadata database.
    """

    def __init__(
        self,
        airflow: AirflowCluster,
        journal: Journal,
        sleep: Callable[[float], None],
        *,
        broker: Valkey,
        database: Postgres,
    ) -> None:
        super().__init__(airflow, journal, sleep)
        self._cluster = airflow
        self._broker = broker
        self._database = database

    def break_component(self, act: Break) -> None:
        """Break what only a cluster has, or what any Airflow has, until all run again."""
        if isinstance(act, Shutdown):
            self._shut_down(act)
        elif isinstance(act, Outage):
            self._cut_off(act)
        elif act.what == "broker":
            self._broker.kill()
            self._journal.note("kill -9 of broker")
            self._sleep(act.pause)
            self._broker.start()
        else:
            super().break_component(act)

    def _shut_down(self, act: Shutdown) -> None:
        name = self._pick("worker", act.dice)
        self._cluster.shut_down(name, signal.SIGTERM if act.what == "warm" else signal.SIGQUIT)
        self._journal.note(f"{act.what} shutdown of worker", name)
        deadline = time.monotonic() + act.seconds
        while not self._cluster.is_gone(name) and time.monotonic() < deadline:
            self._sleep(0.5)
        if not self._cluster.is_gone(name):
            self._cluster.kill_what_remains(name)
            self._journal.note("kill -9 of worker", name)
        self._start(name)

    def _cut_off(self, act: Outage) -> None:
        if act.what == "connections":
            self._broker.drop_connections()
            self._database.drop_connections()
            self._journal.note("all connections broken")
            return
        with self._database.away():
            self._journal.note("database away")
            self._sleep(act.seconds)
        # Its components may have ended, and are started again.
        self._airflow.start()
        self._journal.note("database back")


T = TypeVar("T")
_NAMES = {"task": "a task's process", "supervisor": "a task's supervisor", "both": "a task and its supervisor"}


def _pick(choices: Sequence[T], dice: float) -> T:
    return choices[int(dice * len(choices))]
