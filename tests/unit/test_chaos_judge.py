"""What is excused: only what the facts show to be a window that the documentation names."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

import pytest
from chaos.journal import Entry
from chaos.judge import _window
from chaos.witnesses import Life, Told
from support.promises import Act, Task, Violation

TASK = Task("dag", "one", "run")
ORPHAN = Violation("no orphan", TASK, ("r-1",), "r-1 is Running")
UNMARKED = Violation("each cancel is marked", TASK, ("r-1",), "r-1")
NOT_AGAIN = Violation("each task ends right", TASK, (), "it is success; runs: none")
TRY = "01a2068b"


class Witnesses(NamedTuple):
    """Witnesses who say what they are told to."""

    told: tuple = ()
    refused: tuple = ()
    state: str = "success"
    lives: tuple = ()

    def endings_told(self, task, since):
        assert task == TASK
        return [one for one in self.told if one.time >= since]

    def refusals(self, task, since, state):
        assert task == TASK
        return [one for one in self.refused if one.time >= since and state == self.state]

    def alive(self, task, at):
        assert task == TASK
        return [life for life in self.lives if life.begun <= at]


class Kills(NamedTuple):
    """A journal of kills."""

    entries: tuple = ()

    def between(self, since, until):
        return [entry for entry in self.entries if since <= entry.time <= until]


class Storm(NamedTuple):
    """What a window is told by."""

    witnesses: Witnesses = Witnesses()
    journal: Kills = Kills()


def told(begun=100.0, time=110.0, *, is_trigger=False, ended=True, try_id=TRY):
    return Told(begun, time, is_trigger, ended, try_id)


def life(begun=103.0, end=None, *, is_trigger=False, try_id=TRY):
    return Life(begun, end, is_trigger, try_id)


def stamp(seconds):
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def request(path, seconds=0, *, method="GET", status=200, fault=None):
    return {"method": method, "path": path, "time": stamp(100 + seconds), "status": status, "fault": fault}


def run(run_id="r-1", *, created=102.0, ended=115.0, status="Finished", task="run"):
    names = {"airflow.key": "k", "airflow.dag_id": "dag", "airflow.run_id": "one", "airflow.task_id": task}
    return {
        "id": run_id,
        "status": status,
        "created": stamp(created),
        "ended": None if ended is None else stamp(ended),
        "tags": {},
        "properties": {**names, "airflow.map_index": "-1"},
    }


def window(violation, storm=Storm(), acts=(), requests=(), runs=(), state="success"):  # noqa: B008 - immutable
    return _window(violation, storm, acts, requests, runs, {TASK: state})


MARKED = [Act(105.0, "clear", TASK), Act(109.0, "mark_success", TASK)]


def orphaned(*told_to_end, requests=(), created=102.0, journal=Kills(), **how):  # noqa: B008 - immutable
    storm = Storm(Witnesses(told_to_end, **how), journal)
    return window(ORPHAN, storm, MARKED, requests, [run(created=created, ended=None, status="Running")])


def test_a_try_that_never_asked_for_the_run_came_too_late_for_it():
    others = [request("/runs/r-2", 5), request("/runs/r-1", 19)]
    assert "had not come to it yet" in orphaned(told(), requests=others)


def test_a_try_that_knew_its_run_had_to_cancel_it():
    assert orphaned(told(), requests=[request("/PipelineRuns/r-1", 5)]) is None


def test_a_trigger_knows_its_run_from_its_first_moment_on():
    assert orphaned(told(begun=103, is_trigger=True)) is None


def test_a_trigger_that_was_there_before_the_run_is_another_run_s():
    assert "found neither" in orphaned(told(begun=101, is_trigger=True))


def test_a_mark_of_which_nobody_was_told():
    assert "found neither" in orphaned()
    assert "found neither" in orphaned(told(time=108, is_trigger=True))


@pytest.mark.parametrize(
    ("state", "time", "words"),
    [
        ("deferred", 110, "refused the deferral"),
        ("deferred", 108, "found neither"),
        ("success", 110, "found neither"),
    ],
)
def test_a_deferral_that_was_refused_leaves_nobody_to_tell(state, time, words):
    assert words in orphaned(refused=(told(time=time),), state=state)


def test_an_orphan_that_nobody_marked_is_never_excused():
    going_on = [run(ended=None, status="Running")]
    assert window(ORPHAN, runs=going_on) is None
    assert window(ORPHAN, acts=[Act(105.0, "clear", TASK)], runs=going_on) is None


def test_a_mark_that_what_was_there_should_have_heard_of():
    assert orphaned(lives=(life(),)) is None
    assert orphaned(lives=(life(is_trigger=True),)) is None
    assert "found neither" in orphaned(lives=(life(begun=101, is_trigger=True),)), "another run's trigger"


STRIKES = [
    ("kill -9 of triggerer", "triggerer", True, True),
    ("kill -9 of triggerer alone", "triggerer", True, True),
    ("kill -9 of everything", "scheduler", True, True),
    ("kill -9 of a task and its supervisor", TRY, False, True),
    ("kill -9 of a task's process", "another", False, False),
    ("kill -9 of scheduler", "scheduler", False, True),
    ("kill -9 of scheduler alone", "scheduler", False, False),
    ("kill -9 of a task's process", TRY, True, False),
    ("kill -9 of triggerer", "triggerer", False, False),
    ("start", "triggerer", True, False),
]


@pytest.mark.parametrize(("kind", "detail", "is_trigger", "struck"), STRIKES)
@pytest.mark.parametrize(("at", "in_time"), [(112.0, True), (116.5, False), (102.5, False)])
def test_what_was_killed_as_it_was_to_hear(kind, detail, is_trigger, struck, at, in_time):
    """The mark is of 109.0."""
    journal = Kills((Entry(at, kind, detail),))
    found = orphaned(lives=(life(is_trigger=is_trigger),), journal=journal)
    assert "was killed just then" in found if struck and in_time else found is None
    assert orphaned(lives=(life(is_trigger=is_trigger), life(is_trigger=not is_trigger)), journal=journal) is None or (
        kind == "kill -9 of everything" and in_time
    )


@pytest.mark.parametrize(("kind", "detail", "is_trigger", "struck"), STRIKES)
@pytest.mark.parametrize(("at", "in_time"), [(112.0, True), (116.5, False), (109.5, False)])
def test_what_was_killed_while_it_cancelled(kind, detail, is_trigger, struck, at, in_time):
    """It was told at 110.0."""
    journal, asked = Kills((Entry(at, kind, detail),)), [request("/runs/r-1", 5)]
    one = told(begun=103.0, is_trigger=is_trigger, ended=False)
    found = orphaned(one, journal=journal, requests=asked)
    assert "was killed just then" in found if struck and in_time else found is None
    assert orphaned(one._replace(ended=True), journal=journal, requests=asked) is None
    assert orphaned(one, told(begun=104.0, is_trigger=True), journal=journal, requests=asked) is None


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
    assert bool(window(UNMARKED, requests=requests)) == excused


CLEAR = [Act(120.0, "clear", TASK)]


@pytest.mark.parametrize("how", ["told", "refused"])
@pytest.mark.parametrize(
    ("met", "one", "excused"),
    [
        pytest.param({}, told(begun=114, time=121), True, id="about to say so"),
        pytest.param({"ended": 125}, told(begun=114, time=121), False, id="the run ended after the clear"),
        pytest.param({"status": "Failed"}, told(begun=114, time=121), False, id="the run failed"),
        pytest.param({"created": 121, "ended": 122}, told(begun=114, time=123), False, id="no run before the clear"),
        pytest.param({"task": "other"}, told(begun=114, time=121), False, id="another task's run"),
        pytest.param({}, told(begun=120.5, time=121), False, id="begun after the clear"),
        pytest.param({}, told(begun=114, time=119), False, id="told before the clear"),
        pytest.param({}, told(begun=114, time=121, is_trigger=True), False, id="a trigger"),
    ],
)
def test_a_clear_in_the_last_moment_of_a_success(how, met, one, excused):
    found = window(NOT_AGAIN, Storm(Witnesses(**{how: (one,)})), CLEAR, runs=[run(**met)])
    assert "in its last moment" in found if excused else found is None


LAST_MOMENT = Storm(Witnesses((told(begun=114, time=121),)))


@pytest.mark.parametrize(
    ("violation", "acts", "runs", "state"),
    [
        pytest.param(NOT_AGAIN, [], [run()], "success", id="nobody cleared it"),
        pytest.param(NOT_AGAIN, CLEAR, [run()], "deferred", id="it goes on"),
        pytest.param(NOT_AGAIN, CLEAR, [run()], "failed", id="it failed"),
        pytest.param(NOT_AGAIN, [*CLEAR, Act(150.0, "mark_failed", TASK)], [run()], "success", id="a mark after it"),
        pytest.param(NOT_AGAIN._replace(runs=("r-1",)), CLEAR, [run()], "success", id="runs after it"),
        pytest.param(NOT_AGAIN, [Act(118.0, "clear", TASK), *CLEAR], [run()], "success", id="a success long before"),
        pytest.param(
            NOT_AGAIN,
            CLEAR,
            [run("r-0", created=90, ended=95), run(ended=160)],
            "success",
            id="the run that it met was active",
        ),
    ],
)
def test_a_success_is_excused_for_its_own_run_only(violation, acts, runs, state):
    assert "last moment" in window(NOT_AGAIN, LAST_MOMENT, CLEAR, runs=[run()])
    assert window(violation, LAST_MOMENT, acts, runs=runs, state=state) is None


@pytest.mark.parametrize(
    ("worker", "kill", "excused"),
    [
        pytest.param(life(114), ("kill -9 of a task's process", 119, TRY), True, id="killed just before"),
        pytest.param(life(114), ("kill -9 of scheduler", 125, "scheduler"), True, id="as it was about to hear"),
        pytest.param(life(114), ("kill -9 of scheduler alone", 119, "scheduler"), False, id="it lives on"),
        pytest.param(life(114), ("kill -9 of a task's process", 119, "another"), False, id="another was killed"),
        pytest.param(life(114), ("kill -9 of triggerer", 119, "triggerer"), False, id="a triggerer was killed"),
        pytest.param(life(114), ("kill -9 of a task's process", 127, TRY), False, id="killed too late"),
        pytest.param(life(114), ("kill -9 of a task's process", 113, TRY), False, id="killed before it began"),
        pytest.param(life(114), None, False, id="nothing was killed"),
        pytest.param(life(114, 121), ("kill -9 of a task's process", 119, TRY), False, id="it came to its end"),
        pytest.param(life(114, is_trigger=True), ("kill -9 of triggerer", 119, ""), False, id="a trigger"),
    ],
)
def test_a_clear_of_a_worker_that_was_killed(worker, kill, excused):
    witnesses = Witnesses(lives=(worker,))
    journal = Kills(() if kill is None else (Entry(kill[1], kill[0], kill[2]),))
    found = window(NOT_AGAIN, Storm(witnesses, journal), CLEAR, runs=[run(ended=125)])
    assert "killed just then" in found if excused else found is None
    assert window(NOT_AGAIN, Storm(witnesses, journal), CLEAR) is None
    old = [run("r-0", created=90, ended=95), run(ended=None, status="Canceled")]
    assert window(NOT_AGAIN, Storm(witnesses, journal), CLEAR, runs=old) is None
    heard = witnesses._replace(told=(told(begun=114, time=121),))
    assert window(NOT_AGAIN, Storm(heard, journal), CLEAR, runs=[run(ended=125)]) is None
