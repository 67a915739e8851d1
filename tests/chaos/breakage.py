"""Kills and freezes of Airflow's processes."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from typing import TYPE_CHECKING, TypeVar

from chaos.plan import Freeze, Kill

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chaos.journal import Journal
    from local_airflow import LocalAirflow

# The process that runs an operator names the try's id; its supervisor, a worker of LocalExecutor, names itself.
_TASK = re.compile(r"airflow worker -- ([0-9a-f-]{36})$")
# For how many seconds a kill of a task's process waits for there to be one.
_PATIENCE = 20.0


class Breakage:
    """Breaks a running Airflow, and mends its components.

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
        while not (found := [process for process in self._airflow.processes() if _TASK.match(process.title)]):
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

    def break_component(self, act: Kill | Freeze) -> None:
        """Kill a component, or let it stand still, until all run again."""
        if isinstance(act, Freeze):
            name = _pick(self._named("triggerer"), act.dice)
            with self._airflow.frozen(name):
                self._journal.note("stop of triggerer", name)
                self._sleep(act.seconds)
            self._journal.note("resume of triggerer", name)
            return
        if act.what == "everything":
            names = self._airflow.components
        else:
            names = (_pick(self._named(act.what.removesuffix(" alone")), act.dice),)
        for name in names:
            self._airflow.kill(name, alone=act.what.endswith(" alone"))
            self._journal.note(f"kill -9 of {act.what}", name)
        self._sleep(act.pause)
        self._airflow.start(*names)
        self._journal.note("start", ", ".join(names))

    def _named(self, kind: str) -> list[str]:
        return [name for name in self._airflow.components if re.sub(r"-\d+$", "", name) == kind]


T = TypeVar("T")
_NAMES = {"task": "a task's process", "supervisor": "a task's supervisor", "both": "a task and its supervisor"}


def _pick(choices: Sequence[T], dice: float) -> T:
    return choices[int(dice * len(choices))]
