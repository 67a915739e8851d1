"""What Airflow itself says about task instances: their final states, their deadlines, and whom it told to end.

Whether it has lost what a person did (``docs/concepts/reliability.md``, "Known limitations") is read from its own words
in the task's log, those of the supervisor and of the triggerer, and never from ours.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from itertools import zip_longest
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from support.oracles.promises import Act, Task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from local_airflow import LocalAirflow

_PAGE = 500
# The supervisor, when Airflow's API says that its task is not its own any more, or does not answer.
_GIVEN_UP = ("Server indicated the task shouldn't be running anymore", "Too many failed heartbeats")
# The triggerer, when it takes a trigger that is not its own any more for one that a person ended.
_TRIGGER_KILLED = "Trigger cancelled by user action"
# The process of a task, when it could not say how it ended; and Airflow's API, where that is because it was refused.
_UNREPORTED = "Failed to report terminal task state to supervisor"
_REFUSAL = re.compile(r"'status_code': 4\d\d\b")
# What is begun so many seconds after a mark was not on its way before.
_STARTING = 10.0
_BEGIN = "::group::Pre Execute"
# From then on a process has nothing to hear any more: it has done its work.
_LAST = "::group::Post Execute"


class Word(NamedTuple):
    """A line in a task's log.

    Args:
        time: In seconds since the epoch.
        event: What it says.
        log: Its file's name.
        try_id: Airflow's id of the try, where the line names it.
        refused: The state that a task's process was not allowed to end in.
    """

    time: float
    event: str
    log: str
    try_id: str | None = None
    refused: str | None = None


class Told(NamedTuple):
    """Airflow has told a task's process, or its trigger, that the task is not its own any more.

    Args:
        begun: When that process or trigger had begun.
        time: When it was told.
        is_trigger: Whether it is a trigger.
    """

    begun: float
    time: float
    is_trigger: bool


class Life(NamedTuple):
    """A task's process, in the time for which it heard.

    Args:
        begun: When it began.
        end: When it came to its end; None: never.
        try_id: Airflow's id of the try.
    """

    begun: float
    end: float | None
    try_id: str | None


class Witnesses:
    """Asks Airflow's API and reads its logs.

    Args:
        airflow: Airflow.
        deadline: ``execution_timeout`` of the tasks of the DAGs ``…_deadline``, in seconds.
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
            if not task.dag_id.endswith("_deadline"):
                continue
            path = f"/dags/{task.dag_id}/dagRuns/{task.run_id}/taskInstances/{task.task_id}/tries"
            for item in self._airflow.get(path)["task_instances"]:
                if item["start_date"] is not None:
                    yield Act(_seconds(item["start_date"]) + self._deadline, "deadline", task)

    def endings_told(self, task: Task, since: float) -> list[Told]:
        """When Airflow told a task's process, or its trigger, to end."""
        return self._told(task, since, lambda word: word.event.startswith((*_GIVEN_UP, _TRIGGER_KILLED)))

    def refusals(self, task: Task, since: float) -> list[Told]:
        """When Airflow did not let a task's process end well."""
        return self._told(task, since, lambda word: word.refused == "success")

    def _told(self, task: Task, since: float, says_so: Callable[[Word], bool]) -> list[Told]:
        words = list(self.words(task))
        return [
            self._of(word, [other for other in words if other.log == word.log])
            for word in words
            if word.time >= since and says_so(word)
        ]

    def _of(self, word: Word, own: Sequence[Word]) -> Told:
        return Told(
            begun=max((one.time for one in own if _is_begin(one) and one.time <= word.time), default=word.time),
            time=word.time,
            is_trigger=".trigger." in word.log,
        )

    def worker(self, task: Task, at: float) -> Life | None:
        """The process of a task that was there to hear something at an instant."""
        # One follows another only when that has gone.
        begun = (life for life in self._lives(task) if life.begun <= at)
        latest = max(begun, key=lambda life: life.begun, default=None)
        return latest if latest is not None and (latest.end is None or latest.end > at) else None

    def _lives(self, task: Task) -> Iterator[Life]:
        words = [word for word in self.words(task) if ".trigger." not in word.log]
        for log in dict.fromkeys(word.log for word in words):
            own = [word for word in words if word.log == log]
            marks = [word for word in own if word.event in {_BEGIN, _LAST}]
            for mark, after in zip_longest(marks, marks[1:]):
                if mark.event == _BEGIN:
                    end = None if after is None or after.event == _BEGIN else after.time
                    yield Life(mark.time, end, _try_id(own))

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
                    yield Word(
                        _seconds(entry["timestamp"]), str(entry["event"]), log.name, entry.get("ti_id"), _refused(entry)
                    )
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


def _refused(entry: Mapping[str, Any]) -> str | None:
    if entry["event"] != _UNREPORTED or not _REFUSAL.search(str(entry.get("error_detail"))):
        return None
    return str(entry.get("state"))


def _try_id(words: Iterable[Word]) -> str | None:
    return next((word.try_id for word in words if word.try_id is not None), None)


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()
