"""What is excused: only what the facts show to be a window that the documentation names."""

from __future__ import annotations

import importlib
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from typing import NamedTuple

import pytest
from chaos.journal import Entry
from chaos.judge import _ADOPTIONS, _UNKNOWN, _window
from chaos.witnesses import Life, Told
from support.oracles.promises import Act, Task, Violation

TASK = Task("dag", "one", "run")
ORPHAN = Violation("no orphan", TASK, ("r-1",), "r-1 is Running")
UNMARKED = Violation("each cancel is marked", TASK, ("r-1",), "r-1")
NOT_AGAIN = Violation("each task ends right", TASK, (), "it is success; runs: none")
TRY = "01a2068b"


class Witnesses(NamedTuple):
    """Witnesses who say what they are told to."""

    told: tuple = ()
    refused: tuple = ()
    lives: tuple = ()

    def endings_told(self, task, since):
        assert task == TASK
        return [one for one in self.told if one.time >= since]

    def refusals(self, task, since):
        assert task == TASK
        return [one for one in self.refused if one.time >= since]

    def worker(self, task, at):
        assert task == TASK
        return max((life for life in self.lives if life.begun <= at), default=None)


class Kills(NamedTuple):
    """A journal of kills."""

    entries: tuple = ()

    def between(self, since, until):
        return [entry for entry in self.entries if since <= entry.time <= until]


class Storm(NamedTuple):
    """What a window is told by."""

    witnesses: Witnesses = Witnesses()
    journal: Kills = Kills()


def told(begun=100.0, time=110.0, *, is_trigger=False):
    return Told(begun, time, is_trigger)


def life(begun=103.0, end=None):
    return Life(begun, end, TRY)


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


GOING_ON = [run(ended=None, status="Running")]
SERVER = ("kill -9 of everything", "api-server")


@pytest.mark.parametrize(
    ("kill", "at", "excused"),
    [
        (SERVER, 110, True),
        (SERVER, 130.5, True),
        (SERVER, 108.5, False),
        (SERVER, 131.5, False),
        (("kill -9 of triggerer", "triggerer"), 110, False),
        (("kill -9 of scheduler", "scheduler"), 110, False),
        (("kill -9 of execution-api", "execution-api"), 110, False),
        (("kill -9 of a task and its supervisor", TRY), 110, False),
    ],
)
def test_a_marked_run_goes_on_only_where_the_api_server_was_killed(kill, at, excused):
    """The mark is of 109.0, and Airflow had answered by 111.0."""
    storm = Storm(journal=Kills((Entry(at, *kill),)))
    marks = [Act(105.0, "clear", TASK), Act(109.0, "mark_success", TASK, 111.0)]
    found = window(ORPHAN, storm, marks, runs=GOING_ON)
    assert "API server was killed just then" in found if excused else found is None


def test_a_mark_that_was_never_answered_is_judged_from_its_beginning():
    marks = [Act(109.0, "mark_success", TASK, inf)]
    assert window(ORPHAN, Storm(journal=Kills((Entry(112, *SERVER),))), marks, runs=GOING_ON) is not None
    assert window(ORPHAN, Storm(journal=Kills((Entry(130, *SERVER),))), marks, runs=GOING_ON) is None


def test_an_orphan_that_nobody_marked_is_never_excused():
    storm = Storm(journal=Kills((Entry(106, *SERVER),)))
    assert window(ORPHAN, storm, runs=GOING_ON) is None
    assert window(ORPHAN, storm, acts=[Act(105.0, "clear", TASK)], runs=GOING_ON) is None


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


def test_a_cancel_that_no_person_asked_for_is_never_excused():
    """Not even of a worker that Airflow told to end, or of a trigger: who is interrupted has to ask why."""
    unasked = Violation("no cancel without a person's act", TASK, ("r-1",), "r-1")
    for is_trigger in (True, False):
        storm = Storm(Witnesses((told(is_trigger=is_trigger),)), Kills((Entry(106, *SERVER),)))
        assert window(unasked, storm, runs=[run(status="Canceled")], state="failed") is None


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
    assert "as the task was just ending" in found if excused else found is None


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
    assert "as the task was just ending" in window(NOT_AGAIN, LAST_MOMENT, CLEAR, runs=[run()])
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


@pytest.mark.parametrize("beginning", _ADOPTIONS)
def test_what_is_counted_is_what_a_task_says(beginning):
    """The figures would be zero for ever after a message has got new words."""
    package = Path(importlib.import_module("aml_provider.durable").__file__).parent
    assert any(f'log.info("{beginning} %s' in module.read_text() for module in package.glob("*.py"))


def test_an_unknown_fate_is_recognised_by_what_a_task_says():
    package = Path(importlib.import_module("aml_provider.durable").__file__).parent
    text = "".join(module.read_text() for module in package.glob("*.py"))
    assert [text.count(words) for words in _UNKNOWN] == [1] * text.count("raise SubmissionUnknown(")
