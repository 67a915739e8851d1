"""What is excused: only what the facts show to be a window that the documentation names."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from chaos.journal import Journal
from chaos.judge import _was_struck, _why_it_goes_on, _window
from chaos.witnesses import Told
from support.promises import Act, Task, Violation

TASK = Task("dag", "one", "run")
ORPHAN = Violation("no orphan", TASK, ("r-1",), "r-1 is Running")
UNMARKED = Violation("each cancel is marked", TASK, ("r-1",), "r-1")


def told(begun=100.0, time=110.0, *, is_trigger=False, ended=True):
    return Told(begun, time, is_trigger, ended)


def request(path, seconds=0, *, method="GET", status=200, fault=None):
    time = f"1970-01-01T00:01:{40 + seconds:02}+00:00"
    return {"method": method, "path": path, "time": time, "status": status, "fault": fault}


def test_a_try_that_never_asked_for_the_run_came_too_late_for_it():
    others = [request("/runs/r-2", 5), request("/runs/r-1", 19)]
    assert "had not come to it yet" in _why_it_goes_on(ORPHAN, [told()], others)


def test_a_try_that_knew_its_run_had_to_cancel_it():
    assert _why_it_goes_on(ORPHAN, [told()], [request("/PipelineRuns/r-1", 5)]) is None


def test_a_trigger_always_knows_its_run():
    assert _why_it_goes_on(ORPHAN, [told(is_trigger=True)], []) is None


def test_a_mark_of_which_nobody_was_told():
    assert "no process heard of" in _why_it_goes_on(ORPHAN, [], [])


@pytest.mark.parametrize(
    ("kill", "one", "struck"),
    [
        ("kill -9 of triggerer", told(time=0, is_trigger=True, ended=False), True),
        ("kill -9 of everything", told(time=0, is_trigger=True, ended=False), True),
        ("kill -9 of a task and its supervisor", told(time=0, ended=False), True),
        ("kill -9 of triggerer", told(time=0, is_trigger=True, ended=True), False),
        ("kill -9 of a task's process", told(time=0, is_trigger=True, ended=False), False),
        ("kill -9 of triggerer", told(time=0, ended=False), False),
        ("start", told(time=0, is_trigger=True, ended=False), False),
    ],
)
def test_what_was_killed_while_it_cancelled(kill, one, struck):
    journal = Journal()
    journal.note(kill)
    (entry,) = journal.between(0, float("inf"))
    assert _was_struck(one._replace(time=entry.time - 1), journal) == struck
    assert not _was_struck(one._replace(time=entry.time - 60), journal)
    assert not _was_struck(one._replace(time=entry.time + 1), journal)


@pytest.mark.parametrize(
    ("requests", "excused"),
    [
        ([request("/experiments/x/runs/r-1", method="PATCH", status=404)], True),
        ([request("/experiments/x/runs/r-1", method="PATCH", status=None, fault="drop")], True),
        ([request("/experiments/x/runs/r-1", method="PATCH")], False),
        ([request("/experiments/x/runs/r-2", method="PATCH", status=404)], False),
        ([], False),
    ],
    ids=["refused", "lost", "taken", "of another run", "never asked"],
)
def test_a_cancel_without_a_mark_is_excused_only_if_marking_failed(requests, excused):
    class Storm:
        witnesses = journal = None

    assert bool(_window(UNMARKED, Storm(), [], requests)) == excused


def test_an_orphan_that_nobody_marked_is_never_excused():
    class Storm:
        witnesses = journal = None

    assert _window(ORPHAN, Storm(), [], []) is None


@pytest.mark.parametrize(
    ("ended", "one", "excused"),
    [
        pytest.param(15, told(begun=114, time=121), True, id="about to say so"),
        pytest.param(25, told(begun=114, time=121), False, id="the run ended after the clear"),
        pytest.param(15, told(begun=120.5, time=121), False, id="begun after the clear"),
        pytest.param(15, told(begun=114, time=121, is_trigger=True), False, id="a trigger"),
        pytest.param(15, None, False, id="nobody was told to end"),
    ],
)
def test_a_clear_in_the_last_moment_of_a_success(ended, one, excused):
    class Storm:
        journal = None

        class witnesses:  # noqa: N801 - as an attribute
            @staticmethod
            def endings_told(task, since):
                assert (task, since) == (TASK, 120.0)
                return [] if one is None else [one]

    names = {"airflow.key": "k", "airflow.dag_id": "dag", "airflow.run_id": "one", "airflow.task_id": "run"}
    end = datetime.fromtimestamp(100 + ended, UTC).isoformat()
    run = {"status": "Finished", "ended": end, "tags": {}, "properties": {**names, "airflow.map_index": "-1"}}
    violation = Violation("each task ends right", TASK, (), "it is success; runs: none")
    assert bool(_window(violation, Storm(), [Act(120.0, "clear", TASK)], [], [run])) == excused
    assert _window(violation, Storm(), [], [], [run]) is None
    of_runs = violation._replace(runs=("r-1",))
    assert _window(of_runs, Storm(), [Act(120.0, "clear", TASK)], [], [run]) is None
