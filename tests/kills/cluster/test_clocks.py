"""Workers whose clocks are ten minutes off: tasks move between them, and the broker delivers their tasks again."""

from __future__ import annotations

import os
from pathlib import Path

import airflow_cluster
import pytest

CLOCK = Path(__file__).parents[1] / "clock"
WORKERS = ("worker", "worker-2", "worker-3")
AHEAD, BEHIND = 600, -600


def clock(off):
    """The environment of a worker whose clock is off."""
    path = os.pathsep.join((str(CLOCK), str(airflow_cluster.HOSTS)))
    return {"CLOCK_OFF_BY": str(off), "CLOCK_OFF_IN": "all", "PYTHONPATH": path}


@pytest.fixture
def workers(world):
    """Replaces all workers by others with these clocks, by name; in the end by those of before."""

    def replace(**clocks):
        for name in WORKERS:
            if name in world.airflow.components:
                world.kill(name)
        for name, off in clocks.items():
            world.airflow.start(name.replace("_", "-"), variables=clock(off))

    yield replace
    replace()
    world.start(*WORKERS)


@pytest.mark.parametrize(("first", "second"), [(AHEAD, BEHIND), (BEHIND, AHEAD)], ids=["back", "forward"])
def test_a_task_continues_on_a_worker_whose_clock_differs_by_twenty_minutes(world, workers, first, second):
    workers(worker=first)
    name = f"clock-{'back' if first > second else 'forward'}"
    resumes = world.case(f"{name}-resumes", deferred=True)
    timed = world.case(f"{name}-timed", deferred=True, kind="_within_5_min")
    tried_again = world.case(f"{name}-tried-again", deferred=False)
    cases = [resumes, timed, tried_again]
    for case in cases:
        case.start()
    for case in cases:
        case.until_waiting()
    workers(worker_2=second)
    tried_again.until_tried_again()
    tried_again.until_waiting()
    assert [case.statuses() for case in cases] == [["Running"]] * len(cases)
    for case in cases:
        case.finish()
        case.check("success", ["Finished"])


def test_the_broker_delivers_tasks_again_to_a_worker_whose_clock_is_ahead(world, workers):
    """That worker considers the messages of the others late, and takes them back: it would start their tasks too."""
    workers(worker=BEHIND, worker_2=0)
    cases = [world.case(f"clock-delivered-again-{number}", deferred=False) for number in range(2)]
    before = world.refusals()
    for case in cases:
        case.start()
    for case in cases:
        case.until_waiting()
    world.airflow.start("worker-3", variables=clock(AHEAD))
    cases[0].until(lambda: world.refusals() > before, "another worker was given one of them too")
    for case in cases:
        assert case.statuses() == ["Running"]
        case.finish()
        case.check("success", ["Finished"])
        assert case.info["try_number"] == 1
