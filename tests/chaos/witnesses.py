"""What Airflow itself says about task instances: their final states, their deadlines, and whom it gave up.

Airflow may end a task that nobody touched as if a person had (``docs/reliability.md``, "What is left"). Whether it did
is read from its own words in the task's log, those of the supervisor and of the triggerer. Our own words there say no
more than which run a trigger watches.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from support.promises import Act, Task

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from local_airflow import LocalAirflow

_PAGE = 500
# The supervisor, when Airflow's API says that its task is not its own any more, or does not answer.
_GIVEN_UP = ("Server indicated the task shouldn't be running anymore", "Too many failed heartbeats")
# The triggerer, when it takes a trigger that is not its own any more for one that a person ended.
_TRIGGER_KILLED = "Trigger cancelled by user action"
_TRIGGER_FIRED = "Trigger fired event"
# The triggerer and the supervisor, when what they had told to end has ended.
_ENDS = ("trigger completed", "Task killed!")
# The process of a task, when Airflow's API takes neither its deferral nor its success: it is not running any more.
_REFUSED = "Failed to report terminal task state to supervisor"
# For how many seconds after a person's act Airflow's words are about that act.
_ABOUT_AN_ACT = 45.0
# What is begun so many seconds after a mark was not on its way before.
_STARTING = 10.0
_BEGIN, _END = "::group::Pre Execute", "::group::Post Execute"
_RUN = re.compile(r"\b[Rr]un ([0-9a-f]{8}-[0-9a-f-]{27})\b")


class Word(NamedTuple):
    """A line in a task's log.

    Args:
        time: In seconds since the epoch.
        event: What it says.
        log: Its file's name.
    """

    time: float
    event: str
    log: str


class Told(NamedTuple):
    """Airflow has told a task's process, or its trigger, that the task is not its own any more.

    Args:
        begun: When that process or trigger had begun.
        time: When it was told.
        is_trigger: Whether it is a trigger.
        ended: Whether Airflow saw its end.
        runs: The runs that its log names.
    """

    begun: float
    time: float
    is_trigger: bool
    ended: bool
    runs: frozenset[str] = frozenset()


class Witnesses:
    """Asks Airflow's API and reads its logs.

    Args:
        airflow: Airflow.
        deadline: ``execution_timeout`` of the tasks of the DAG ``pipelines_deadline``, in seconds.
    """

    def __init__(self, airflow: LocalAirflow, deadline: float) -> None:
        self._airflow = airflow
        self._deadline = deadline

    def endings(self, dag_ids: Iterable[str]) -> dict[Task, str | None]:
        """The state of each task instance of some DAGs."""
        return {
            Task(item["dag_id"], item["dag_run_id"], item["task_id"], item["map_index"]): item["state"]
            for dag_id in dag_ids
            for item in self._all(f"/dags/{dag_id}/dagRuns/~/taskInstances", "task_instances")
        }

    def dag_runs(self, dag_id: str) -> dict[str, str]:
        """The state of each DAG run of a DAG."""
        return {item["dag_run_id"]: item["state"] for item in self._all(f"/dags/{dag_id}/dagRuns", "dag_runs")}

    def deadlines(self, tasks: Iterable[Task]) -> Iterator[Act]:
        """When each try of tasks with a deadline had to end."""
        for task in tasks:
            if task.dag_id != "pipelines_deadline":
                continue
            path = f"/dags/{task.dag_id}/dagRuns/{task.run_id}/taskInstances/{task.task_id}/tries"
            for item in self._airflow.get(path)["task_instances"]:
                if item["start_date"] is not None:
                    yield Act(_seconds(item["start_date"]) + self._deadline, "deadline", task)

    def given_up(self, task: Task, acts: Iterable[Act]) -> Iterator[Act]:
        """When Airflow ended a task instance on a worker though nobody had acted."""
        own = [act.time for act in acts if act.task == task]
        for word in self.words(task):
            if word.event.startswith(_GIVEN_UP) and not any(0 <= word.time - time < _ABOUT_AN_ACT for time in own):
                yield Act(word.time, "given_up", task)

    def moved(self, task: Task, acts: Iterable[Act]) -> Iterator[Act]:
        """When a late triggerer ended a trigger whose task went on without it, though nobody had acted.

        Its words alone would not do: a trigger that only moved has to leave its run alone.
        """
        own = [act.time for act in acts if act.task == task]
        words = list(self.words(task))
        for word in words:
            if not word.event.startswith(_TRIGGER_KILLED) or any(0 <= word.time - at < _ABOUT_AN_ACT for at in own):
                continue
            begun = min(other.time for other in words if other.log == word.log)
            others = (other for other in words if begun < other.time < word.time)
            if any(".trigger." not in other.log or other.event == _TRIGGER_FIRED for other in others):
                yield Act(word.time, "moved", task)

    def endings_told(self, task: Task, since: float) -> Iterator[Told]:
        """When Airflow told a task's process, or its trigger, to end."""
        return self._told(task, since, (*_GIVEN_UP, _TRIGGER_KILLED))

    def refusals(self, task: Task, since: float) -> Iterator[Told]:
        """When Airflow refused to be told how a task's process ended."""
        return self._told(task, since, (_REFUSED,))

    def _told(self, task: Task, since: float, beginnings: tuple[str, ...]) -> Iterator[Told]:
        words = list(self.words(task))
        for word in words:
            if word.time >= since and word.event.startswith(beginnings):
                own = [other for other in words if other.log == word.log]
                yield Told(
                    begun=max((one.time for one in own if _is_begin(one) and one.time <= word.time), default=word.time),
                    time=word.time,
                    is_trigger=".trigger." in word.log,
                    ended=any(one.time >= word.time and one.event in _ENDS for one in own),
                    runs=frozenset(match for one in own for match in _RUN.findall(one.event)),
                )

    def unfinished(self, task: Task, at: float) -> float | None:
        """When the process of a task began that was at work at an instant, and never came to its end."""
        words = sorted(word for word in self.words(task) if ".trigger." not in word.log)
        begun = max((word.time for word in words if word.event == _BEGIN and word.time <= at), default=None)
        later = (word.event for word in words if begun is not None and word.time > begun)
        # Whichever comes first, its own end or the next process.
        return None if next((event for event in later if event in {_BEGIN, _END}), _BEGIN) == _END else begun

    def is_lost(self, mark: Act, acts: Iterable[Act]) -> bool:
        """Whether Airflow went on with a task instance after a person had marked it, and nobody had cleared it."""
        since = (mark.time if mark.done is None else mark.done) + _STARTING
        clears = [act.time for act in acts if act.kind == "clear" and act.task == mark.task and act.time > mark.time]
        until = min(clears, default=inf)
        return any(since <= word.time < until and _is_begin(word) for word in self.words(mark.task))

    def words(self, task: Task) -> Iterator[Word]:
        """What stands in a task instance's logs."""
        for log in self.logs(task):
            for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
                try:
                    entry: dict[str, Any] = json.loads(line)
                    yield Word(_seconds(entry["timestamp"]), str(entry["event"]), log.name)
                except (ValueError, LookupError, TypeError):
                    continue

    def logs(self, task: Task) -> list[Path]:
        """The log files of a task instance, oldest try first."""
        mapped = () if task.map_index < 0 else (f"map_index={task.map_index}",)
        folder = Path(
            self._airflow.logs, f"dag_id={task.dag_id}", f"run_id={task.run_id}", f"task_id={task.task_id}", *mapped
        )
        return sorted(folder.glob("attempt=*.log*"), key=lambda log: [int(n) for n in re.findall(r"\d+", log.name)])

    def _all(self, path: str, what: str) -> Iterator[dict[str, Any]]:
        offset = 0
        while True:
            page = self._airflow.get(path, limit=_PAGE, offset=offset, order_by="id")[what]
            yield from page
            if len(page) < _PAGE:
                return
            offset += _PAGE


def _is_begin(word: Word) -> bool:
    # A task's process, or a trigger.
    return word.event == _BEGIN or re.fullmatch("trigger .* starting", word.event) is not None


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()
