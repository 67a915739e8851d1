"""The operators create a native schedule of v1, or a job schedule of v2, and wait until it is set up."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("kind", ["schedule", "job_schedule"])
@pytest.mark.parametrize(("mode", "waiting"), [("on_worker", "running"), ("deferred", "deferred")])
def test_a_task_creates_a_schedule_and_waits_until_it_is_set_up(world, kind, mode, waiting):
    dag_id = f"{kind}_{mode}"
    world.workspace.hold_clock(held=True)
    world.start(dag_id)
    world.wait(lambda: created(world, kind, dag_id), "it has created the schedule", dag_id)
    world.until(dag_id, waiting)
    world.workspace.hold_clock(held=False)
    world.until(dag_id, "success")
    (schedule,) = created(world, kind, dag_id)
    if kind == "schedule":
        assert world.result(dag_id) == schedule["id"]
        assert schedule["status"] == "Active"
    else:
        assert world.result(dag_id) == schedule["name"]
        assert schedule["enabled"]


def created(world, kind, name):
    """The schedules of a kind and a name."""
    return [schedule for schedule in world.workspace.schedules(f"{kind}s") if schedule["name"] == name]
