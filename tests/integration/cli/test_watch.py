"""`runs watch` and `runs logs --follow`, in this process: what they print, and how they end."""

from __future__ import annotations

import json
import threading

import pytest
from support.drivers.command_line import CommandLine
from support.services.held_workspace import HeldWorkspace
from support.services.local_workspace import LONG

from aml_provider.client.http.clients import Clock

FAST = ("--poll-interval", "0.02")


@pytest.fixture
def cli(workspace, monkeypatch, capsys):
    """Run commands against the local workspace."""
    return CommandLine(monkeypatch, capsys)


@pytest.fixture
def pausing(monkeypatch):
    """Let a function run in place of each pause between two polls."""
    actions = []
    monkeypatch.setattr(Clock, "sleep", lambda clock, seconds: actions.pop(0)(seconds) if actions else None)
    return actions


def words(text):
    """Each line without its time."""
    return [line.partition(" ")[2] for line in text.splitlines()]


def test_each_change_is_a_line_and_success_is_zero(cli):
    run_id = cli.started("quick")
    answer = cli("runs", "watch", run_id, *FAST)
    assert answer.code == 0
    lines = words(answer.out)
    assert lines[-1].startswith(f"Finished   run {run_id}, after ")
    assert any(line.startswith("Completed  step work, after ") for line in lines)
    assert len(lines) == len(set(lines)), "an unchanged poll writes nothing"
    assert f"Watching run {run_id}: http" in answer.err
    assert f"Run {run_id} ended as Finished after " in answer.err


def test_the_names_of_pipelines_are_not_waited_for(cli, workspace):
    run_id = cli.ended("quick")
    workspace.faults.add("status", status=429, method="GET", path="*/Pipelines", retry_after=3600)
    answer = cli("runs", "watch", run_id, *FAST)
    assert answer.code == 0
    assert "The names of the pipelines are missing" in answer.err


def test_programs_get_an_answer_though_the_steps_cannot_be_read(cli, workspace):
    run_id = cli.ended("quick")
    workspace.faults.add("status", status=403, method="GET", path="*/children")
    answer = cli("runs", "watch", run_id, *FAST, "-o", "json")
    assert answer.code == 0
    assert (answer.json["status"], answer.json["steps"]) == ("Finished", [])


def test_a_failed_run_has_an_exit_code_of_its_own_and_its_reason(cli):
    answer = cli("runs", "watch", cli.ended("fails"), *FAST)
    assert answer.code == 3
    assert "Step 'score' failed: row 2 is empty" in answer.err
    assert "row 2: oh no" in answer.err
    assert "Failed     step score" in answer.out


def test_so_has_a_cancelled_one(cli):
    run_id = cli.started("long")
    cli("runs", "cancel", run_id, "--yes")
    answer = cli("runs", "watch", run_id, *FAST)
    assert answer.code == 4
    assert f"Run {run_id} ended as Canceled" in answer.err


def test_a_timeout_ends_the_watching_and_not_the_run(cli, workspace):
    run_id = cli.started("long")
    answer = cli("runs", "watch", run_id, *FAST, "--timeout", "0.05")
    assert answer.code == 5
    assert f"Run {run_id} is still Running after 0.05 seconds and continues" in answer.err
    assert workspace.status(run_id) == "Running"


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_programs_get_the_run_at_its_end_and_nothing_else(cli, form):
    run_id = cli.started("quick")
    answer = cli("runs", "watch", run_id, *FAST, "-o", form)
    assert answer.code == 0
    if form == "json":
        assert (answer.json["id"], answer.json["status"]) == (run_id, "Finished")
        assert (answer.json["pipeline_name"], answer.json["steps"][0]["status"]) == ("quick", "Completed")
    assert "Completed  step work" in answer.err


def test_a_job_is_watched_too(cli):
    job = cli("submit", "--component", "quick", "--experiment", "work", "-o", "json").json["id"]
    for noun in ("jobs", "runs"):
        answer = cli(noun, "watch", job, *FAST)
        assert answer.code == 0
        assert "Completed  step work" in answer.out


def test_a_run_that_does_not_exist_is_an_error_and_not_a_failed_run(cli):
    answer = cli("runs", "watch", "nope", *FAST)
    assert (answer.code, answer.out) == (1, "")
    assert "404" in answer.err


def test_an_outage_is_survived_and_reported(cli, workspace, pausing, monkeypatch):
    monkeypatch.setenv("AIRFLOW__AZUREML__RETRY_BUDGET", "60")
    run_id = cli.started("long")
    pausing += [lambda _: workspace.faults.add("status", status=503, path=f"*/PipelineRuns/{run_id}", times=3)]
    pausing += [lambda _: None] * 3
    pausing += [lambda _: workspace.clock.advance(LONG + 100)]
    answer = cli("runs", "watch", run_id)
    assert answer.code == 0
    assert "is tried again for up to 60 s" in answer.err
    assert "It works again" in answer.err
    assert words(answer.out)[-1].startswith("Finished   run")


def test_the_service_decides_when_it_is_polled_again(cli, workspace, pausing, monkeypatch):
    monkeypatch.setenv("AIRFLOW__AZUREML__THROTTLED_BUDGET", "3600")
    run_id = cli.started("long")
    paused = []
    workspace.faults.add("status", status=429, retry_after=77, path="*/children", times=1)
    pausing += [paused.append, lambda _: workspace.clock.advance(LONG + 100)]
    assert cli("runs", "watch", run_id).code == 0
    assert paused == [77.0]


def test_an_interruption_leaves_the_run_and_says_so(cli, workspace, pausing):
    run_id = cli.started("long")

    def interrupt(_):
        raise KeyboardInterrupt

    for command in (("watch", run_id), ("logs", run_id, "--follow")):
        pausing[:] = [interrupt]
        answer = cli("runs", *command)
        assert answer.code == 130
        assert f"Run {run_id} continues. See it with `runs show {run_id}`" in answer.err
    assert workspace.status(run_id) == "Running"


@pytest.fixture
def held(monkeypatch):
    """A workspace whose runs end when the test says so, and their logs grow likewise."""
    with HeldWorkspace(1) as running:
        monkeypatch.setenv("AIRFLOW_CONN_AZUREML_DEFAULT", json.dumps(running.connection()))
        yield running


def test_logs_are_followed_until_the_run_ends(workspace, cli, held, pausing):
    run_id = cli("submit", "--pipeline", "p0", "--experiment", "work", "-o", "json").json["id"]
    log = held.state.runs[run_id].steps[0].log
    changes = [
        lambda: log.append("first"),
        lambda: None,
        lambda: log.extend(["second", "third"]),
        lambda: (log.append("last"), held.finish(run_id)),
    ]
    pausing += [lambda _, change=change: change() for change in changes]
    answer = cli("runs", "logs", run_id, "--follow")
    assert answer.code == 0
    assert answer.out == "==> work/user_logs/std_log.txt <==\nfirst\nsecond\nthird\nlast\n"
    assert f"Run {run_id} ended as Finished" in answer.err
    ranges = [entry["headers"].get("range") for entry in held.requests() if "/_content/" in entry["path"]]
    assert ranges
    assert all(ranges)


def test_following_a_run_that_has_ended_prints_what_logs_prints(cli):
    run_id = cli.ended("fails")
    followed = cli("runs", "logs", run_id, "--follow", *FAST)
    assert followed.code == 3
    # The log of the other step is empty.
    assert followed.out == cli("runs", "logs", run_id, "--step", "score").out
    assert "row 2: oh no" not in followed.err
    one = cli("runs", "logs", run_id, "-f", "--step", "score", *FAST)
    assert one.out.startswith("==> score/user_logs/std_log.txt <==\nloading\nrow 2: oh no\n")
    assert "read" not in one.out


def test_a_job_is_followed_too(cli):
    job = cli("submit", "--component", "fails", "--experiment", "work", "-o", "json").json["id"]
    answer = cli("jobs", "logs", job, "--follow", *FAST)
    assert (answer.code, answer.out.count("row 2: oh no")) == (3, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("--timeout", "3"), "--timeout can be used only with --follow."), (("-f", "-o", "json"), "cannot be json")],
)
def test_what_does_not_fit_together_is_reported_before_anything_is_requested(cli, workspace, arguments, message):
    answer = cli("runs", "logs", "x", *arguments)
    assert (answer.code, answer.out) == (2, "")
    assert message in answer.err
    assert workspace.requests() == []


def test_a_step_that_does_not_exist_is_an_error(cli):
    answer = cli("runs", "logs", cli.ended("quick"), "--follow", "--step", "nope", *FAST)
    assert (answer.code, answer.out) == (1, "")
    assert "has no such step; it has work" in answer.err
    assert "continues" not in answer.err


def test_a_log_that_cannot_be_read_at_first_is_complete_in_the_end(cli, workspace):
    run_id = cli.ended("fails")
    workspace.faults.add("status", status=403, method="GET", path="*std_log*", times=1)
    answer = cli("runs", "logs", run_id, "--follow", *FAST)
    assert "403" in answer.err
    assert "It works again" in answer.err
    assert answer.out.count("row 2: oh no") == 1
    assert not [thread for thread in threading.enumerate() if "Refresh" in type(thread).__name__]
