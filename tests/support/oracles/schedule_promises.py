"""Whether native schedules are as their tasks left them, judged by the workspace's own state."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from support.oracles.promises import Task, Violation

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MISSING = "missing"
STATUS_AFTER = {"create": "Active", "disable": "Disabled", "delete": MISSING}
"""The status of a schedule after each kind of task."""


class ScheduleTask(NamedTuple):
    """A task that manages a schedule, and has succeeded.

    Args:
        time: When, in seconds since the epoch.
        schedule: The schedule's name.
        kind: A key of :data:`STATUS_AFTER`.
        task: The task instance.
    """

    time: float
    schedule: str
    kind: str
    task: Task


def violations(schedules: Iterable[Mapping[str, Any]], tasks: Iterable[ScheduleTask]) -> list[Violation]:
    """Find every broken promise, when none of the tasks runs any more.

    Args:
        schedules: All schedules of the workspace, as ``/_emulator/schedules`` returns them.
        tasks: The tasks that succeeded. A native schedule cannot be deleted, so an extra one can always be seen; of job
            schedules there cannot be two of a name.
    """
    by_name: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for schedule in schedules:
        by_name[schedule["name"]].append(schedule)
    last = {task.schedule: task for task in sorted(tasks)}
    found: list[Violation] = []
    for name, own in by_name.items():
        if len(own) > 1:
            ids = ", ".join(schedule["id"] for schedule in own)
            runs = tuple(run for schedule in own for run in schedule["runs"])
            owner = last[name].task if name in last else None
            found.append(Violation("one schedule of a name", owner, runs, f"{name} is {ids}"))
    for name, task in last.items():
        statuses = [schedule["status"] for schedule in by_name[name]] or [MISSING]
        if STATUS_AFTER[task.kind] not in statuses:
            detail = f"{name} is {', '.join(statuses)} after its task {task.kind} succeeded"
            found.append(Violation("each schedule as its task left it", task.task, (), detail))
    return found
