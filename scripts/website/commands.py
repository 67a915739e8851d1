"""Every command with its arguments, from the definition that Airflow reads too."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from aml_provider.__main__ import build_parser
from website.markdown import code, plain, table

if TYPE_CHECKING:
    from collections.abc import Iterator

_SAME_EVERYWHERE = ("--conn-id", "--output", "--verbose")
# The width of a line of usage, in characters.
_WIDTH = 100


def markdown() -> str:
    """One section for each command, and a table of the options that all of them have."""
    found = list(_commands(build_parser(), ()))
    common = [action for action in _arguments(found[0][1]) if _is_common(action)]
    sections = [f"## Options of every command\n\n{_table(common)}"]
    sections += [_section(name, parser) for name, parser in found]
    return "\n".join(sections)


def _commands(parser: argparse.ArgumentParser, names: tuple[str, ...]) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    # argparse has no other way to its commands and arguments.
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]  # noqa: SLF001
    if not groups:
        yield " ".join(names), parser
    for group in groups:
        for name, child in group.choices.items():
            yield from _commands(child, (*names, name))


def _arguments(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return [action for action in parser._actions if "--help" not in action.option_strings]  # noqa: SLF001


def _is_common(action: argparse.Action) -> bool:
    return any(flag in _SAME_EVERYWHERE for flag in action.option_strings)


def _section(name: str, parser: argparse.ArgumentParser) -> str:
    parser.formatter_class = lambda prog: argparse.HelpFormatter(prog, width=_WIDTH)
    prefix = "usage: "
    usage = "\n".join(line[len(prefix) :] for line in parser.format_usage().rstrip().splitlines())
    own = [action for action in _arguments(parser) if not _is_common(action)]
    parts = [f"## {code(name)}", f"{plain(parser.description or '').removesuffix('.')}.", f"```text\n{usage}\n```"]
    return "\n\n".join([*parts, _table(own)] if own else parts) + "\n"


def _table(actions: list[argparse.Action]) -> str:
    return table(["argument", "meaning"], [[_names(action), _meaning(action)] for action in actions])


def _names(action: argparse.Action) -> str:
    """The argument's flags, the last one with its value; or its name."""
    metavar = action.metavar if isinstance(action.metavar, str) else action.dest
    if not action.option_strings:
        return code(metavar)
    *short, last = action.option_strings
    value = "" if action.nargs == 0 else f" {metavar if action.metavar else metavar.upper()}"
    return ", ".join(map(code, [*short, f"{last}{value}"]))


def _meaning(action: argparse.Action) -> str:
    text = action.help or ""
    sentences = [f"{plain(text).removesuffix('.')}."]
    choices = [str(choice) for choice in action.choices or ()]
    if any(choice not in text for choice in choices):
        sentences.append(f"One of {', '.join(map(code, choices))}.")
    if action.required and action.option_strings:
        sentences.append("Required.")
    return " ".join(sentences)
