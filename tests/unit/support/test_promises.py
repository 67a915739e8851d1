"""The oracle over the workspace's record says so when a promise is broken, and is silent when none is."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import httpx
import pytest
from support.oracles.promises import Act, Task, violations
from support.services.local_workspace import SEED

from aml_provider.emulator.server import EmulatorServer

TASK = Task("dag", "dag run", "run")
OTHER = Task("dag", "dag run", "run", 3)
START = datetime(2026, 11, 22, tzinfo=UTC).timestamp()


def at(seconds):
    return None if seconds is None else datetime.fromtimestamp(START + seconds, UTC).isoformat()


def run(name, created, ended=None, status="Finished", *, task=TASK, canceled=None, marked=True, tags=True, fp="f"):
    """One run's record, as the emulator tells it."""
    names = {
        "airflow.key": f"key of {name[:2]}",
        "airflow.fingerprint": fp,
        "airflow.dag_id": task.dag_id,
        "airflow.run_id": task.run_id,
        "airflow.task_id": task.task_id,
        "airflow.map_index": str(task.map_index),
    }
    mark = {"airflow.cancel": "why"} if canceled is not None and marked else {}
    return {
        "id": name,
        "status": "Running" if ended is None else status,
        "created": at(created),
        "ended": at(ended),
        "canceled": at(canceled),
        "tags": {**(names if tags else {}), **mark},
        "properties": names,
    }


def canceled(name, created, ended, **details):
    return run(name, created, ended, "Canceled", canceled=ended, **details)


def act(seconds, kind, task=TASK, *, done=None):
    return Act(START + seconds, kind, task, None if done is None else START + done)


def promises(runs, acts=(), **options):
    return [violation.promise for violation in violations(runs, acts, **options)]


FAILED_THEN_GOOD = [run("r1", 0, 5, "Failed"), run("r2", 6, 9)]
CLEARED = [canceled("r1", 0, 5), run("r2", 6, 9)]

KEPT = {
    "one run": ([run("r1", 0, 5)], [], "success"),
    "a run after a failed one": (FAILED_THEN_GOOD, [], "success"),
    "one run for each generation": ([run("r1", 0, 5), run("r2", 20, 25)], [act(10, "clear")], "success"),
    "a clear cancels": (CLEARED, [act(4, "clear")], "success"),
    "a submission under way at the clear": ([canceled("r1", 3, 4), run("r2", 6, 9)], [act(2, "clear")], "success"),
    "marked": ([canceled("r1", 0, 5)], [act(4, "mark_success")], "success"),
    "marked failed after a success": ([run("r1", 0, 5)], [act(9, "mark_failed")], "failed"),
    "a changed request": ([canceled("r1", 0, 5, fp="g"), run("r2", 6, 9)], [], "success"),
    "a deadline": ([canceled("r1", 0, 5)], [act(5, "deadline")], "failed"),
    "somebody in the workspace": ([canceled("r1", 0, 5, marked=False)], [act(4, "cancel")], "failed"),
    "cleared and taken over, then cancelled in the workspace": (
        [canceled("r1", 0, 5, marked=False)],
        [act(2, "clear"), act(4.9, "cancel", done=5.1)],
        "failed",
    ),
    "a clear whose reply was lost and which came late": (
        [run("r1", 0, 5, "Failed"), canceled("r2", 30, 35), run("r3", 36, 40)],
        [act(10, "clear", done=math.inf)],
        "success",
    ),
    "nothing submitted": ([], [], "failed"),
    "tags dropped": ([run("r1", 0, 5, tags=False)], [], "success"),
    "a mark that Airflow lost": (CLEARED, [act(4, "lost_mark")], "success"),
    "acted on again while the next try still cancels": (
        [canceled("r1", 0, 10), canceled("r2", 10.5, 10.6)],
        [act(5, "mark_failed"), act(7, "clear"), act(9.5, "mark_success")],
        "success",
    ),
    "a success while the clear took effect": (
        [run("r1", 10.5, 10.6), run("r2", 12, 13)],
        [act(10, "clear", done=11)],
        "success",
    ),
    "a success while the clear took effect, then a failure": (
        [run("r1", 10.5, 10.6), run("r2", 12, 13, "Failed")],
        [act(10, "clear", done=11)],
        "failed",
    ),
}

BROKEN = {
    "two at once": ([run("r1", 0, 5), run("r2", 4, 5, "Failed")], [], "success", "at most one run active"),
    "the older generation's run goes on": (
        [run("r1", 0, 9), run("r2", 6, 12)],
        [act(5, "clear")],
        "success",
        "at most one run active",
    ),
    "a double POST": ([run("r1", 0, 5, "Failed"), run("r1 again", 6, 8)], [], "success", "no submission twice"),
    "two successes": ([run("r1", 0, 5), run("r2", 6, 9)], [], "success", "at most one success"),
    "two successes after a clear": (
        [run("r1", 0, 5), run("r2", 11, 12), run("r3", 13, 14)],
        [act(10, "clear")],
        "success",
        "at most one success",
    ),
    "three successes and one clear that took a while": (
        [run("r1", 0, 5), run("r2", 10.5, 10.6), run("r3", 12, 13)],
        [act(10, "clear", done=11)],
        "success",
        "at most one success",
    ),
    "failure in spite of a run after the clear": (
        [run("r1", 12, 13)],
        [act(10, "clear", done=11)],
        "failed",
        "each task ends right",
    ),
    "cancelled by nobody": (CLEARED, [], "success", "no cancel without a person's act"),
    "cancelled before the act": (CLEARED, [act(6, "clear")], "success", "no cancel without a person's act"),
    "cancelled long after the act": (
        [run("r1", 0, 5, "Failed"), canceled("r2", 30, 35), run("r3", 36, 40)],
        [act(10, "clear")],
        "success",
        "no cancel without a person's act",
    ),
    "an act for the run before": (
        [*CLEARED[:1], canceled("r2", 6, 8), run("r3", 9, 10)],
        [act(4, "clear")],
        "success",
        "no cancel without a person's act",
    ),
    "two acts, and a third run cancelled too": (
        [canceled("r1", 0, 10), canceled("r2", 10.5, 10.6), canceled("r3", 11, 12)],
        [act(7, "clear"), act(9.5, "mark_failed")],
        "failed",
        "no cancel without a person's act",
    ),
    "an act of another task": (CLEARED, [act(4, "clear", OTHER)], "success", "no cancel without a person's act"),
    "cancelled for nothing although it finished": (
        [run("r1", 0, 5, canceled=3)],
        [],
        "success",
        "no cancel without a person's act",
    ),
    "cancelled here, blamed on the workspace": (
        [canceled("r1", 0, 5)],
        [act(4, "cancel")],
        "failed",
        "no cancel without a person's act",
    ),
    "no mark, and the workspace cancelled at another time": (
        [canceled("r1", 0, 5, marked=False)],
        [act(2, "clear"), act(3, "cancel", done=3.1)],
        "failed",
        "each cancel is marked",
    ),
    "no mark": ([canceled("r1", 0, 5, marked=False)], [act(4, "mark_failed")], "failed", "each cancel is marked"),
    "an orphan": ([run("r1", 0)], [act(4, "mark_success")], "success", "no orphan"),
    "success without a run": ([], [], "success", "each task ends right"),
    "success with a failed run": ([run("r1", 0, 5, "Failed")], [], "success", "each task ends right"),
    "failure in spite of a good run": ([run("r1", 0, 5)], [], "failed", "each task ends right"),
    "success by the run before the clear": ([run("r1", 0, 5)], [act(9, "clear")], "success", "each task ends right"),
    "a mark that does not last": ([run("r1", 0, 5)], [act(4, "mark_failed")], "success", "each task ends right"),
    "not ended": ([run("r1", 0, 5, "Failed")], [], "up_for_retry", "each task ends right"),
}


@pytest.mark.parametrize("case", KEPT)
def test_nothing_is_reported_where_the_promises_are_kept(case):
    runs, acts, state = KEPT[case]
    assert violations(runs[::-1], acts, endings={TASK: state}) == []


@pytest.mark.parametrize("case", BROKEN)
def test_a_planted_violation_is_reported(case):
    runs, acts, state, promise = BROKEN[case]
    assert promises(runs, acts, endings={TASK: state}) == [promise]


def test_a_run_that_overlaps_with_several_is_reported_with_each():
    runs = [run("r1", 0, 99, "Failed"), run("r2", 1, 2, "Failed"), run("r3", 50, 60)]
    assert [violation.runs for violation in violations(runs)] == [("r1", "r2"), ("r1", "r3")]


def test_mapped_tasks_are_judged_one_by_one():
    runs = [run("r1", 0, 5), run("r2", 1, 6, task=OTHER)]
    assert promises(runs, endings={TASK: "success", OTHER: "success"}) == []


def test_a_run_of_nobody_is_reported_unless_it_is_known():
    nobody = {**run("r1", 0, 5), "tags": {}, "properties": {}}
    assert promises([nobody]) == ["each run names its task"]
    assert promises([nobody], not_ours={"r1"}) == []


def test_what_may_go_on_and_what_still_runs_is_no_orphan():
    marked = [act(4, "mark_success")]
    assert promises([run("r1", 0)], marked, endings={TASK: "success"}, may_go_on={TASK}) == []
    assert promises([run("r1", 0)]) == []


def test_a_violation_names_the_task_and_the_runs():
    (violation,) = violations([run("r1", 0, 5), run("r2", 4)])
    assert violation.runs == ("r1", "r2")
    assert "dag/dag run/run: r1 Finished" in str(violation)


def test_the_emulator_s_own_record_is_understood():
    names = run("r1", 0)["properties"]
    root = "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w"
    path = f"/pipelines/v1.0{root}/PipelineRuns/PipelineSubmit/long"
    body = {"ExperimentName": "e", "Tags": names, "Properties": {}}
    with (
        EmulatorServer(SEED) as emulator,
        httpx.Client(base_url=emulator.url, headers={"Authorization": "Bearer t"}, trust_env=False) as client,
    ):
        for _ in range(2):
            client.post(path, json=body).raise_for_status()
        runs = client.get("/_emulator/runs").json()["runs"]
    assert promises(runs) == ["at most one run active", "no submission twice"]
