"""The commands of a page: one shell session in the page's folder, with stand-ins for what cannot run in a test."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from support.documents import stand_in
from support.documents.blocks import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# The small tools that a page may use.
# fmt: off
_TOOLS = (
    "base64", "bash", "basename", "cat", "chmod", "cp", "cut", "date", "diff", "dirname", "env", "false",
    "find", "grep", "gzip", "head", "jq", "ls", "mkdir", "mktemp", "mv", "printenv", "rm", "sed", "seq", "sh",
    "sleep", "sort", "tail", "tee", "test", "touch", "tr", "true", "uname", "uniq", "wc", "xargs",
)
# fmt: on
_OWN_PROGRAMS = {"python": (), "python3": (), "pytest": ("-m", "pytest"), "airflow": ("-m", "airflow")}
# Those that packages install next to Python.
_SCRIPTS = ("activate-global-python-argcomplete", "airflow-azureml", "register-python-argcomplete")
# Parts of a checkout, in which many commands are entered.
_CHECKOUT = ("Makefile", "example_dags", "pyproject.toml", "scripts")

_SERVES = re.compile(r"^(\w+=\S* +)*python3? -m aml_provider\.emulator\b(?!.*--help)")
_SERVICES_OF_AIRFLOW = re.compile(
    r"\bairflow (standalone|scheduler|triggerer|api-server|dag-processor|webserver|celery \w+)\b"
)
_TIMEOUT = 300
# The addresses that documents use.
WORKSPACE_URL = "http://127.0.0.1:8700"
BLOB_ENDPOINT = "http://127.0.0.1:10000/devstoreaccount1"


@dataclass(frozen=True)
class Command:
    """A command of a block, with the output that the page shows.

    Args:
        line: Its line on the page.
        text: What a reader enters, perhaps in several lines.
        shown: The lines below it.
    """

    line: int
    text: str
    shown: str


class CommandError(Exception):
    """A command failed, or is not written as the rules say."""


def read_commands(code: str, line: int) -> list[Command]:
    """Divide a console block into its commands.

    Raises:
        CommandError: It does not begin with a command, or a command has a comment.
    """
    lines = code.splitlines()
    if not lines or not lines[0].startswith("$ "):
        raise CommandError("a console block begins with '$ ' and a command")
    commands: list[Command] = []
    number = 0
    while number < len(lines):
        first = number
        text = lines[number][2:]
        number += 1
        while not _is_complete(text) and number < len(lines):
            text += "\n" + lines[number]
            number += 1
        if not _is_complete(text):
            raise CommandError(f"line {line + first}: the command does not end: {text}")
        # Not in a here-document.
        if _has_comment(text.partition("<<")[0]):
            raise CommandError(f"line {line + first}: write the comment into the text: zsh takes it for arguments")
        shown: list[str] = []
        while number < len(lines) and not lines[number].startswith("$ "):
            shown.append(lines[number])
            number += 1
        commands.append(Command(line + first, text, "\n".join(shown).strip("\n")))
    return commands


class Shell:
    """A session of bash in a folder; a context manager, which ends what commands have left running.

    Args:
        folder: The page's folder.
        environment: Variables of the first command.
        addresses: The real addresses of those that documents use.
        programs: More programs, by name.

    Attributes:
        programs: The folder of the programs that commands find.
        stand_ins: How many stand-ins were called.
    """

    def __init__(
        self,
        folder: Path,
        environment: Mapping[str, str],
        addresses: Mapping[str, str],
        programs: Mapping[str, Path],
    ) -> None:
        self.folder = folder
        self.environment = dict(environment)
        self._addresses = addresses
        self._own = folder / ".shell"
        self.programs = self._own / "bin"
        self._more = programs
        self._left: list[tuple[subprocess.Popen[str], threading.Thread]] = []
        self.stand_ins = 0

    def __enter__(self) -> Self:
        self.programs.mkdir(parents=True)
        for name in _TOOLS:
            if found := shutil.which(name):
                (self.programs / name).symlink_to(found)
        for name, program in self._more.items():
            (self.programs / name).symlink_to(program)
        for name, options in _OWN_PROGRAMS.items():
            _write_program(self.programs / name, [sys.executable, *options])
        for name in _SCRIPTS:
            if (script := Path(sys.executable).parent / name).exists():
                (self.programs / name).symlink_to(script)
        for name in stand_in.PROGRAMS:
            _write_program(self.programs / name, [sys.executable, "-I", str(Path(stand_in.__file__)), name])
        for name in _CHECKOUT:
            (self.folder / name).symlink_to(ROOT / name)
        variables = {
            **self.environment,
            "HOME": str(self.folder),
            "PATH": str(self.programs),
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "PYTHONWARNINGS": "ignore",
            "DOCUMENT_STAND_INS": str(self._own / "stand-ins"),
            "DOCUMENT_ROOT": str(ROOT),
            "DOCUMENT_CURL": shutil.which("curl") or "curl",
            "DOCUMENT_MAKE": shutil.which("make") or "make",
        }
        (self._own / "state").write_text("".join(f"export {k}={shlex.quote(v)}\n" for k, v in variables.items()))
        (self._own / "cwd").write_text(str(self.folder))
        return self

    def __exit__(self, *_: object) -> None:
        for process, reader in self._left:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait()
            reader.join()
            assert process.stdout is not None
            process.stdout.close()

    def run(self, command: Command, *, exits: int = 0) -> str | None:
        """Run a command.

        Returns:
            Its output, both streams; None if it cannot be compared, as a stand-in made some of it.

        Raises:
            CommandError: It ended with another code than ``exits``; the message has its output.
        """
        text = command.text
        for shown, real in self._addresses.items():
            text = text.replace(shown, real)
        text = _SERVICES_OF_AIRFLOW.sub(r"airflow \1 --help", text)
        if _SERVES.match(text):
            return self._serve(text)
        calls = self._own / "stand-ins"
        calls.write_text("")
        code, output = self._bash(text)
        for shown, real in self._addresses.items():
            output = output.replace(real, shown)
        if code != exits:
            raise CommandError(f"it ended with the code {code}, not with {exits}:\n{output[-6000:]}")
        used = len(calls.read_text().splitlines())
        self.stand_ins += used
        return None if used or _SERVICES_OF_AIRFLOW.search(command.text) else output

    def variables(self) -> dict[str, str]:
        """The exported variables, as the next command finds them."""
        script = f". {shlex.quote(str(self._own / 'state'))} 2>/dev/null\n{shlex.quote(sys.executable)} -I -c "
        script += shlex.quote("import json, os; print(json.dumps(dict(os.environ)))")
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env={}, check=True)
        found: dict[str, str] = json.loads(done.stdout)
        return found

    def set(self, name: str, value: str) -> None:
        """Set a variable for the next commands."""
        with (self._own / "state").open("a") as state:
            state.write(f"\nexport {name}={shlex.quote(value)}\n")

    def _bash(self, text: str) -> tuple[int, str]:
        state, cwd = (shlex.quote(str(self._own / name)) for name in ("state", "cwd"))
        script = (
            f'. {state} 2>/dev/null\ncd "$(cat {cwd})"\n{text}\n__code=$?\n'
            f"{{ declare -p; declare -f; }} >{state}\npwd >{cwd}\nexit $__code\n"
        )
        process = subprocess.Popen(
            ["bash", "-c", script],
            env={},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            output, _ = process.communicate(timeout=_TIMEOUT)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            return -1, f"it did not end within {_TIMEOUT} s:\n{output}"
        return process.returncode, output

    def _serve(self, text: str) -> str:
        """Start a local workspace, which serves until the page ends; its address is a free one."""
        state, cwd = (shlex.quote(str(self._own / name)) for name in ("state", "cwd"))
        command = re.sub(r" --port \d+", "", text).rstrip("& ") + " --port 0"
        process = subprocess.Popen(
            ["bash", "-c", f'. {state} 2>/dev/null\ncd "$(cat {cwd})"\nexec {_exec(command)}'],
            env={},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        assert process.stdout is not None
        output = ""
        for line in process.stdout:
            output += line
            if "listening on" in line:
                # Its pipe must not fill.
                reader = threading.Thread(target=process.stdout.read)
                reader.start()
                self._left.append((process, reader))
                return output
        process.communicate()
        raise CommandError(f"it ended:\n{output}")


def _exec(command: str) -> str:
    """Put a command's variables where ``exec`` accepts them."""
    variables = re.match(r"^(\w+=\S* +)+", command)
    return f"env {command}" if variables else command


def _has_comment(text: str) -> bool:
    try:
        return any(word.startswith("#") for word in shlex.split(text))
    except ValueError:
        # Quotes that a here-document closes, or those of a nested command.
        return False


def _is_complete(text: str) -> bool:
    """Whether bash would not wait for another line."""
    if text.endswith("\\"):
        return False
    done = subprocess.run(["bash", "-n", "-c", text], env={"LC_ALL": "C"}, capture_output=True, text=True, check=False)
    return not re.search("unexpected (end of file|EOF)|here-document", done.stderr)


def _write_program(path: Path, command: Iterable[str]) -> None:
    path.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
    path.chmod(0o755)
