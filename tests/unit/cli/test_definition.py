"""What `airflow` reads at every start: it is light, and everything that it names is there."""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from airflow.cli.cli_config import GroupCommand

from aml_provider.__main__ import build_parser, main
from aml_provider.cli.definition import STATUSES, USES, assignment, get_azureml_cli_commands, seconds
from aml_provider.client import rights
from aml_provider.client.entities import RunState
from aml_provider.connection import DEFAULT_CONN_ID
from aml_provider.get_provider_info import get_provider_info

# What Airflow's own command line has loaded when it asks its providers for their commands.
PROGRAM = """
import json, sys
import airflow.cli.cli_config
before = set(sys.modules)
from aml_provider.cli.definition import get_azureml_cli_commands
get_azureml_cli_commands()
print("LOADED", json.dumps(sorted(set(sys.modules) - before)))
"""


def walk(commands, path=()):
    for command in commands:
        if isinstance(command, GroupCommand):
            yield from walk(command.subcommands, (*path, command.name))
        else:
            yield " ".join((*path, command.name)), command


DOCS = (Path(__file__).parents[3] / "docs/reference/command-line.md").read_text()
(GROUP,) = get_azureml_cli_commands()
COMMANDS = dict(walk(GROUP.subcommands))


def test_these_are_the_commands():
    assert set(COMMANDS) == {
        "batch-endpoints list",
        "batch-endpoints show",
        "check",
        "components list",
        "components show",
        "datastores list",
        "endpoints list",
        "endpoints show",
        "experiments list",
        "job-schedules delete",
        "job-schedules disable",
        "job-schedules enable",
        "job-schedules list",
        "job-schedules show",
        "job-schedules trigger",
        "jobs cancel",
        "jobs list",
        "jobs logs",
        "jobs show",
        "jobs watch",
        "pipelines disable",
        "pipelines enable",
        "pipelines list",
        "pipelines show",
        "runs cancel",
        "runs list",
        "runs logs",
        "runs show",
        "runs watch",
        "schedules disable",
        "schedules enable",
        "schedules export",
        "schedules list",
        "schedules show",
        "submit",
    }


@pytest.mark.parametrize("name", COMMANDS)
def test_the_page_describes_each_command(name):
    assert re.search(rf"`{name}\b", DOCS)


def test_the_page_describes_every_way_to_submit():
    options = {flag for arg in COMMANDS["submit"].args for flag in arg.flags if flag.startswith("--")}
    assert {option for option in options if f"`{option}" not in DOCS} == set()


def test_describing_them_loads_nothing_that_airflow_has_not_loaded():
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    loaded = set(json.loads(output.split("LOADED ")[1]))
    assert loaded <= {"aml_provider", "aml_provider.cli", "aml_provider.cli.definition"}
    assert "aml_provider.cli.definition" in loaded


def test_airflow_finds_the_commands():
    (name,) = get_provider_info()["cli"]
    module, _, function = name.rpartition(".")
    assert getattr(importlib.import_module(module), function) is get_azureml_cli_commands
    assert GROUP.name == "azureml"


@pytest.mark.parametrize("command", COMMANDS.values(), ids=list(COMMANDS))
def test_what_carries_it_out_is_there(command):
    path = inspect.getclosurevars(command.func).nonlocals["import_path"]
    module, _, function = path.rpartition(".")
    assert callable(getattr(importlib.import_module(module), function))


@pytest.mark.parametrize("name", COMMANDS)
def test_it_takes_what_all_of_them_take(name):
    wanted = [f"{flag}=x" for arg in COMMANDS[name].args for flag in arg.flags if arg.kwargs.get("required")]
    given = ["x"] if any(not arg.flags[0].startswith("-") for arg in COMMANDS[name].args) else []
    options = build_parser().parse_args([*name.split(), *given, *wanted])
    assert options.conn_id == DEFAULT_CONN_ID
    assert options.output == "table"
    assert options.verbose is False


@pytest.mark.parametrize("command", COMMANDS.values(), ids=list(COMMANDS))
def test_every_argument_is_explained(command):
    assert all(arg.kwargs["help"] for arg in command.args)


@pytest.mark.parametrize("name", ["runs logs", "runs watch", "jobs logs", "jobs watch"])
def test_the_page_describes_every_way_to_follow(name):
    options = {flag for arg in COMMANDS[name].args for flag in arg.flags if flag.startswith("--")}
    assert {option for option in options if f"`{option}" not in DOCS} == set()


def test_the_help_can_be_read_on_every_terminal():
    for command in COMMANDS.values():
        texts = [command.help, command.description or "", *(arg.kwargs["help"] for arg in command.args)]
        assert all(text.isascii() for text in texts)


def test_a_program_of_its_own_carries_them_out():
    (script,) = entry_points(group="console_scripts", name="airflow-azureml")
    assert script.value == "aml_provider.__main__:main"
    assert script.load() is main


@pytest.mark.parametrize(
    "name",
    [
        "job-schedules delete",
        "job-schedules disable",
        "pipelines disable",
        "schedules disable",
        "runs cancel",
    ],
)
def test_commands_that_stop_something_accept_yes(name):
    assert build_parser().parse_args([*name.split(), "x"]).yes is False
    assert build_parser().parse_args([*name.split(), "x", "-y"]).yes is True


def test_an_export_accepts_yes_because_it_can_disable():
    assert build_parser().parse_args(["schedules", "export", "--dag-dir", "x"]).yes is False
    assert build_parser().parse_args(["schedules", "export", "--dag-dir", "x", "-y"]).yes is True


def test_the_page_describes_every_option_of_an_export():
    page = (Path(__file__).parents[3] / "docs/how-to/export-native-schedules.md").read_text()
    options = {flag for arg in COMMANDS["schedules export"].args for flag in arg.flags if flag.startswith("--")}
    common = {"--conn-id", "--output", "--verbose"}
    assert {option for option in options - common if f"`{option}" not in page} == set()


@pytest.mark.parametrize(
    ("text", "pair"),
    [("a=b", ("a", "b")), ("a=", ("a", "")), ("a=b=c", ("a", "b=c")), ("a= b ", ("a", " b "))],
)
def test_an_assignment_is_cut_at_its_first_equals_sign(text, pair):
    assert assignment(text) == pair


@pytest.mark.parametrize("text", ["a", "=b", ""])
def test_what_is_no_assignment_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="not of the form name=value"):
        assignment(text)


@pytest.mark.parametrize(("text", "value"), [("1", 1.0), ("0.5", 0.5)])
def test_seconds_are_a_positive_number(text, value):
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "soon"])
def test_other_seconds_are_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="positive number of seconds"):
        seconds(text)


def test_every_use_can_be_checked():
    assert tuple(rights.USES) == USES


def test_every_status_that_is_known_can_be_asked_for():
    assert set(STATUSES) == {state.value for state in RunState} - {RunState.UNKNOWN.value}
