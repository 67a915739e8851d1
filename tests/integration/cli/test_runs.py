"""The commands for runs, in this process."""

from __future__ import annotations

import re
from datetime import datetime

import pytest
from support.drivers.command_line import WAIT, CommandLine


@pytest.fixture
def cli(workspace, monkeypatch, capsys):
    """Run commands against the local workspace."""
    return CommandLine(monkeypatch, capsys)


def test_a_run_is_submitted_with_everything(cli, workspace):
    answer = cli.submit(
        "quick",
        *("-p", "count=3", "--data-path", "input=store/in/a=b.csv", "--tag", "who=me", "--tag", "note="),
        *("--description", "by hand"),
    )
    assert answer.code == 0
    run = workspace.only_run()
    assert answer.json["id"] == run.id
    assert run.id in answer.err
    assert answer.json["link"] in answer.err
    (post,) = workspace.posts()
    assert post["body"]["ParameterAssignments"] == {"count": "3"}
    assert post["body"]["DataPathAssignments"] == {"input": {"DataStoreName": "store", "RelativePath": "in/a=b.csv"}}
    assert post["body"]["tags"] == {"who": "me", "note": "", "airflow.submitted_by": "the command line"}
    assert post["body"]["Properties"] == {"airflow.submitted_by": "the command line"}
    assert post["body"]["Description"] == "by hand"


@pytest.mark.parametrize("target", [("--pipeline", "quick"), ("--endpoint", "door"), ("--component", "quick")])
def test_a_run_says_that_the_command_line_submitted_it(cli, workspace, target):
    assert cli("submit", *target, "--experiment", "work").code == 0
    run = workspace.only_run()
    assert run.description == "Submitted by the command line"
    assert run.history_tags["airflow.submitted_by"] == "the command line"
    assert run.history_properties["airflow.submitted_by"] == "the command line"


@pytest.mark.parametrize(("version", "pipeline"), [((), "quick"), (("--endpoint-version", "0"), "long")])
def test_an_endpoint_is_submitted(cli, workspace, version, pipeline):
    assert cli("submit", "--endpoint", "door", "--experiment", "work", *version).code == 0
    assert workspace.only_run().pipeline_id == pipeline


def test_waiting_ends_with_the_run(cli):
    answer = cli.submit("quick", *WAIT)
    assert (answer.code, answer.json["status"]) == (0, "Finished")
    assert f"Run {answer.json['id']}: Finished (work Completed)" in answer.err


def test_a_run_that_fails_is_told_with_its_reason(cli):
    answer = cli.submit("fails", *WAIT)
    assert (answer.code, answer.json["status"]) == (3, "Failed")
    assert "Step 'score' failed: row 2 is empty" in answer.err
    assert "row 2: oh no" in answer.err


def test_a_timeout_ends_the_wait_and_not_the_run(cli, workspace):
    answer = cli.submit("long", *WAIT, "--timeout", "0.05")
    assert (answer.code, answer.json["status"]) == (5, "Running")
    assert "still Running after 0.05 seconds and continues" in answer.err
    assert workspace.status() == "Running"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Give one of --pipeline, --endpoint, --component and --batch-endpoint."),
        (("--pipeline", "quick", "--endpoint", "door"), "Give one of --pipeline, --endpoint, --component and --batch"),
        (("--pipeline", "quick", "--endpoint-version", "1"), "--endpoint-version can be used only with --endpoint."),
        (("--pipeline", "quick", "--timeout", "1"), "--timeout can be used only with --wait."),
        (("--pipeline", "quick", "-p", "count=1", "-p", "count=2"), "--parameter: count is given more than once."),
        (("--pipeline", "quick", "--data-path", "input=https://x"), "--data-path['input']: names the datastore"),
        (("--pipeline", "quick", "--tag", "airflow.key=x"), "--tag['airflow.key']: tags that begin with"),
        (("--pipeline", "quick", "-p", "count"), "argument -p/--parameter: 'count' is not of the form name=value"),
    ],
)
def test_what_makes_no_sense_is_told_before_anything_is_asked(cli, workspace, arguments, message):
    answer = cli("submit", "--experiment", "work", *arguments)
    assert (answer.code, answer.out) == (2, "")
    assert message in answer.err
    assert workspace.requests() == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--pipeline", "quick", "-p", "count=x", "-p", "no=1"),
            "there is no parameter 'no'; parameter 'count' is 'x'",
        ),
        (("--pipeline", "retired"), "is Disabled; enable it"),
        (("--pipeline", "quik"), "did you mean 'quick'?"),
        (("--endpoint", "door", "--endpoint-version", "9"), "has no version '9'; it has 0, 1"),
    ],
)
def test_what_cannot_run_is_not_submitted(cli, workspace, arguments, message):
    answer = cli("submit", "--experiment", "work", *arguments)
    assert (answer.code, answer.out) == (1, "")
    assert message in answer.err
    assert workspace.posts() == []


def test_a_lost_reply_leads_to_the_runs_and_not_to_a_second_one(cli, workspace):
    workspace.faults.add("drop", method="POST", path="*/PipelineSubmit/*")
    answer = cli("submit", "--pipeline", "quick", "--experiment", "work")
    assert (answer.code, answer.out) == (1, "")
    assert "It is not known whether the run exists" in answer.err
    assert "`runs list --experiment work`" in answer.err
    assert len(workspace.posts()) == 1


def test_runs_are_listed_by_experiment_and_by_pipeline_in_the_same_words(cli):
    first, second = cli.ended("fails"), cli.ended("quick")
    listed = cli("runs", "list", "--experiment", "work", "-o", "json").json
    assert [(item["id"], item["status"]) for item in listed] == [(second, "Finished"), (first, "Failed")]
    assert [item["pipeline_id"] for item in listed] == ["quick", "fails"]
    of_pipeline = cli("runs", "list", "--pipeline", "quick", "-o", "json").json
    assert [(item["id"], item["status"]) for item in of_pipeline] == [(second, "Finished")]
    assert [item["pipeline_name"] for item in listed] == ["quick", "fails"]
    assert all(isinstance(item["duration"], int) for item in listed + of_pipeline)
    assert len(cli("runs", "list", "--experiment", "work", "--limit", "1", "-o", "json").json) == 1
    (failed,) = cli("runs", "list", "--experiment", "work", "--status", "Failed", "-o", "json").json
    assert failed["id"] == first


def test_the_names_of_pipelines_cost_one_request(cli, workspace):
    for _ in range(3):
        cli.started("long")
    before = len(workspace.requests())
    listed = cli("runs", "list", "--experiment", "work", "-o", "json").json
    assert [item["pipeline_name"] for item in listed] == ["long"] * 3
    assert len(workspace.requests()) - before == 2


def test_runs_are_listed_without_the_names_of_pipelines_if_those_cannot_be_read(cli, workspace):
    run_id = cli.started("long")
    workspace.faults.add("status", status=403, method="GET", path="*/Pipelines", times=5)
    answer = cli("runs", "list", "--experiment", "work", "-o", "json")
    assert [(item["id"], item["pipeline_name"]) for item in answer.json] == [(run_id, None)]
    assert "The names of the pipelines are missing" in answer.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Give one of --experiment, --pipeline and --schedule"),
        (("--experiment", "work", "--pipeline", "quick"), "Give one of --experiment, --pipeline and --schedule"),
        (("--experiment", "work", "--status", "Great"), "invalid choice: 'Great'"),
    ],
)
def test_runs_are_not_listed_without_saying_whose(cli, arguments, message):
    answer = cli("runs", "list", *arguments)
    assert (answer.code, answer.out) == (2, "")
    assert message in answer.err


def test_a_run_is_shown_with_its_steps(cli):
    run_id = cli.started("quick", "--tag", "who=me", "-p", "count=3")
    shown = cli("runs", "show", run_id, "-o", "json").json
    tags = {"who": "me", "airflow.submitted_by": "the command line"}
    assert (shown["tags"], shown["parameters"], shown["error"]) == (tags, {"count": "3"}, None)
    assert [step["name"] for step in shown["steps"]] == ["work"]
    assert run_id in shown["link"]


def test_a_failed_run_is_shown_with_its_reason(cli):
    shown = cli("runs", "show", cli.ended("fails"), "-o", "json").json
    assert shown["error"].startswith("Step 'score' failed: row 2 is empty")
    assert [step["status"] for step in shown["steps"]] == ["Completed", "Failed"]
    assert datetime.fromisoformat(shown["steps"][0]["started"])


def test_logs_are_headed_by_their_step(cli):
    run_id = cli.ended("fails")
    headings = re.findall(r"^==> (\w+)/.* <==$", cli("runs", "logs", run_id).out, re.MULTILINE)
    assert headings == ["read", "score"]
    (record,) = cli("runs", "logs", run_id, "--step", "score", "-o", "json").json
    assert record["log"].startswith("score/")
    assert record["text"].startswith("loading\nrow 2: oh no\n")


def test_an_unknown_step_is_told_with_those_that_there_are(cli):
    answer = cli("runs", "logs", cli.ended("fails"), "--step", "nope")
    assert (answer.code, answer.out) == (1, "")
    assert "read, score" in answer.err


def test_a_log_that_cannot_be_read_is_told(cli, workspace):
    run_id = cli.ended("fails")
    workspace.faults.add("status", status=403, method="GET", path="*std_log*", times=1)
    answer = cli("runs", "logs", run_id)
    assert "403" in answer.err
    assert "row 2: oh no" in answer.out


def test_a_run_is_cancelled(cli, workspace):
    run_id = cli.started("long")
    answer = cli("runs", "cancel", run_id, "-o", "json", typed="y\n")
    assert (answer.code, answer.json["status"]) == (0, "Canceled")
    assert run_id in answer.err.partition("Proceed?")[0]
    assert workspace.status(run_id) == "Canceled"


def test_without_a_yes_a_run_goes_on(cli, workspace):
    run_id = cli.started("long")
    assert cli("runs", "cancel", run_id, typed="n\n").code == 1
    assert workspace.status(run_id) == "Running"


def test_what_has_ended_is_not_cancelled(cli):
    answer = cli("runs", "cancel", cli.ended("quick"), "-o", "json")
    assert (answer.code, answer.json["status"]) == (0, "Finished")
    assert "has already ended" in answer.err


def test_a_run_that_is_not_there_is_told(cli):
    answer = cli("runs", "show", "nope")
    assert (answer.code, answer.out) == (1, "")
    assert "404" in answer.err
