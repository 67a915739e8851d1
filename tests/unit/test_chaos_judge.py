"""What is excused: only what the facts show to be a window that the documentation names."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

import pytest
from chaos.journal import Entry, Journal
from chaos.judge import _was_struck, _why_it_goes_on, _window
from chaos.witnesses import Told
from support.promises import Act, Task, Violation

TASK = Task("dag", "one", "run")
ORPHAN = Violation("no orphan", TASK, ("r-1",), "r-1 is Running")
UNMARKED = Violation("each cancel is marked", TASK, ("r-1",), "r-1")


class Storm(NamedTuple):
    """What a window is told by."""

    witnesses: object = None
    journal: object = None


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
    assert bool(_window(UNMARKED, Storm(), [], requests)) == excused


def test_an_orphan_that_nobody_marked_is_never_excused():
    assert _window(ORPHAN, Storm(), [], []) is None


class Witnesses:
    """Witnesses who say what they are told to."""

    def __init__(self, told=(), refused=(), unfinished=None):
        self.told, self.refused, self.begun = list(told), list(refused), unfinished

    def endings_told(self, task, since):
        assert task == TASK
        return (one for one in self.told if one.time >= since)

    def refusals(self, task, since):
        assert task == TASK
        return (one for one in self.refused if one.time >= since)

    def unfinished(self, task, at):
        assert task == TASK
        return self.begun


class Kills:
    """A journal with one kill."""

    def __init__(self, kind=None, time=0.0):
        self.entries = [] if kind is None else [Entry(time, kind, "")]

    def between(self, since, until):
        return [entry for entry in self.entries if since <= entry.time <= until]


MARKED = [Act(105.0, "clear", TASK), Act(109.0, "mark_success", TASK)]


@pytest.mark.parametrize(
    ("told_to_end", "window"),
    [
        ([told(is_trigger=True)._replace(runs=frozenset({"r-0"}))], "no process heard of"),
        ([told(is_trigger=True)._replace(runs=frozenset({"r-0", "r-1"}))], None),
        ([told(is_trigger=True)], None),
        ([told(time=108, is_trigger=True)], "no process heard of"),
        ([told()._replace(runs=frozenset({"r-0"}))], "had not come to it yet"),
    ],
    ids=["a trigger of the run before", "of both", "of one unknown", "before the mark", "a worker"],
)
def test_a_trigger_of_another_run_did_not_hear_of_the_mark(told_to_end, window):
    found = _window(ORPHAN, Storm(Witnesses(told_to_end), Kills()), MARKED, [])
    assert found is window is None or window in found


def test_a_deferral_that_was_refused_leaves_nobody_to_tell():
    found = _window(ORPHAN, Storm(Witnesses(refused=[told()]), Kills()), MARKED, [])
    assert "refused the deferral" in found
    assert "refused" not in _window(ORPHAN, Storm(Witnesses(refused=[told(time=108)]), Kills()), MARKED, [])


CLEAR = [Act(120.0, "clear", TASK)]
NOT_AGAIN = Violation("each task ends right", TASK, (), "it is success; runs: none")


def run(ended, task="run"):
    names = {"airflow.key": "k", "airflow.dag_id": "dag", "airflow.run_id": "one", "airflow.task_id": task}
    end = datetime.fromtimestamp(100 + ended, UTC).isoformat()
    return {"status": "Finished", "ended": end, "tags": {}, "properties": {**names, "airflow.map_index": "-1"}}


@pytest.mark.parametrize("how", ["told", "refused"])
@pytest.mark.parametrize(
    ("ended", "one", "excused"),
    [
        pytest.param(15, told(begun=114, time=121), True, id="about to say so"),
        pytest.param(25, told(begun=114, time=121), False, id="the run ended after the clear"),
        pytest.param(15, told(begun=120.5, time=121), False, id="begun after the clear"),
        pytest.param(15, told(begun=114, time=119), False, id="told before the clear"),
        pytest.param(15, told(begun=114, time=121, is_trigger=True), False, id="a trigger"),
    ],
)
def test_a_clear_in_the_last_moment_of_a_success(how, ended, one, excused):
    storm = Storm(Witnesses(**{how: [one]}), Kills())
    found = _window(NOT_AGAIN, storm, CLEAR, [], [run(ended)])
    assert "in its last moment" in found if excused else found is None
    assert _window(NOT_AGAIN, storm, [], [], [run(ended)]) is None
    assert _window(NOT_AGAIN._replace(runs=("r-1",)), storm, CLEAR, [], [run(ended)]) is None
    assert _window(NOT_AGAIN, storm, CLEAR, [], [run(ended, task="other")]) is None


@pytest.mark.parametrize(
    ("begun", "kill", "excused"),
    [
        pytest.param(114.0, ("kill -9 of a task's process", 119), True, id="killed just before"),
        pytest.param(114.0, ("kill -9 of scheduler", 125), True, id="killed as it was about to hear"),
        pytest.param(114.0, ("kill -9 of triggerer", 119), False, id="a triggerer was killed"),
        pytest.param(114.0, ("kill -9 of a task's process", 127), False, id="killed too late"),
        pytest.param(114.0, ("kill -9 of a task's process", 113), False, id="killed before it began"),
        pytest.param(114.0, (), False, id="nothing was killed"),
        pytest.param(None, ("kill -9 of a task's process", 119), False, id="it came to its end"),
    ],
)
def test_a_clear_of_a_worker_that_was_killed(begun, kill, excused):
    storm = Storm(Witnesses(unfinished=begun), Kills(*kill))
    found = _window(NOT_AGAIN, storm, CLEAR, [], [run(25)])
    assert "killed just then" in found if excused else found is None
    assert _window(NOT_AGAIN, storm, CLEAR, [], []) is None
    heard = Storm(Witnesses([told(begun=114, time=121)], unfinished=begun), Kills(*kill))
    assert _window(NOT_AGAIN, heard, CLEAR, [], [run(25)]) is None
