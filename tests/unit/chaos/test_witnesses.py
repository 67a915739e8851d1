"""What Airflow's own logs say about a task instance, told from what people did to it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from chaos.witnesses import Witnesses
from support.oracles.promises import Act, Task

TASK = Task("dag", "one", "run")
MAPPED = Task("dag", "one", "run", 3)
START = datetime(2026, 11, 22, tzinfo=UTC).timestamp()
GIVEN_UP = "Server indicated the task shouldn't be running anymore. Terminating process"
KILLED = "Trigger cancelled by user action, invoking on_kill"
BEGIN = "::group::Pre Execute"


@pytest.fixture
def witnesses(tmp_path):
    return Witnesses(SimpleNamespace(logs=tmp_path), deadline=10)


@pytest.fixture
def say(tmp_path):
    """Write lines into a log of the task."""

    def write(name, *lines, task=TASK):
        mapped = [] if task.map_index < 0 else [f"map_index={task.map_index}"]
        folder = tmp_path.joinpath(f"dag_id={task.dag_id}", f"run_id={task.run_id}", f"task_id={task.task_id}", *mapped)
        folder.mkdir(parents=True, exist_ok=True)
        entries = [
            {"timestamp": datetime.fromtimestamp(START + at, UTC).isoformat(), "event": event, **dict(*more)}
            for at, event, *more in lines
        ]
        folder.joinpath(name).write_text("".join(f"{json.dumps(entry)}\n" for entry in entries))

    return write


def act(seconds, kind, task=TASK):
    return Act(START + seconds, kind, task)


def test_a_mapped_task_has_logs_of_its_own(witnesses, say):
    say("attempt=1.log", (0, BEGIN), (5, GIVEN_UP), task=MAPPED)
    assert [told.time - START for told in witnesses.endings_told(MAPPED, START)] == [5]
    assert witnesses.endings_told(TASK, START) == []


@pytest.mark.parametrize(
    ("error", "is_refusal"),
    [
        ("API_SERVER_ERROR: {'status_code': 404, 'detail': {'reason': 'not_found'}}", True),
        ("API_SERVER_ERROR: {'status_code': 409, 'detail': {'reason': 'invalid_state'}}", True),
        ("API_SERVER_ERROR: {'status_code': 502}", False),
        ("Connection refused", False),
    ],
)
def test_a_state_that_airflow_refused(witnesses, say, error, is_refusal):
    unreported = "Failed to report terminal task state to supervisor"
    more = {"state": "success", "error_detail": [{"exc_type": "AirflowRuntimeError", "exc_value": error}]}
    say("attempt=1.log", (0, BEGIN), (5, unreported, more | {"ti_id": "a1"}))
    refusals = witnesses.refusals(TASK, START + 4)
    assert [(one.begun - START, one.time - START, one.is_trigger) for one in refusals] == (
        [(0, 5, False)] if is_refusal else []
    )
    assert witnesses.refusals(TASK, START + 6) == []
    assert witnesses.endings_told(TASK, START) == []


def test_a_deferral_that_airflow_refused_is_no_refused_success(witnesses, say):
    error = [{"exc_value": "API_SERVER_ERROR: {'status_code': 409}"}]
    more = {"state": "deferred", "error_detail": error, "ti_id": "a1"}
    say("attempt=1.log", (0, BEGIN), (5, "Failed to report terminal task state to supervisor", more))
    assert witnesses.refusals(TASK, START) == []


def test_a_mark_is_lost_when_airflow_goes_on(witnesses, say):
    mark = act(5, "mark_failed")
    say("attempt=1.log", (0, BEGIN), (40, BEGIN))
    assert witnesses.is_lost(mark, [mark])


@pytest.mark.parametrize(
    ("lines", "acts"),
    [
        ([(0, BEGIN), (6, GIVEN_UP)], []),
        ([(0, BEGIN), (9, BEGIN)], []),
        ([(0, BEGIN), (40, BEGIN)], [act(30, "clear")]),
    ],
    ids=["ended", "was on its way", "cleared"],
)
def test_a_mark_is_not_lost(witnesses, say, lines, acts):
    mark = act(5, "mark_failed")
    say("attempt=1.log", *lines)
    assert not witnesses.is_lost(mark, [mark, *acts])


def test_the_last_try_that_airflow_ended_is_found_with_its_start(witnesses, say):
    say("attempt=1.log", (0, BEGIN), (4, GIVEN_UP))
    say("attempt=2.log", (10, BEGIN), (20, BEGIN), (24, GIVEN_UP))
    (told,) = witnesses.endings_told(TASK, START + 9)
    assert (told.begun - START, told.time - START, told.is_trigger) == (20, 24, False)


def test_a_trigger_that_airflow_ended_is_seen_in_the_logs(witnesses, say):
    say("attempt=1.log.trigger.2.log", (2, "trigger dag/one/run/-1/1 (ID 1) starting"), (30, KILLED))
    (told,) = witnesses.endings_told(TASK, START)
    assert (told.begun - START, told.time - START, told.is_trigger) == (2, 30, True)


END = "::group::Post Execute"


@pytest.mark.parametrize(
    ("lines", "life"),
    [
        ([(0, BEGIN), (3, "::endgroup::")], (0, None)),
        ([(0, BEGIN), (3, END)], None),
        ([(0, BEGIN), (8, END)], (0, 8)),
        ([(0, BEGIN), (2, END), (4, BEGIN)], (4, None)),
        ([(0, BEGIN), (4, BEGIN), (9, END)], (4, 9)),
        ([(0, BEGIN), (8, BEGIN), (9, END)], (0, None)),
        ([(8, BEGIN)], None),
    ],
    ids=["unfinished", "finished", "finishes later", "resumed", "tried again", "is tried again later", "not begun"],
)
def test_which_process_was_there(witnesses, say, lines, life):
    say("attempt=1.log", *lines)
    say("attempt=1.log.trigger.1.log", (1, "trigger dag/one/run/-1/1 (ID 1) starting"))
    found = witnesses.worker(TASK, START + 5)
    assert (found and (found.begun - START, found.end and found.end - START)) == life


def test_of_two_tries_the_later_one_was_there(witnesses, say):
    say("attempt=1.log", (0, BEGIN), (1, "a word", {"ti_id": "a1"}))
    say("attempt=2.log", (3, BEGIN), (4, "a word", {"ti_id": "a2"}))
    assert witnesses.worker(TASK, START + 5).try_id == "a2"
