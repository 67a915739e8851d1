"""`submit --dry-run`: the request that would be sent, checked as the real one is, and nothing is sent but reads."""

from __future__ import annotations

import json

import pytest
from support.drivers.command_line import CommandLine


@pytest.fixture
def cli(workspace, monkeypatch, capsys):
    """Run commands against the local workspace."""
    return CommandLine(monkeypatch, capsys)


def changed(workspace):
    """The logged requests that change something."""
    reads = (":query", "/query")
    return [item for item in workspace.requests() if item["method"] != "GET" and not item["path"].endswith(reads)]


SUBMISSIONS = [
    ("--pipeline", "quick", "-p", "count=3", "--data-path", "input=store/in/é.csv", "--tag", "who=me"),
    ("--pipeline", "quick", "--description", "by hand"),
    ("--endpoint", "door"),
    ("--endpoint", "door", "--endpoint-version", "1"),
    ("--component", "quick", "-p", "count=3", "--compute", "cpu"),
    ("--component", "quick", "--component-version", "1", "--data-path", "input=store/in"),
    ("--batch-endpoint", "gate", "--tag", "who=me"),
    ("--batch-endpoint", "gate", "--deployment", "green"),
]


@pytest.mark.parametrize("arguments", SUBMISSIONS, ids=" ".join)
def test_what_is_printed_is_what_is_sent(cli, workspace, arguments):
    answer = cli("submit", "--experiment", "work", *arguments, "--dry-run", "-o", "json")
    assert answer.code == 0
    assert "Nothing was submitted" in answer.err
    assert changed(workspace) == []
    assert workspace.runs() == []
    cli("submit", "--experiment", "work", *arguments)
    (sent,) = changed(workspace)
    printed = answer.json
    assert (printed["method"], printed["body"]) == (sent["method"], sent["body"])
    is_job = sent["method"] == "PUT"
    # Each submission of a job has an id of its own.
    assert printed["path"].rpartition("/")[0 if is_job else 2] == sent["path"].rpartition("/")[0 if is_job else 2]
    assert printed["path"].count("/") == sent["path"].count("/")


def test_people_get_a_request_that_they_can_read(cli):
    answer = cli("submit", "--experiment", "work", "--pipeline", "quick", "-p", "count=3", "--dry-run")
    line, _, body = answer.out.partition("\n\n")
    assert line.startswith("POST /pipelines/v1.0/subscriptions/")
    assert line.endswith("/PipelineRuns/PipelineSubmit/quick")
    assert json.loads(body)["ParameterAssignments"] == {"count": "3"}


def test_the_query_is_part_of_it(cli):
    arguments = ("--experiment", "work", "--endpoint", "door", "--endpoint-version", "1", "--dry-run")
    assert "?pipelineVersion=1\n" in cli("submit", *arguments).out
    assert cli("submit", *arguments, "-o", "json").json["query"] == {"pipelineVersion": "1"}


@pytest.mark.parametrize(
    "arguments",
    [
        ("--pipeline", "quick", "-p", "count=x"),
        ("--pipeline", "quick", "-p", "no=1"),
        ("--pipeline", "retired"),
        ("--pipeline", "quik"),
        ("--pipeline", "quick", "--data-path", "input=stor/x"),
        ("--endpoint", "door", "--endpoint-version", "9"),
        ("--component", "quick", "-p", "count=x"),
        ("--component", "quick", "--data-path", "input=stor/x"),
        ("--batch-endpoint", "closed"),
        ("--pipeline", "quick", "--tag", "airflow.key=x"),
        ("--pipeline", "quick", "--component-version", "1"),
    ],
    ids=" ".join,
)
def test_it_refuses_what_a_submission_refuses_in_the_same_words(cli, workspace, arguments):
    real = cli("submit", "--experiment", "work", *arguments)
    dry = cli("submit", "--experiment", "work", *arguments, "--dry-run")
    assert dry.code in {1, 2}
    assert (dry.code, dry.out, dry.err) == (real.code, real.out, real.err)
    assert changed(workspace) == []


def test_there_is_nothing_to_wait_for(cli, workspace):
    answer = cli("submit", "--experiment", "work", "--pipeline", "quick", "--dry-run", "--wait")
    assert (answer.code, answer.out) == (2, "")
    assert "Give --dry-run or --wait, not both." in answer.err
    assert workspace.requests() == []
