"""The commands for components, batch endpoints and pipeline jobs, in this process."""

from __future__ import annotations

import pytest
from support.drivers.command_line import WAIT, CommandLine

from aml_provider.client.specs.job import is_own_job_id


@pytest.fixture
def cli(workspace, monkeypatch, capsys):
    """Run commands against the local workspace."""
    return CommandLine(monkeypatch, capsys)


def submit(cli, *arguments):
    return cli("submit", "--experiment", "work", "-o", "json", *arguments)


def puts(workspace):
    return workspace.requests("PUT", "/jobs/")


def test_components_are_listed_and_shown_with_their_inputs(cli):
    listed = {item["name"]: item for item in cli("components", "list", "-o", "json").json}
    assert set(listed) == {"quick", "long", "fails"}
    assert (listed["quick"]["latest_version"], listed["quick"]["archived"]) == ("2", False)
    shown = cli("components", "show", "quick", "-o", "json").json
    assert (shown["name"], shown["version"], shown["type"]) == ("quick", "2", "pipeline")
    (count,) = shown["parameters"]
    assert (count["name"], count["type"], count["required"], count["default"]) == ("count", "integer", False, "1")
    assert shown["data_paths"] == [{"name": "input", "type": "uri_folder", "required": False, "documentation": None}]
    assert cli("components", "show", "quick", "--component-version", "1", "-o", "json").json["version"] == "1"


def test_a_component_that_does_not_exist_is_reported_with_similar_ones(cli):
    answer = cli("components", "show", "quik")
    assert (answer.code, answer.out) == (1, "")
    assert "the workspace has no component named 'quik'; did you mean 'quick'?" in answer.err


def test_batch_endpoints_are_listed_and_shown_with_their_deployments(cli):
    listed = {item["name"]: item["default_deployment"] for item in cli("batch-endpoints", "list", "-o", "json").json}
    assert listed == {"gate": "blue", "closed": None}
    blue, green = cli("batch-endpoints", "show", "gate", "-o", "json").json["deployments"]
    assert (blue["name"], blue["default"], blue["settings"]) == ("blue", True, {"default_compute": "cpu"})
    assert blue["component_id"].endswith("/components/quick/versions/2")
    assert (green["name"], green["default"]) == ("green", False)


@pytest.mark.parametrize(
    ("arguments", "version", "compute"),
    [
        (("--component", "quick"), "2", None),
        (("--component", "quick", "--component-version", "1", "--compute", "gpu"), "1", "gpu"),
        (("--batch-endpoint", "gate"), "2", "cpu"),
        (("--batch-endpoint", "closed", "--deployment", "blue"), "1", None),
    ],
)
def test_a_component_is_submitted_as_a_job(cli, workspace, arguments, version, compute):
    answer = submit(cli, *arguments, "-p", "count=7", "--data-path", "input=store/in", "--tag", "who=me")
    assert answer.code == 0
    assert is_own_job_id(answer.json["id"])
    assert answer.json["pipeline_id"].endswith(f"/components/quick/versions/{version}")
    (put,) = puts(workspace)
    sent = put["body"]["properties"]
    assert sent["inputs"] == {
        "count": {"jobInputType": "literal", "value": "7"},
        "input": {"jobInputType": "uri_folder", "uri": "azureml://datastores/store/paths/in"},
    }
    assert sent["tags"] == {"who": "me", "airflow.submitted_by": "the command line"}
    assert sent["settings"].get("default_compute", "").rpartition("/")[2] == (compute or "")


def test_waiting_ends_with_the_job(cli):
    answer = submit(cli, "--component", "quick", *WAIT)
    assert (answer.code, answer.json["status"]) == (0, "Finished")
    failed = submit(cli, "--component", "fails", *WAIT)
    assert (failed.code, failed.json["status"]) == (3, "Failed")
    assert "row 2 is empty" in failed.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--component", "quick", "--pipeline", "quick"),
            "Give one of --pipeline, --endpoint",
        ),
        (("--pipeline", "quick", "--component-version", "1"), "--component-version can be used only with --component."),
        (("--component", "quick", "--deployment", "b"), "--deployment can be used only with --batch-endpoint."),
        (("--pipeline", "quick", "--compute", "c"), "--compute can be used only with --component or --batch-endpoint."),
        (("--component", "quick", "-p", "count="), "--parameter['count']: is an empty text"),
        (
            ("--component", "quick", "--dataset", "input=5"),
            "--dataset['input']: is '5'; a component takes",
        ),
        (("--component", "azureml:quick:2"), "--component: is 'azureml:quick:2'"),
    ],
)
def test_what_makes_no_sense_is_reported_before_anything_is_requested(cli, workspace, arguments, message):
    answer = submit(cli, *arguments)
    assert (answer.code, answer.out) == (2, "")
    assert message in answer.err
    assert workspace.requests() == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--component", "quik"), "--component: the workspace has no component named 'quik'; did you mean 'quick'?"),
        (("--component", "quick", "--component-version", "9"), "--component-version: component 'quick' has no version"),
        (("--component", "quick", "-p", "count=x"), "parameter 'count' is 'x', but its type is integer"),
        (("--batch-endpoint", "closed"), "has no default deployment; give --deployment (it has blue)"),
        (("--batch-endpoint", "gate", "--deployment", "red"), "--deployment: batch endpoint 'gate' has no deployment"),
        (("--component", "quick", "--data-path", "input=stor/x"), "has no datastore 'stor'; did you mean 'store'?"),
    ],
)
def test_what_cannot_run_is_not_submitted(cli, workspace, arguments, message):
    answer = submit(cli, *arguments)
    assert (answer.code, answer.out) == (1, "")
    assert message in answer.err
    assert puts(workspace) == []


def test_a_lost_reply_leads_to_the_job_and_not_to_a_second_one(cli, workspace):
    workspace.faults.add("drop", method="PUT", path="*/jobs/*")
    answer = submit(cli, "--component", "quick")
    assert (answer.code, answer.out) == (1, "")
    (put,) = puts(workspace)
    assert f"search for it with `jobs show {put['path'].rpartition('/')[2]}`" in answer.err


def test_jobs_are_listed_by_tag_and_shown_with_their_steps(cli, workspace):
    job = submit(cli, "--component", "quick", "--tag", "who=me", *WAIT).json["id"]
    other = submit(cli, "--component", "long").json["id"]
    listed = cli("jobs", "list", "-o", "json").json
    assert {item["id"]: item["status"] for item in listed} == {job: "Finished", other: "Running"}
    assert [item["id"] for item in cli("jobs", "list", "--tag", "who", "-o", "json").json] == [job]
    assert cli("jobs", "list", "--property", "airflow.key=none", "-o", "json").json == []
    shown = cli("jobs", "show", job, "-o", "json").json
    assert (shown["id"], shown["status"], shown["parameters"]) == (job, "Finished", {})
    assert [step["name"] for step in shown["steps"]] == ["work"]
    assert f"/runs/{job}?" in shown["link"]
    assert {item["id"] for item in cli("runs", "list", "--experiment", "work", "-o", "json").json} == {job, other}


def test_the_logs_of_a_job_are_printed(cli):
    job = submit(cli, "--component", "fails", *WAIT).json["id"]
    assert "row 2: oh no" in cli("jobs", "logs", job, "--step", "score").out


def test_a_job_is_cancelled(cli, workspace):
    job = submit(cli, "--component", "long").json["id"]
    assert cli("jobs", "cancel", job, typed="n\n").code == 1
    answer = cli("jobs", "cancel", job, "--yes", "-o", "json")
    assert (answer.code, answer.json["status"]) == (0, "Canceled")
    assert workspace.status(job) == "Canceled"
