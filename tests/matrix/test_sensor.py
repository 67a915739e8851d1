"""The blob sensor waits for a blob and returns it."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(("mode", "waiting"), [("on_worker", "running"), ("deferred", "deferred")])
def test_a_sensor_returns_the_blob_that_was_written(world, mode, waiting):
    dag_id = f"sensor_{mode}"
    world.start(dag_id)
    world.until(dag_id, waiting)
    world.container.upload_blob(f"{dag_id}/orders.csv", b"x")
    world.until(dag_id, "success")
    (change,) = world.result(dag_id)
    assert (change["path"], change["change"]) == (f"{dag_id}/orders.csv", "added")
