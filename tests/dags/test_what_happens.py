"""What happens when …: each row of the table in ``docs/concepts/reliability.md``, on the Airflow at hand.

Acts of people on a task that is running or deferred need a real scheduler and triggerer: ``tests/kills``.
"""

from __future__ import annotations

import itertools
import re
import threading
from pathlib import Path

import pytest
from support.airflow.played_dag import PlayedDag
from support.airflow.run_operator_dags import load_dags

TABLE = Path(__file__).parents[2] / "docs" / "concepts" / "reliability.md"
TESTED = {}
#: Waits on a worker and in the triggerer; a component's job (v2) does not differ in how it is waited for.
BOTH = pytest.mark.parametrize(
    ("shape", "kind"), [("sync", "v1"), ("deferred", "v1"), ("deferred", "v2")], indirect=["kind"]
)
KINDS = pytest.mark.parametrize("kind", ["v1", "v2"], indirect=True)


def row(text):
    """Name the row of the table that a test shows."""

    def register(test):
        TESTED[text] = test.__name__
        return test

    return register


@pytest.fixture(autouse=True)
def little_waiting(monkeypatch):
    monkeypatch.setenv("AIRFLOW__AZUREML__LOOKUP_GRACE", "0.3")
    monkeypatch.setenv("AIRFLOW__AZUREML__RETRY_BUDGET", "0.1")
    monkeypatch.setenv("COUNTS", "1 2")


@pytest.fixture
def lose_sight(workspace):
    """Let the first poll of a run fail, and with it the try.

    The workspace's time stands until the retry has done what is asked for, so that the run is active when it begins.
    """
    tests_end = threading.Event()
    threads = []

    def lose(is_done):
        workspace.clock.hold()
        for path in ("*/PipelineRuns/????????-*", "*/jobs/airflow-*"):
            workspace.faults.add("status", status=503, method="GET", path=path)

        def go_on():
            while not tests_end.wait(0.01):
                if is_done():
                    workspace.clock.release()
                    return

        threads.append(threading.Thread(target=go_on))
        threads[0].start()

    yield lose
    tests_end.set()
    for thread in threads:
        thread.join()


@pytest.fixture
def play(airflow_db, monkeypatch, kind):
    dags = load_dags(monkeypatch)
    return lambda dag_id: PlayedDag(dags[dag_id]).play()


def seen(workspace):
    """Return how each run ended, in the order of submission; no two of them were ever active at the same time."""
    runs = sorted(workspace.runs(), key=lambda run: run.created)
    views = [workspace.state.view(run) for run in runs]
    for before, after in itertools.pairwise(zip(runs, views, strict=True)):
        assert before[1].ended <= after[0].created
    return [view.status for view in views]


@BOTH
@row("a retry while the run is active")
def test_a_retry_takes_an_active_run_over(play, workspace, lose_sight, shape):
    def is_read_again():
        runs = [run.id for run in workspace.runs()]
        return sum(entry["path"].endswith(tuple(runs)) for entry in workspace.requests("GET") if runs) > 1

    lose_sight(is_read_again)
    played = play(f"what_{shape}")
    assert (played.states, played.tries) == ({-1: "success"}, {-1: 2})
    assert seen(workspace) == ["Finished"]


@BOTH
@row("a retry after the run succeeded")
def test_a_retry_takes_a_run_that_has_succeeded(play, workspace, shape):
    played = play(f"what_loses_{shape}")
    assert (played.states, played.tries) == ({-1: "success"}, {-1: 2})
    assert seen(workspace) == ["Finished"]


@BOTH
@row("a retry after the run failed")
def test_a_retry_after_a_failed_run_submits_again(play, workspace, shape):
    played = play(f"what_fails_{shape}")
    assert (played.states, played.tries) == ({-1: "failed"}, {-1: 2})
    assert seen(workspace) == ["Failed", "Failed"]


@BOTH
@row("a retry whose templates render differently")
def test_a_retry_that_asks_for_something_else_replaces_the_run(play, workspace, lose_sight, shape):
    lose_sight(lambda: any(workspace.status(run.id).startswith("Cancel") for run in workspace.runs()))
    played = play(f"what_changes_{shape}")
    assert (played.states, played.tries) == ({-1: "success"}, {-1: 2})
    assert seen(workspace) == ["Canceled", "Finished"]
    assert [run.parameters["count"] for run in workspace.runs()] == ["1", "2"]


@BOTH
@row("a clear of a task that succeeded")
def test_a_clear_of_a_success_runs_again(play, workspace, shape):
    played = play(f"what_{shape}").clear()
    assert played.states == {-1: "success"}
    assert seen(workspace) == ["Finished", "Finished"]


@BOTH
@row("a clear of a task that failed")
def test_a_clear_of_a_failure_runs_again(play, workspace, shape):
    played = play(f"what_fails_{shape}").clear()
    assert played.states == {-1: "failed"}
    assert seen(workspace) == ["Failed"] * 4


@KINDS
@row("a clear of a task that left its run active")
def test_a_clear_cancels_what_the_task_left_active(play, workspace):
    played = play("what_goes_on").clear()
    assert played.states == {-1: "success"}
    assert [workspace.status(run.id) for run in workspace.runs()] == ["Canceled", "Running"]


@BOTH
@row("a clear of the whole DAG run")
def test_a_clear_of_a_dag_run_runs_again(play, workspace, shape):
    played = play(f"what_{shape}").clear_dag_run()
    assert played.states == {-1: "success"}
    assert seen(workspace) == ["Finished", "Finished"]


@BOTH
@row("a clear after `retries` was lowered")
def test_a_clear_is_noticed_though_max_tries_is_the_same(play, workspace, shape):
    played = play(f"what_{shape}")
    before = {ti.max_tries for ti in played.instances()}
    played.set_retries(0)
    played.clear()
    assert {ti.max_tries for ti in played.instances()} == before == {1}
    assert played.states == {-1: "success"}
    assert seen(workspace) == ["Finished", "Finished"]


@row("a clear of a mapped task whose list has changed")
def test_each_map_index_runs_what_the_list_says_now(play, workspace, monkeypatch):
    played = play("what_mapped")
    monkeypatch.setenv("COUNTS", "3 2 1")
    played.clear_dag_run()
    assert played.states == {0: "success", 1: "success", 2: "success"}
    ran = [(run.history_tags["airflow.map_index"], run.parameters["count"]) for run in workspace.runs()]
    assert sorted(ran) == [("0", "1"), ("0", "3"), ("1", "2"), ("1", "2"), ("2", "1")]
    assert {workspace.status(run.id) for run in workspace.runs()} == {"Finished"}


@row("two Airflows on one workspace, with the same DAG")
def test_another_airflow_never_takes_our_run_over(play, workspace, monkeypatch):
    monkeypatch.setenv("AIRFLOW__AZUREML__DEPLOYMENT_ID", "here")
    played = play("what_goes_on")
    (ours,) = workspace.runs()
    monkeypatch.setenv("AIRFLOW__AZUREML__DEPLOYMENT_ID", "there")
    workspace.faults.add("refuse", method="POST", path="*PipelineSubmit*")
    other = play("what_goes_on")
    (also_ours, theirs) = workspace.runs()
    assert also_ours is ours
    assert ours.history_tags["airflow.key"] != theirs.history_tags["airflow.key"]
    assert played.states == other.states == {-1: "success"}
    assert workspace.status(ours.id) == workspace.status(theirs.id) == "Running"


@BOTH
@row("`durable=False`, a retry while the run is active")
def test_a_task_that_is_not_durable_submits_with_each_try(play, workspace, lose_sight, shape):
    lose_sight(lambda: len(workspace.runs()) > 1)
    played = play(f"what_forgets_{shape}")
    assert (played.states, played.tries) == ({-1: "success"}, {-1: 2})
    assert len(workspace.runs()) == 2
    assert "airflow.cancel" not in workspace.runs()[0].history_tags


#: Rows that need a real scheduler, triggerer or API server, and the tests that have these.
ELSEWHERE = {
    "a clear of a task that is running or deferred": ("kills/test_people.py", "clear"),
    "a task that is running or deferred is marked as success": ("kills/test_people.py", "mark_success"),
    "a task that is running or deferred is marked as failed": ("kills/test_people.py", "mark_failed"),
    "the API of the tasks, or the database, is unreachable for a minute or more": (
        "kills/test_outages.py",
        "test_the_api_of_the_tasks_is_away",
    ),
    "a worker is shut down or evicted while the task waits": ("kills/test_outages.py", "test_a_worker_is_drained"),
    "a task that waits for its next try is marked as success or failed, alone or with its DAG run": (
        "kills/test_between_tries.py",
        "dag_run_marked_before_the_retry",
    ),
    "a task that has ended is marked as success or failed": (
        "dags/test_manual_state_changes.py",
        "test_a_task_that_had_ended_before_left_its_run_for_a_reason",
    ),
    "a retry whose function or `pre_execute` raises `AirflowSkipException` or `AirflowFailException` "
    "while the run is active": (
        "integration/run_operator/test_decorated.py",
        "test_a_retry_that_raises_leaves_the_active_run_alone_until_a_clear",
    ),
    "`airflow tasks test` of a task whose run is active": ("kills/test_people.py", "tried_out"),
    "Celery delivers a task twice, because it runs longer than the "
    "[visibility timeout](../set-up/celery.md#a-task-that-is-delivered-twice)": (
        "kills/cluster/test_workers.py",
        "test_a_task_is_delivered_twice",
    ),
    "a worker stands still until the next try has begun, then continues": (
        "kills/cluster/test_workers.py",
        "test_a_worker_stands_still_while_its_task_waits",
    ),
    "no triggerer is running when `execution_timeout` passes, and Airflow resumes the task later": (
        "integration/run_operator/test_deferred.py",
        "test_a_run_that_ended_in_time_is_the_result_of_a_wait_that_airflow_ended",
    ),
}


def test_every_row_of_the_table_is_tested():
    table = TABLE.read_text().partition("## What happens when")[2].partition("\n## ")[0]
    rows = set(re.findall(r"^\| (?!-)(.+?) \|", table, re.MULTILINE)) - {"what"}
    assert rows == TESTED.keys() | ELSEWHERE.keys()
    for file, test in ELSEWHERE.values():
        assert f"def {test}(" in (Path(__file__).parents[1] / file).read_text()
