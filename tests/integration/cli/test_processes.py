"""The commands as a user runs them: processes of their own, with an Airflow of their own."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from pathlib import Path

import airflow
import pytest
from support.services.recorded_workspace import TOKEN

AIRFLOW = str(Path(sys.executable).with_name("airflow"))
OURS = (sys.executable, "-m", "aml_provider")
TAKES_COMMANDS = tuple(map(int, airflow.__version__.split(".")[:2])) >= (3, 2)
needs_commands_of_providers = pytest.mark.skipif(not TAKES_COMMANDS, reason="Airflow takes commands from 3.2 on")
ENTRIES = [
    pytest.param(OURS, id="python -m"),
    pytest.param((AIRFLOW, "azureml"), id="airflow", marks=needs_commands_of_providers),
]
# What says something on standard output while Airflow is loaded; Airflow 2 itself logs that it has read it.
LOCAL_SETTINGS = "import logging\nprint('chatter')\nlogging.getLogger('airflow').warning('more chatter')\n"


def run(*command, environment):
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, stdin=subprocess.DEVNULL, check=False
    )
    assert TOKEN not in done.stdout + done.stderr
    return done


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_script_gets_json_and_nothing_else(entry, environment, workspace):
    done = run(*entry, "pipelines", "list", "-o", "json", environment=environment)
    assert done.returncode == 0
    assert [item["id"] for item in json.loads(done.stdout)] == ["quick", "long", "fails", "twin-1", "twin-2"]
    assert len(workspace.requests()) == 1


@needs_commands_of_providers
@pytest.mark.parametrize(("arguments", "code"), [(("pipelines", "show", "quik"), 1), (("runs", "list"), 2)])
def test_airflow_ends_with_our_exit_code_and_our_message(environment, arguments, code):
    done = run(AIRFLOW, "azureml", *arguments, environment=environment)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.splitlines()[-1].startswith(("The workspace has no", "Give one of"))
    assert "Traceback" not in done.stderr


def test_verbose_shows_where(environment):
    done = run(*OURS, "pipelines", "show", "quik", "--verbose", environment=environment)
    assert (done.returncode, done.stdout) == (1, "")
    assert "Traceback" in done.stderr
    assert "lookup.py" in done.stderr


def test_what_airflow_says_while_it_is_loaded_stays_off_standard_output(environment, tmp_path):
    home = tmp_path / "talkative"
    (home / "config").mkdir(parents=True)
    (home / "config/airflow_local_settings.py").write_text(LOCAL_SETTINGS)
    changed = environment | {"AIRFLOW_HOME": str(home), "PYTHONPATH": str(home / "config")}
    done = run(*OURS, "endpoints", "list", "-o", "json", environment=changed)
    assert [item["id"] for item in json.loads(done.stdout)] == ["door"]
    assert "chatter" in done.stderr


def test_connections_come_from_airflows_database_too(environment):
    stored = environment.pop("AIRFLOW_CONN_AZUREML_DEFAULT")
    for arguments in (("db", "migrate"), ("connections", "add", "stored", "--conn-json", stored)):
        done = subprocess.run([AIRFLOW, *arguments], capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == 0, done.stderr
    done = run(*OURS, "check", "--conn-id", "stored", "-o", "json", environment=environment)
    assert json.loads(done.stdout)["conn_id"] == "stored"
    done = run(*OURS, "check", environment=environment)
    assert (done.returncode, done.stdout) == (1, "")
    assert "azureml_default" in done.stderr
    assert "--conn-id" in done.stderr


@contextlib.contextmanager
def interruptible():
    """Let processes started here obey Ctrl-C: what a shell without job control puts aside begins deaf to it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_interrupted_wait_leaves_the_run_and_says_so(environment, workspace):
    command = [*OURS, "submit", "--pipeline", "long", "--experiment", "work", "--wait", "--poll-interval", "600"]
    pipe = subprocess.PIPE
    with interruptible(), subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment) as process:
        try:
            lines = []
            while not (lines and "Running" in lines[-1]):
                lines.append(process.stderr.readline())
                assert lines[-1], lines
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    run_id = workspace.only_run().id
    assert (process.returncode, out) == (130, "")
    assert f"Run {run_id} continues" in err
    assert "Traceback" not in err
    assert workspace.status() == "Running"


PARSER = """
import json, sys
from airflow.cli import cli_parser
cli_parser.get_parser()
print("LOADED", json.dumps([name for name in sys.modules if name.partition(".")[0] == "aml_provider"]))
print("KNOWN", "azureml" in cli_parser.ALL_COMMANDS_DICT)
"""


@needs_commands_of_providers
def test_every_other_command_of_airflow_loads_our_description_alone(environment):
    done = run(sys.executable, "-W", "ignore", "-c", PARSER, environment=environment)
    assert done.stdout.splitlines()[-1] == "KNOWN True"
    assert set(json.loads(done.stdout.partition("LOADED ")[2].splitlines()[0])) == {
        "aml_provider",
        "aml_provider.cli",
        "aml_provider.cli.definition",
        "aml_provider.get_provider_info",
    }
