"""The operator creates a native schedule and waits until it is set up."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(("mode", "waiting"), [("on_worker", "running"), ("deferred", "deferred")])
def test_a_task_creates_a_schedule_and_waits_until_it_is_set_up(world, mode, waiting):
    dag_id = f"schedule_{mode}"
    world.workspace.hold_clock(held=True)
    world.start(dag_id)
    world.wait(lambda: created(world, dag_id), "it has created the schedule", dag_id)
    world.until(dag_id, waiting)
    world.workspace.hold_clock(held=False)
    world.until(dag_id, "success")
    (schedule,) = created(world, dag_id)
    assert world.result(dag_id) == schedule["id"]
    assert schedule["status"] == "Active"


def created(world, name):
    """The schedules of a name."""
    return [schedule for schedule in world.workspace.schedules() if schedule["name"] == name]
