"""Whether native schedules are as the tasks that keep them left them, told from the workspace's own record."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from support.oracles.promises import Task, Violation

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

KEPT = {"create": "Active", "disable": "Disabled"}
"""What each kind of task makes of its schedule."""


class Keeping(NamedTuple):
    """A task that keeps a schedule has succeeded.

    Args:
        time: When, in seconds since the epoch.
        schedule: The schedule's name.
        kind: A key of :data:`KEPT`.
        task: The task instance.
    """

    time: float
    schedule: str
    kind: str
    task: Task


def violations(schedules: Iterable[Mapping[str, Any]], kept: Iterable[Keeping]) -> list[Violation]:
    """Find every broken promise, when none of the tasks runs any more.

    Args:
        schedules: All schedules of the workspace, as ``/_emulator/schedules`` tells them.
        kept: What the tasks did that succeeded. The service can delete no schedule, so one of too many shows for ever.
    """
    by_name: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for schedule in schedules:
        by_name[schedule["name"]].append(schedule)
    last = {keeping.schedule: keeping for keeping in sorted(kept)}
    found: list[Violation] = []
    for name, own in by_name.items():
        if len(own) > 1:
            ids = ", ".join(schedule["id"] for schedule in own)
            runs = tuple(run for schedule in own for run in schedule["runs"])
            task = last[name].task if name in last else None
            found.append(Violation("one schedule of a name", task, runs, f"{name} is {ids}"))
    for name, keeping in last.items():
        statuses = [schedule["status"] for schedule in by_name[name]]
        if KEPT[keeping.kind] not in statuses:
            detail = f"{name} is {', '.join(statuses) or 'missing'} after its task {keeping.kind} succeeded"
            found.append(Violation("each schedule as its task left it", keeping.task, (), detail))
    return found
