"""The completion of command lines, in the shells that do it."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import airflow
import pytest
from support.drivers.terminal import Terminal

BIN = Path(sys.executable).parent
TAKES_COMMANDS = tuple(map(int, airflow.__version__.split(".")[:2])) >= (3, 2)
BASH = ("bash", "--norc", "--noprofile", "-i")
ZSH = ("zsh", "-i")
REGISTER = 'eval "$(register-python-argcomplete {program})"'
GLOBALLY = "source <(activate-global-python-argcomplete --dest=-)"
SHELLS = [
    pytest.param(BASH, id="bash"),
    pytest.param(ZSH, id="zsh", marks=pytest.mark.skipif(not shutil.which("zsh"), reason="there is no zsh")),
]
needs_commands_of_providers = pytest.mark.skipif(not TAKES_COMMANDS, reason="Airflow takes commands from 3.2 on")


@pytest.fixture
def shell(environment, tmp_path):
    """Start a shell whose prompt is `$ `, for a command; return its terminal and how it was set up."""
    (tmp_path / ".zshrc").write_text("unsetopt beep\nautoload -Uz compinit\ncompinit -u\nPS1='%# '\n")
    changed = {
        "PATH": f"{BIN}{os.pathsep}{environment['PATH']}",
        "PS1": "$ ",
        "ZDOTDIR": str(tmp_path),
        "HOME": str(tmp_path),
    }
    opened = []

    def shell(command, setup):
        terminal = Terminal(*command, environment=environment | changed, columns=200)
        terminal.__enter__()
        opened.append(terminal)
        terminal.type(f"{setup}; echo re''ady\n")
        terminal.wait_for("ready")
        return terminal

    yield shell
    for terminal in opened:
        terminal.__exit__()


def completed(terminal, typed, expected):
    """Type a line up to a Tab, wait for its completion, and carry on with the next one."""
    terminal.output = b""
    terminal.type(f"{typed}\t")
    terminal.wait_for(expected)
    terminal.type("\x15")


@pytest.mark.parametrize("command", SHELLS)
@pytest.mark.parametrize(
    "program",
    [
        "airflow-azureml",
        pytest.param("airflow", marks=needs_commands_of_providers),
    ],
)
def test_commands_and_options_are_completed(shell, command, program):
    terminal = shell(command, REGISTER.format(program=program))
    prefix = "airflow azureml" if program == "airflow" else program
    completed(terminal, f"{prefix} runs wat", f"{prefix} runs watch")
    completed(terminal, f"{prefix} runs watch x --poll", f"{prefix} runs watch x --poll-interval")
    completed(terminal, f"{prefix} runs list --status Canc", f"{prefix} runs list --status Canceled")


def test_python_m_is_completed_where_the_shell_completes_all_programs(shell):
    terminal = shell(BASH, GLOBALLY)
    completed(terminal, "python -m aml_provider runs wat", "python -m aml_provider runs watch")


def test_several_possibilities_are_listed(shell):
    terminal = shell(BASH, REGISTER.format(program="airflow-azureml"))
    terminal.output = b""
    terminal.type("airflow-azureml runs \t\t")
    for name in ("cancel", "list", "logs", "show", "watch"):
        terminal.wait_for(name)
