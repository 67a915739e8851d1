"""The oracle over the workspace's schedules says so when a task left another schedule than it should."""

from __future__ import annotations

import pytest
from support.oracles.promises import Task
from support.oracles.schedule_promises import ScheduleTask, violations


def schedule(name="daily", status="Disabled", key="s1", runs=("r1",)):
    return {"id": key, "name": name, "status": status, "runs": list(runs)}


def kept(time, kind, name="daily"):
    return ScheduleTask(time, name, kind, Task("dag", f"run at {time}", kind))


MADE = [kept(1, "create"), kept(2, "disable")]

STATUS_AFTER = {
    "created and disabled": ([schedule()], MADE),
    "created only": ([schedule(status="Active")], MADE[:1]),
    "enabled again": ([schedule(status="Active")], [*MADE, kept(3, "create")]),
    "one for each name": ([schedule(), schedule("hourly", key="s2")], [*MADE, kept(3, "disable", "hourly")]),
    "created, and the task never got to say so": ([schedule(status="Active")], []),
    "none yet": ([], []),
    "created and deleted": ([], [MADE[0], kept(2, "delete")]),
}

BROKEN = {
    "made twice": ([schedule(), schedule(key="s2", runs=["r2"])], MADE, "one schedule of a name"),
    "made twice by nobody": ([schedule(), schedule(key="s2")], [], "one schedule of a name"),
    "still active": ([schedule(status="Active")], MADE, "each schedule as its task left it"),
    "not active": ([schedule()], [*MADE, kept(3, "create")], "each schedule as its task left it"),
    "missing": ([], MADE[:1], "each schedule as its task left it"),
    "there again": ([schedule()], [MADE[0], kept(2, "delete")], "each schedule as its task left it"),
}


@pytest.mark.parametrize("case", STATUS_AFTER)
def test_nothing_is_reported_where_the_promises_are_kept(case):
    schedules, tasks = STATUS_AFTER[case]
    assert violations(schedules, tasks[::-1]) == []


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_promise_is_reported(case):
    schedules, tasks, promise = BROKEN[case]
    assert [violation.promise for violation in violations(schedules, tasks)] == [promise]


def test_a_violation_names_the_task_and_the_runs():
    (violation,) = violations([schedule(), schedule(key="s2", runs=["r2"])], MADE)
    assert violation.task == MADE[-1].task
    assert violation.runs == ("r1", "r2")
    assert "daily is s1, s2" in str(violation)
