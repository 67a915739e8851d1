"""Stands in for programs that a test cannot run: checks the command line, and changes nothing.

A program, too: ``python stand_in.py az role definition create …``.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_WORD = re.compile(r"[a-z][a-z0-9-]*")
_OPTION = re.compile(r"--?[A-Za-z][A-Za-z0-9-]*")
_MADE_UP = "00000000-0000-4000-8000-00000000000f"
_LOOPBACK = re.compile(r"https?://(127\.0\.0\.1|localhost|\[::1\])([:/?]|$)")


class UsageError(Exception):
    """The command line is wrong."""


def az(arguments: list[str]) -> None:
    """Azure's command line: words, then options with values."""
    words = _words(arguments)
    if not words:
        raise UsageError("a command is missing")
    rest = arguments[len(words) :]
    if words[:1] == ["login"] or not rest:
        pass
    elif not rest[0].startswith("-"):
        raise UsageError(f"{rest[0]!r} is neither a word of a command nor an option")
    _check_options(rest)
    _check_files(rest, "--file", "-f")
    if _value(rest, "-o", "--output") == "tsv":
        query = _value(rest, "--query") or ""
        _say("https://issuer.example.com/made-up/" if "issuer" in query.lower() else _MADE_UP)


def kubectl(arguments: list[str]) -> None:
    """Kubernetes: a verb, and files that are YAML. Python that it would run in a pod runs here."""
    verbs = "annotate apply auth config cp create delete describe edit exec explain get label logs port-forward rollout"
    _check_verb(arguments, f"{verbs} run top wait")
    _check_options(arguments)
    if arguments[0] == "exec":
        program, *rest = arguments[arguments.index("--") + 1 :]
        if program in {"airflow", "python"} and (found := shutil.which(program)):
            os.execv(found, [found, *rest])
        return
    _check_files(arguments, "-f", "--filename")
    if (_value(arguments, "-o", "--output") or "").startswith("jsonpath"):
        _say(_MADE_UP)


def helm(arguments: list[str]) -> None:
    """Helm: a verb, and values that are YAML."""
    _check_verb(arguments, "get history install lint list repo rollback search show status template uninstall upgrade")
    _check_options(arguments)
    _check_files(arguments, "-f", "--values")


def docker(arguments: list[str]) -> None:
    """Docker: a verb, and files that exist."""
    _check_verb(
        arguments, "build compose cp exec images inspect login logs network ps pull push rm run start stop tag volume"
    )
    _check_options(arguments)
    if arguments[0] == "build":
        file = _value(arguments, "-f", "--file") or "Dockerfile"
        if not Path(file).is_file():
            raise UsageError(f"the file {file} does not exist")


def git(arguments: list[str]) -> None:
    """Git: a verb. A clone makes its folder."""
    _check_verb(arguments, "add checkout clone commit diff init log pull push status switch tag")
    if arguments[0] == "clone":
        # The page's folder stands for the checkout.
        Path(Path(arguments[-1]).stem).symlink_to(".")


def pip(arguments: list[str]) -> None:
    """pip: requirements that can be parsed, extras that the package has, files that exist."""
    _check_verb(arguments, "check download freeze install list show uninstall wheel")
    if arguments[0] != "install":
        return
    rest = iter(arguments[1:])
    for argument in rest:
        if argument in {"-r", "--requirement"}:
            _must_exist(next(rest, ""))
        elif argument in {"-c", "--constraint"}:
            target = next(rest, "")
            if not target.startswith("https://"):
                _must_exist(target)
        elif argument in {"-i", "--index-url", "--extra-index-url", "--python", "-e", "--editable"}:
            next(rest, "")
        elif not argument.startswith("-"):
            _check_requirement(argument)


def uv(arguments: list[str]) -> None:
    """Uv: pip's commands, and others."""
    _check_verb(arguments, "add pip run sync tool venv")
    if arguments[0] == "pip":
        pip(arguments[1:])


def npm(arguments: list[str]) -> None:
    """npm: a verb."""
    _check_verb(arguments, "ci install run")
    _check_options(arguments)


def make(arguments: list[str]) -> None:
    """Make: targets that the Makefile has, and variables that it reads."""
    text = Path(os.environ["DOCUMENT_ROOT"], "Makefile").read_text()
    for argument in arguments:
        name, given, _ = argument.partition("=")
        if given and not re.search(rf"\b{re.escape(name)}\b", text):
            raise UsageError(f"the Makefile has no variable {name}")
    done = subprocess.run(
        [os.environ["DOCUMENT_MAKE"], "-n", "-C", os.environ["DOCUMENT_ROOT"], *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise UsageError(done.stderr.strip())


def curl(arguments: list[str]) -> None:
    """Curl for other addresses than this machine's, for which it is the real one: nothing is fetched."""
    addresses = [argument for argument in arguments if re.match(r"https?://", argument)]
    if not addresses:
        raise UsageError("an address with http:// or https:// is missing")
    file = _value(arguments, "-o", "--output")
    if "-O" in arguments or "-LO" in arguments:
        file = addresses[0].rpartition("/")[2]
    if file:
        Path(file).touch()


PROGRAMS: dict[str, Callable[[list[str]], None]] = {
    program.__name__: program for program in (az, kubectl, helm, docker, git, pip, uv, npm, make, curl)
}


def main() -> int:
    """Check a command line; returns the exit code."""
    name, *arguments = sys.argv[1:]
    addresses = [argument for argument in arguments if re.match(r"https?://", argument)]
    if name == "curl" and addresses and all(map(_LOOPBACK.match, addresses)):
        program = os.environ["DOCUMENT_CURL"]
        os.execv(program, [program, "--silent", "--show-error", "--noproxy", "*", *arguments])
    with Path(os.environ["DOCUMENT_STAND_INS"]).open("a") as calls:
        calls.write(f"{name}\n")
    if "…" in "".join(arguments):
        sys.stderr.write(f"{name}: … is no value; use a placeholder\n")
        return 2
    try:
        PROGRAMS[name](arguments)
    except (UsageError, OSError, ValueError) as error:
        sys.stderr.write(f"{name}: {error}\n")
        return 2
    return 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _words(arguments: list[str]) -> list[str]:
    words: list[str] = []
    for argument in arguments:
        if not _WORD.fullmatch(argument):
            break
        words.append(argument)
    return words


def _check_verb(arguments: list[str], verbs: str) -> None:
    if not arguments or arguments[0] not in {*verbs.split(), "version", "--version", "--help"}:
        raise UsageError(f"{' '.join(arguments[:1]) or 'nothing'!r} is not one of its commands here: {verbs}")


def _check_options(arguments: list[str]) -> None:
    """Options are words; a value that begins as JSON is JSON, and a file that is named with @ exists."""
    before = ""
    for argument in arguments:
        before, option = argument, before
        if argument == "--":
            return
        if option in {"--query", "--format", "--template"}:
            continue
        if argument.startswith("-") and argument != "-" and not _OPTION.fullmatch(argument.partition("=")[0]):
            raise UsageError(f"{argument!r} is not an option")
        if argument.startswith("@"):
            _must_exist(argument[1:])
            if argument.endswith(".json"):
                json.loads(Path(argument[1:]).read_text())
        if argument.startswith("{"):
            json.loads(argument)


def _check_files(arguments: list[str], *options: str) -> None:
    for number, argument in enumerate(arguments[:-1]):
        if argument not in options:
            continue
        file = arguments[number + 1]
        if file.startswith("https://"):
            continue
        if file != "-":
            _must_exist(file)
        if file == "-" or file.endswith((".json", ".yaml", ".yml")):
            _check_yaml(sys.stdin.read() if file == "-" else Path(file).read_text())


def _check_yaml(text: str) -> None:
    import yaml

    try:
        list(yaml.safe_load_all(text))
    except yaml.YAMLError as error:
        raise UsageError(f"invalid YAML: {error}") from error


def _check_requirement(text: str) -> None:
    from packaging.requirements import InvalidRequirement, Requirement

    project = tomllib.loads(Path(os.environ["DOCUMENT_ROOT"], "pyproject.toml").read_text())["project"]
    if local := re.fullmatch(r"\.(\[[\w,-]+\])?", text):
        text = project["name"] + (local[1] or "")
    elif text.endswith(".whl") or "://" in text:
        return
    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        raise UsageError(f"{text!r} is not a requirement: {error}") from error
    if requirement.name == project["name"] and (unknown := requirement.extras - set(project["optional-dependencies"])):
        raise UsageError(f"the package has no extra {sorted(unknown)}")


def _must_exist(file: str) -> None:
    if not Path(file).is_file():
        raise UsageError(f"the file {file!r} does not exist")


def _value(arguments: list[str], *options: str) -> str | None:
    for number, argument in enumerate(arguments):
        name, given, value = argument.partition("=")
        if name in options:
            return value if given else arguments[number + 1] if number + 1 < len(arguments) else ""
    return None


if __name__ == "__main__":
    sys.exit(main())
