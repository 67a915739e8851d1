# PYTHON_ARGCOMPLETE_OK
"""``airflow-azureml`` and ``python -m aml_provider``: the commands of ``airflow azureml``, also before Airflow 3.2."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow.cli.cli_config import ActionCommand, GroupCommand

# The console script of this package.
_SCRIPT = "airflow-azureml"


def main(arguments: Sequence[str] | None = None) -> None:
    """Carry out one command.

    Raises:
        SystemExit: The command failed (exit code 1), its arguments were wrong (2), or its output is not read (141).
    """
    parser = build_parser()
    if "_ARGCOMPLETE" in os.environ:
        # A shell wants to know how the line can continue. Airflow itself needs this package.
        import argcomplete  # noqa: PLC0415

        argcomplete.autocomplete(parser)
    try:
        options = parser.parse_args(arguments)
        options.func(options)
    finally:
        _flush()


def _flush() -> None:
    """Write the help, which argparse leaves in the buffer. Python's own attempt, at its end, would show a traceback."""
    from aml_provider.cli.terminal import write  # noqa: PLC0415 - slower than what a completion needs

    write(sys.stdout, "")


def build_parser() -> argparse.ArgumentParser:
    """Make a parser for the commands that the provider gives to Airflow."""
    # Airflow may log to standard output while it is imported, but that stream is for a command's answer only.
    with contextlib.redirect_stdout(sys.stderr):
        from aml_provider.cli.definition import get_azureml_cli_commands  # noqa: PLC0415

    (group,) = get_azureml_cli_commands()
    parser = argparse.ArgumentParser(prog=_program(), description=group.help)
    _add_commands(parser, group.subcommands)
    return parser


def _program() -> str:
    """How this process was started."""
    name = Path(sys.argv[0]).name
    return name if name == _SCRIPT else "python -m aml_provider"


def _add_commands(parser: argparse.ArgumentParser, commands: Iterable[ActionCommand | GroupCommand]) -> None:
    from airflow.cli.cli_config import GroupCommand  # noqa: PLC0415 - loaded by now

    subparsers = parser.add_subparsers(dest="subcommand", metavar="COMMAND", required=True)
    for command in sorted(commands, key=lambda command: command.name):
        described = command.description or command.help
        child = subparsers.add_parser(command.name, help=command.help, description=described)
        if isinstance(command, GroupCommand):
            _add_commands(child, command.subcommands)
        else:
            for argument in command.args:
                argument.add_to_parser(child)
            child.set_defaults(func=command.func)


if __name__ == "__main__":
    main(sys.argv[1:])
