"""The run operator submits one run of a published pipeline, or one job of a component, and ends with it."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("kind", ["run", "component"])
@pytest.mark.parametrize(("mode", "waiting"), [("on_worker", "running"), ("deferred", "deferred")])
def test_a_task_submits_a_run_and_ends_with_it(world, kind, mode, waiting):
    dag_id = f"{kind}_{mode}"
    world.workspace.hold_clock(held=True)
    world.start(dag_id)
    world.wait(lambda: world.runs(dag_id), "it has submitted a run", dag_id)
    world.until(dag_id, waiting)
    world.workspace.hold_clock(held=False)
    world.until(dag_id, "success")
    (run,) = world.runs(dag_id)
    assert (run["status"], run["job"] is not None) == ("Finished", kind == "component")
    assert world.result(dag_id) == run["id"]
    assert len(world.submissions(dag_id)) == 1
