"""After all of it, as the last file of this folder: the workspace's record of every task instance at once."""

from __future__ import annotations


def test_the_whole_record_keeps_every_promise(world):
    assert world.cases
    assert world.violations(*world.cases) == []
