"""What the storm writes: the same for the same seed, and all of what it is to write."""

from __future__ import annotations

from collections import Counter

import pytest
from chaos.writer import SCALES, plan

FOLDERS = ("one", "two")


def versions(steps, folder):
    return [step for step in steps if step.action != "delete" and step.path.rpartition("/")[0] == folder]


@pytest.mark.parametrize("scale", SCALES)
def test_a_plan_is_as_large_as_its_scale_says(scale):
    steps = plan(1, scale, FOLDERS)
    size = SCALES[scale]
    assert sum(len(versions(steps, folder)) for folder in FOLDERS) >= size.versions
    assert all(len(versions(steps, folder)) >= size.versions // len(FOLDERS) for folder in FOLDERS)
    assert steps == sorted(steps, key=lambda step: step.at)
    assert steps[-1].at < size.seconds + 60


def test_a_plan_is_the_same_for_the_same_seed_only():
    assert plan(5, "small", FOLDERS) == plan(5, "small", FOLDERS)
    assert plan(5, "small", FOLDERS) != plan(6, "small", FOLDERS)


@pytest.mark.parametrize("seed", range(20))
def test_a_plan_can_be_carried_out_and_has_everything_in_it(seed):
    there = set()
    seen = Counter()
    last = None
    for step in plan(seed, "small", FOLDERS):
        if step.action in {"delete", "metadata"}:
            assert step.path in there
        if step.action == "rename":
            assert step.old in there
            there.remove(step.old)
            seen["into" if step.old.startswith(("one-old", "two-old")) else "rename"] += 1
        elif step.action == "write":
            seen["overwrite" if step.path in there else "new"] += 1
            seen["twice"] += last is not None and last.path == step.path and step.at == last.at
            seen["beside"] += step.path.rpartition("/")[0] not in FOLDERS
        seen[step.action] += 1
        (there.discard if step.action == "delete" else there.add)(step.path)
        last = step
    for kind in ("new", "overwrite", "twice", "beside", "rename", "into", "delete", "metadata"):
        assert seen[kind] > 0, kind
