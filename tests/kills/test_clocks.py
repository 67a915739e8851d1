"""Machines whose clocks are ten minutes off: triggerers, and workers. Nothing is cancelled early.

The tests follow each other: each leaves one of each component running.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from local_airflow import AIRFLOW_3

CLOCK = Path(__file__).parent / "clock"
WARNING = "The task continues to wait. Is one of the two clocks wrong?"
OFF = [600, -600]
offs = pytest.mark.parametrize("off", OFF, ids=["ahead", "behind"])


def clock(off, where):
    """The environment of a process whose clock is off."""
    return {"CLOCK_OFF_BY": str(off), "CLOCK_OFF_IN": where, "PYTHONPATH": str(CLOCK)}


def running(world, kind):
    (name,) = [name for name in world.airflow.components if name.startswith(kind)]
    return name


@pytest.fixture
def replaced(world):
    """Replaces a component by another one, whose clock is off, and in the end by one whose clock is right."""
    off = []

    def replace(kind, seconds, where):
        name = running(world, kind)
        world.start_another(name, clock=clock(seconds, where))
        world.kill(name)
        off.append(kind)

    yield replace
    for kind in off:
        name = running(world, kind)
        world.kill(name)
        world.start_another(name)


@offs
def test_a_triggerer_whose_clock_is_off_keeps_the_promises(world, replaced, off):
    replaced("triggerer", off, "all")
    name = f"triggerer-{'ahead' if off > 0 else 'behind'}"
    untimed = world.case(name, deferred=True)
    timed = world.case(f"{name}-timed", deferred=True, kind="_within_5_min")
    cleared = world.case(f"{name}-cleared", deferred=True)
    cases = [untimed, timed, cleared]
    late = world.case(f"{name}-late", deferred=True, kind="_within_20_s") if off > 0 else None
    for case in [*cases, *([late] if late else [])]:
        case.start()
    for case in cases:
        case.until_waiting()
    if late is not None:
        late.expect_its_deadline(20)
        late.check("failed", ["Canceled"])
        # It was woken early, and did not go round in circles.
        assert 1 <= late.said(WARNING) <= 3
    cleared.clear()
    cleared.until_runs(2)
    cleared.until_waiting()
    assert [case.statuses() for case in (untimed, timed)] == [["Running"], ["Running"]]
    for case in cases:
        case.finish()
    untimed.check("success", ["Finished"])
    timed.check("success", ["Finished"])
    cleared.check("success", ["Canceled", "Finished"])


@pytest.mark.skipif(not AIRFLOW_3, reason="Airflow 2's workers write their heartbeats by their own clock")
@offs
def test_workers_whose_clocks_are_off_keep_the_promises(world, replaced, off):
    replaced("scheduler", off, "children")
    name = f"worker-{'ahead' if off > 0 else 'behind'}"
    cases = [
        world.case(f"{name}-{deferred}{kind}", deferred=deferred, kind=kind)
        for deferred in (False, True)
        for kind in ("", "_within_5_min")
    ]
    for case in cases:
        case.start()
    for case in cases:
        case.until_waiting()
    if off < 0:
        # It began ten minutes ago, says the triggerer, whose clock is right.
        cases[-1].until(lambda: cases[-1].said(WARNING), "its trigger has fired, and it waits on")
        cases[-1].until_waiting()
    assert [case.statuses() for case in cases] == [["Running"]] * len(cases)
    for case in cases:
        case.finish()
        case.check("success", ["Finished"])
