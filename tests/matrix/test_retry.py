"""The reply to a submission is lost, the try fails, and the retry takes the run over."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("mode", ["on_worker", "deferred"])
def test_a_retry_takes_over_the_run_whose_reply_was_lost(world, mode):
    dag_id = f"retry_{mode}"
    world.workspace.hold_clock(held=True)
    world.workspace.add_fault("drop", method="POST", path="*/PipelineSubmit/*")
    # Nothing can show to this try whether the run exists: neither its experiment nor its pipeline.
    for method, path in (("POST", "*/runs:query"), ("GET", "*/PipelineRuns/*")):
        world.workspace.add_fault("status", method=method, path=path, times=1000)
    world.start(dag_id)
    world.wait(lambda: has_failed(world, dag_id), "the try fails", dag_id)
    world.workspace.clear_faults()
    world.wait(lambda: world.info(dag_id).get("try_number", 1) > 1, "it is tried again", dag_id)
    world.workspace.hold_clock(held=False)
    world.until(dag_id, "success")
    (run,) = world.runs(dag_id)
    assert world.result(dag_id) == run["id"]
    (submission,) = world.submissions(dag_id)
    assert submission["status"] is None


def has_failed(world, dag_id):
    """Whether the first try has failed."""
    info = world.info(dag_id)
    return info.get("state") == "up_for_retry" or info.get("try_number", 1) > 1
