"""The commands in real terminals and pipes, as processes of their own."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys

import pytest
from support.drivers.terminal import Terminal
from support.services.held_workspace import HeldWorkspace

from aml_provider.hooks.azure_ml import AzureMLHook

OURS = (sys.executable, "-W", "ignore", "-m", "aml_provider")
COLOUR = "\x1b[3"


@pytest.fixture
def held(environment, monkeypatch):
    """A workspace whose runs end when the test says so."""
    with HeldWorkspace(1) as running:
        connection = json.dumps(running.connection())
        environment["AIRFLOW_CONN_AZUREML_DEFAULT"] = connection
        monkeypatch.setenv("AIRFLOW_CONN_AZUREML_DEFAULT", connection)
        yield running


@pytest.fixture
def run_id(held):
    """A run whose only step is running."""
    run = AzureMLHook().submit_pipeline("p0", experiment_name="work")
    while AzureMLHook().list_steps(run)[0].status != "Running":
        held.clock.advance(1)
    return run.id


def watch(run_id, *options):
    return (*OURS, "runs", "watch", run_id, "--poll-interval", "0.1", *options)


def test_a_terminal_shows_the_steps_until_the_run_ends(environment, held, run_id):
    with Terminal(*watch(run_id), environment=environment) as terminal:
        terminal.wait_for("Ctrl-C stops watching")
        terminal.wait_for("work | Running")
        before = terminal.screen()
        held.finish(run_id)
        assert terminal.end() == 0
    assert any(re.fullmatch(r"work \| Running +\| \d\d:\d\d:\d\d +\| 0:00:\d\d", line) for line in before), before
    after = "\n".join(terminal.screen())
    assert re.search(r"^Run of p0: Finished, 0:00:\d\d$", after, re.MULTILINE)
    assert len(re.findall(r"^work ", after, re.MULTILINE)) == 1, after
    assert re.search(rf"^Run {run_id} ended as Finished after 0:00:\d\d\.$", after, re.MULTILINE)
    assert "Ctrl-C" not in after
    assert f"{COLOUR}2m" in terminal.output.decode()
    assert all(len(line) <= 80 for line in terminal.screen() if "http" not in line)


def test_ctrl_c_ends_the_watching_and_not_the_run(environment, held, run_id):
    with Terminal(*watch(run_id), environment=environment) as terminal:
        terminal.wait_for("Ctrl-C stops watching")
        terminal.type("\x03")
        assert terminal.end() == 130
    text = " ".join(terminal.screen())
    assert f"Run {run_id} continues." in text
    assert "Traceback" not in text
    # The cursor, which the changing table hides, is visible again.
    assert terminal.output.rfind(b"\x1b[?25h") > terminal.output.rfind(b"\x1b[?25l")
    assert AzureMLHook().get_run(run_id).status == "Running"


@pytest.mark.parametrize("changes", [{"TERM": "dumb"}, {"NO_COLOR": "1"}], ids=["dumb", "no colours"])
def test_a_terminal_gets_only_the_codes_that_it_wants(environment, held, run_id, changes):
    with Terminal(*watch(run_id), environment=environment | changes) as terminal:
        terminal.wait_for("Running")
        held.finish(run_id)
        assert terminal.end() == 0
    assert COLOUR.encode() not in terminal.output
    assert (b"\x1b" in terminal.output) == ("TERM" not in changes)
    assert "Completed" in "\n".join(terminal.screen())


def test_messages_appear_above_the_table_and_not_within(environment, held, run_id):
    with Terminal(*watch(run_id), environment=environment) as terminal:
        terminal.wait_for("Ctrl-C stops watching")
        held.faults.add("status", status=503, path=f"*/PipelineRuns/{run_id}", times=2)
        terminal.wait_for("works again")
        held.finish(run_id)
        assert terminal.end() == 0
    text = " ".join(terminal.screen())
    assert text.count("works again") == text.count("Run of p0") == 1, text
    assert text.index("works again") < text.index("Run of p0")


def test_a_pipe_gets_lines_and_no_codes(environment, held, run_id):
    with subprocess.Popen(
        watch(run_id), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert f"Running    run {run_id}\n" in process.stdout.readline()
        # On a busy machine, the first poll may be before the step begins.
        assert any("Running    step work\n" in line for line in process.stdout)
        held.finish(run_id)
        rest, messages = process.communicate(timeout=240)
    assert process.returncode == 0
    assert [line.split(" ", 1)[1].split(",")[0] for line in rest.splitlines()] == [
        "Completed  step work",
        f"Finished   run {run_id}",
    ]
    assert "\x1b" not in rest + messages


@pytest.mark.parametrize("redirected", ["", "2>&1"], ids=["stdout", "both"])
def test_a_reader_that_has_gone_ends_the_watching(environment, held, run_id, redirected, tmp_path):
    code, messages = tmp_path / "code", tmp_path / "messages"
    command = f"({shlex.join(watch(run_id))} {redirected}; echo $? > {code}) 2> {messages}"
    with subprocess.Popen(["bash", "-c", command], stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout.readline()
        process.stdout.close()
        held.finish(run_id)
        assert process.wait(240) == 0
    assert code.read_text() == "141\n"
    said = messages.read_text()
    assert "Traceback" not in said
    assert "BrokenPipe" not in said
    assert (f"Run {run_id} continues" in said) == (not redirected)


def test_the_help_survives_a_reader_that_reads_nothing(environment):
    command = f"{shlex.join([*OURS, '--help'])} | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=environment, check=False)
    # Which of the two depends on who was faster.
    assert done.stdout.strip() in {"0", "141"}
    assert done.stderr == ""


# Where Python does not replace the locale C by UTF-8, Airflow itself cannot read its configuration.
ASCII = [{"PYTHONIOENCODING": "ascii"}, {"LANG": "C", "LC_ALL": ""}]


@pytest.mark.parametrize("changes", ASCII, ids=["PYTHONIOENCODING", "LANG"])
@pytest.mark.parametrize("form", ["table", "yaml"])
def test_an_ascii_terminal_can_show_everything(environment, workspace, changes, form):
    with workspace.state.changing():
        workspace.state.pipelines["quick"].description = "d\u00e9j\u00e0 vu \uc11c\uc6b8"
    done = subprocess.run(
        [*OURS, "pipelines", "list", "-o", form], capture_output=True, env=environment | changes, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"j\\xe0 vu \\uc11c" in done.stdout or "j\u00e0 vu \uc11c".encode() in done.stdout or form == "yaml"
    if "LANG" not in changes:
        assert done.stdout.isascii()


def test_a_list_fits_into_eighty_columns(environment, workspace):
    AzureMLHook().submit_pipeline("quick", experiment_name="work")
    with Terminal(*OURS, "runs", "list", "--experiment", "work", environment=environment) as terminal:
        assert terminal.end() == 0
    lines = terminal.screen()
    assert max(map(len, lines)) <= 80
    assert [cell.strip() for cell in lines[0].split("|")] == ["id", "status", "pipeline_name", "duration"]
    assert "Too wide for this terminal: pipeline_id, ended, experiment_name, created." in " ".join(lines)
