"""The commands for job schedules, against the local workspace."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.drivers.command_line import CommandLine
from support.services.local_workspace import serving

from aml_provider.client.models import Recurrence
from aml_provider.compat import AirflowFailException
from aml_provider.hooks.azure_ml import AzureMLHook

DOCS = (Path(__file__).parents[3] / "docs/reference/command-line.md").read_text()


@pytest.fixture
def cli(workspace, monkeypatch, capsys):
    """Run commands against the local workspace."""
    return CommandLine(monkeypatch, capsys)


@pytest.fixture
def weekly(workspace):
    """A job schedule of the component `quick`."""
    return AzureMLHook().create_job_schedule(
        "weekly",
        experiment_name="work",
        component_name="quick",
        recurrence=Recurrence("Week", 2, hours=[9], minutes=[30], week_days=["Friday"]),
        start_time="2099-01-01T00:00:00",
        time_zone="Asia/Seoul",
        parameters={"count": 7},
        data_paths={"input": "store/in/new"},
        description="each second week",
    )


def test_job_schedules_are_listed_and_shown(cli, weekly):
    (listed,) = cli("job-schedules", "list", "-o", "json").json
    assert (listed["name"], listed["type"], listed["status"]) == ("weekly", "Recurrence", "Active")
    shown = cli("job-schedules", "show", "weekly", "-o", "json").json
    assert listed.items() <= shown.items()
    assert shown["component_id"].endswith("/components/quick/versions/2")
    assert shown["recurrence"] == {
        "frequency": "Week",
        "interval": 2,
        "hours": [9],
        "minutes": [30],
        "week_days": ["Friday"],
    }
    assert (shown["start_time"], shown["end_time"], shown["cron"]) == ("2099-01-01T00:00:00", None, None)
    assert shown["time_zone"] == "Korea Standard Time"
    assert shown["parameters"] == {"count": "7"}
    assert shown["data"] == {"input": "azureml://datastores/store/paths/in/new"}
    assert (shown["last_job_id"], shown["last_job_status"]) == (None, None)


def test_a_schedule_whose_jobs_cannot_be_found_is_shown_anyway(monkeypatch, capsys):
    with serving(monkeypatch, quirks=("schedule_filter=refused",)) as workspace:
        AzureMLHook().create_job_schedule(
            "foreign",
            experiment_name="work",
            component_name="quick",
            cron="0 7 * * *",
            start_time="2099-01-01T00:00:00",
        )
        properties = workspace.state.job_schedules.get("foreign").properties
        for part in (properties, properties["action"]["jobDefinition"]):
            part["tags"], part["properties"] = {}, {}
        answer = CommandLine(monkeypatch, capsys)("job-schedules", "show", "foreign", "-o", "json")
    assert (answer.code, answer.json["name"], answer.json["last_job_id"]) == (0, "foreign", None)
    assert "The jobs of schedule 'foreign' cannot be found" in answer.err


def test_the_jobs_of_a_misspelt_schedule_are_an_error_with_its_neighbour(weekly):
    assert AzureMLHook().list_jobs_of_job_schedule("weekly") == ()
    with pytest.raises(AirflowFailException, match="no job schedule 'weekli'; did you mean 'weekly'"):
        AzureMLHook().list_jobs_of_job_schedule("weekli")


def test_a_job_schedule_is_triggered(cli, workspace, weekly):
    started = cli("job-schedules", "trigger", "weekly", "-o", "json").json["job_id"]
    assert [run.id for run in workspace.runs()] == [started]
    assert cli("job-schedules", "show", "weekly", "-o", "json").json["last_job_id"] == started


def test_a_job_schedule_is_disabled_enabled_and_deleted(cli, workspace, weekly):
    assert cli("job-schedules", "disable", "weekly", "--yes", "-o", "json").json["status"] == "Disabled"
    assert cli("job-schedules", "list", "-o", "json").json == []
    assert len(cli("job-schedules", "list", "--all", "-o", "json").json) == 1
    assert cli("job-schedules", "enable", "weekly", "-o", "json").json["status"] == "Active"
    assert cli("job-schedules", "delete", "weekly", "--yes", "-o", "json").json == {
        "name": "weekly",
        "status": "Deleted",
    }
    assert workspace.state.job_schedules.all() == []


@pytest.mark.parametrize("verb", ["disable", "delete"])
def test_without_a_yes_nothing_is_changed(cli, workspace, weekly, verb):
    sent = len(workspace.sent())
    answer = cli("job-schedules", verb, "weekly", typed="n\n")
    assert answer.code == 1
    assert "'weekly'" in answer.err
    assert len(workspace.sent()) == sent


@pytest.mark.parametrize("command", [("show",), ("disable", "--yes"), ("enable",), ("trigger",), ("delete", "--yes")])
def test_a_misspelt_name_is_named(cli, workspace, weekly, command):
    answer = cli("job-schedules", command[0], "weekli", *command[1:])
    assert (answer.code, answer.out) == (1, "")
    assert "did you mean 'weekly'" in answer.err


def test_the_page_names_what_scripts_get(cli, weekly):
    section = DOCS.partition("\n### Job schedules\n")[2].partition("\n#")[0]
    shown = cli("job-schedules", "show", "weekly", "-o", "json").json
    assert set(re.findall(r"^\| `(\w+)`", section, re.MULTILINE)) == set(shown)
