"""The commands for what a workspace holds, in this process."""

from __future__ import annotations

import json
import os
import re
from datetime import datetime
from pathlib import Path

import pytest
from support.drivers.command_line import CommandLine

from aml_provider.client.models import Recurrence
from aml_provider.hooks.azure_ml import AzureMLHook

DOCS = (Path(__file__).parents[3] / "docs/reference/command-line.md").read_text()
NOWHERE = "http://127.0.0.1:1"


@pytest.fixture
def cli(workspace, monkeypatch, capsys):
    """Run commands against the local workspace."""
    return CommandLine(monkeypatch, capsys)


@pytest.fixture
def hourly(workspace):
    """A native schedule of the pipeline `quick`."""
    return AzureMLHook().create_schedule(
        "hourly",
        experiment_name="work",
        pipeline_id="quick",
        recurrence=Recurrence("Week", 2, time_zone="Asia/Seoul", hours=[9], minutes=[30], week_days=["Friday"]),
        parameters={"count": 7},
        data_paths={"input": "store/in/new"},
    )


def test_pipelines_are_listed(cli):
    answer = cli("pipelines", "list", "-o", "json")
    assert answer.code == 0
    assert answer.err == ""
    assert {item["id"]: item["name"] for item in answer.json} == {
        "quick": "quick",
        "long": "long",
        "fails": "fails",
        "twin-1": "twins",
        "twin-2": "twins",
    }
    assert datetime.fromisoformat(answer.json[0]["created"]).tzinfo


def test_all_pipelines_are_listed_with_their_status(cli):
    assert {item["id"]: item["status"] for item in cli("pipelines", "list", "--all", "-o", "json").json}[
        "retired"
    ] == "Disabled"


@pytest.mark.parametrize("output", ["table", "plain"])
def test_a_table_is_for_people(cli, output):
    lines = cli("pipelines", "list", "-o", output).out.splitlines()
    assert lines[0].split()[0] == "id"
    assert any(re.match(r"twin-1 .*twins", line) for line in lines)


def test_a_pipeline_is_shown_with_what_it_takes(cli):
    assert (
        cli("pipelines", "show", "quick", "-o", "json").json.items()
        >= {
            "id": "quick",
            "status": "Active",
            "parameters": [
                {"name": "count", "type": "Int", "required": False, "default": "1", "documentation": None},
            ],
            "data_paths": [{"name": "input", "default": "store/in"}],
            "datasets": [],
        }.items()
    )


def test_a_disabled_pipeline_is_found_by_its_name(cli):
    assert cli("pipelines", "show", "retired", "-o", "json").json["status"] == "Disabled"


@pytest.mark.parametrize("command", [("show",), ("disable", "--yes"), ("enable",)])
def test_of_two_pipelines_of_one_name_none_is_taken(cli, workspace, command):
    answer = cli("pipelines", command[0], "twins", *command[1:])
    assert (answer.code, answer.out) == (1, "")
    assert "twin-1 (Active" in answer.err
    assert "twin-2 (Active" in answer.err
    assert workspace.sent() == []


def test_disabling_a_pipeline_disables_its_schedules_first_and_says_which(cli, workspace, hourly):
    sent = len(workspace.sent())
    answer = cli("pipelines", "disable", "quick", "-o", "json", typed="y\n")
    assert answer.json["status"] == "Disabled"
    question, _, told = answer.err.partition("Proceed? (y/n)")
    assert "'quick'" in question
    assert f"hourly ({hourly.id})" in question
    assert f"Schedule 'hourly' ({hourly.id}) was Active, and is Disabled now." in told
    assert [entry["method"] for entry in workspace.sent()[sent:]] == ["PUT", "PUT"]
    assert f"/Schedules/{hourly.id}" in workspace.sent()[sent]["path"]


@pytest.mark.parametrize("typed", ["n\n", ""], ids=["no", "nobody"])
def test_without_a_yes_nothing_is_disabled(cli, workspace, hourly, typed):
    sent = len(workspace.sent())
    for command in (("pipelines", "disable", "quick"), ("schedules", "disable", "hourly")):
        answer = cli(*command, typed=typed)
        assert (answer.code, answer.out) == (1, "")
        assert "nothing was done" in answer.err
    assert len(workspace.sent()) == sent


def test_what_is_disabled_already_is_no_question(cli):
    answer = cli("pipelines", "disable", "retired", "-o", "json")
    assert answer.json["status"] == "Disabled"
    assert "Proceed" not in answer.err


def test_a_pipeline_is_enabled_again(cli):
    assert cli("pipelines", "enable", "retired", "-o", "json").json["status"] == "Active"
    assert "retired" in {item["id"] for item in cli("pipelines", "list", "-o", "json").json}


def test_endpoints_are_listed_and_shown_with_their_versions(cli):
    (listed,) = cli("endpoints", "list", "-o", "json").json
    assert listed["id"] == "door"
    shown = cli("endpoints", "show", "door", "-o", "json").json
    assert shown.items() > listed.items()
    assert shown["versions"] == [
        {"version": "0", "pipeline_id": "long", "pipeline_name": "long", "default": False},
        {"version": "1", "pipeline_id": "quick", "pipeline_name": "quick", "default": True},
    ]


def test_experiments_are_listed_and_archived_ones_with_all(cli):
    assert cli("experiments", "list", "-o", "json").json == []
    cli.started("quick")
    (listed,) = cli("experiments", "list", "-o", "json").json
    assert (listed["name"], listed["archived"]) == ("work", False)
    AzureMLHook().archive_experiment("work")
    assert cli("experiments", "list", "-o", "json").json == []
    assert cli("experiments", "list", "--all", "-o", "json").json[0]["archived"] is True


@pytest.mark.parametrize("output", ["json", "yaml", "table", "plain"])
def test_datastores_are_listed_without_their_credentials(cli, output):
    answer = cli("datastores", "list", "-o", output)
    assert "AccountKey" in answer.out
    assert "a2V5" not in answer.out + answer.err


def test_schedules_are_listed(cli, hourly):
    (listed,) = cli("schedules", "list", "-o", "json").json
    assert (listed["id"], listed["type"], listed["pipeline_id"]) == (hourly.id, "Recurrence", "quick")
    assert len(cli("schedules", "list", "--pipeline", "quick", "-o", "json").json) == 1
    assert cli("schedules", "list", "--pipeline", "long", "-o", "json").json == []
    assert cli("schedules", "list", "--endpoint", "door", "-o", "json").json == []


def test_a_schedule_is_shown_as_its_author_would_write_it(cli, hourly):
    shown = cli("schedules", "show", "hourly", "-o", "json").json
    assert shown["recurrence"] == {
        "frequency": "Week",
        "interval": 2,
        "time_zone": "Korea Standard Time",
        "hours": [9],
        "minutes": [30],
        "week_days": ["Friday"],
    }
    assert (shown["parameters"], shown["data_paths"]) == ({"count": "7"}, {"input": "store/in/new"})
    assert shown["last_run_id"] in {
        item["id"] for item in cli("runs", "list", "--schedule", "hourly", "-o", "json").json
    }


def test_a_schedule_that_watches_a_folder_is_shown_with_it(cli):
    AzureMLHook().create_schedule(
        "watch",
        experiment_name="work",
        pipeline_id="quick",
        datastore="store",
        path_on_datastore="in",
        polling_interval=10,
        data_path_parameter_name="input",
    )
    shown = cli("schedules", "show", "watch", "-o", "json").json
    assert {"datastore": "store", "path_on_datastore": "in", "polling_interval": 10}.items() < shown.items()
    assert (shown["data_path_parameter_name"], shown["recurrence"], shown["last_run_id"]) == ("input", None, None)


def test_a_schedule_is_disabled_and_enabled(cli, hourly):
    assert cli("schedules", "disable", hourly.id, "--yes", "-o", "json").json["status"] == "Disabled"
    assert cli("schedules", "list", "-o", "json").json == []
    assert len(cli("schedules", "list", "--all", "-o", "json").json) == 1
    assert cli("schedules", "enable", "hourly", "-o", "json").json["status"] == "Active"


def test_a_connection_that_works_is_shown_without_its_secrets(cli, workspace):
    answer = cli("check", "-o", "json")
    assert (answer.code, answer.err) == (0, "")
    assert (answer.json["conn_id"], answer.json["endpoint"]) == ("azureml_default", workspace.url)
    assert answer.json["auth_method"] == "static_token"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"password": "wrong-token"}, "401"),
        ({"endpoint": NOWHERE}, "no connection to 127.0.0.1:1"),
        ({"cloud": "moon"}, "cloud: is 'moon'"),
    ],
)
def test_a_connection_that_does_not_work_is_told_why(cli, workspace, monkeypatch, change, message):
    fields = json.loads(os.environ["AIRFLOW_CONN_AZUREML_DEFAULT"])
    fields |= {name: value for name, value in change.items() if name in fields}
    fields["extra"] |= {name: value for name, value in change.items() if name not in fields}
    monkeypatch.setenv("AIRFLOW_CONN_BROKEN", json.dumps(fields))
    answer = cli("check", "--conn-id", "broken")
    assert (answer.code, answer.out) == (1, "")
    assert message in answer.err
    assert "wrong-token" not in answer.err


def documented(heading):
    """The names in the table below a heading of the page."""
    section = DOCS.partition(f"\n### {heading}\n")[2].partition("\n#")[0]
    return set(re.findall(r"^\| `(\w+)`", section, re.MULTILINE))


@pytest.mark.parametrize(
    ("heading", "arguments"),
    [
        ("Published pipelines", ("pipelines", "show", "quick")),
        ("Pipeline endpoints", ("endpoints", "show", "door")),
        ("Experiments", ("experiments", "list")),
        ("Components", ("components", "show", "quick")),
        ("Batch endpoints", ("batch-endpoints", "show", "gate")),
        ("Datastores", ("datastores", "list")),
        ("Native schedules", ("schedules", "show", "hourly")),
        ("Runs", ("runs", "show")),
        ("The connection", ("check",)),
    ],
)
def test_the_page_names_what_scripts_get(cli, hourly, heading, arguments):
    run_id = cli.started("quick")
    answer = cli(*arguments, *([run_id] if heading == "Runs" else []), "-o", "json").json
    assert documented(heading) == set(answer[0] if isinstance(answer, list) else answer)
