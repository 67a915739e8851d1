"""Compares the output of a command with the output that a page shows."""

from __future__ import annotations

import re

_CHANGING = [
    # Times, in the forms that commands print.
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?( ?(Z|UTC|[+-]\d\d:?\d\d))?"), "<time>"),
    (re.compile(r"\b\d\d:\d\d:\d\d(\.\d+)?\b"), "<time>"),
    # Ids that the workspace makes; those of the demo's contents are fixed.
    (re.compile(r"(?!\d0{7}-0{4}-4000-8000-)\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "<id>"),
    (re.compile(r"\bairflow-[0-9a-f]{12,}(-[0-9a-z-]+)?\b"), "<id>"),
    (re.compile(r"\b\d+(\.\d+)? ?(ms|s|seconds?|min|minutes?|hours?)\b"), "<duration>"),
    # pytest adds hours and minutes to what takes longer than a minute.
    (re.compile(r"<duration> \(\d+:\d\d:\d\d\)"), "<duration>"),
    (re.compile(r"\b(127\.0\.0\.1|localhost):\d+"), "<address>"),
    (re.compile(r"[=]{3,}|[-]{3,}|[─━]{3,}|={1,2}\+"), "==="),
]
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def differences(shown: str, printed: str) -> str | None:
    """Compare what a page shows with what was printed.

    Args:
        shown: The page's text; ``…`` stands for anything in a line, a line ``…`` for any lines.
        printed: The real output.

    Returns:
        None if they agree, otherwise the first line of the page that was not printed, with what was printed.
    """
    wanted, given = _lines(shown), _lines(printed)
    return None if _agree(wanted, given) else f"the page shows:\n{_text(wanted)}\nbut this is printed:\n{_text(given)}"


def contains(shown: str, printed: str) -> str | None:
    """The same, for a page that shows some lines of an output."""
    return differences(f"…\n{shown}\n…", printed)


def _lines(text: str) -> list[str]:
    lines = [" ".join(line.split()) for line in _COLOURS.sub("", text).splitlines()]
    return [line for line in lines if line]


def _without_change(line: str) -> str:
    for pattern, name in _CHANGING:
        line = pattern.sub(name, line)
    # The columns of a table are as wide as the longest id or time in them.
    line = re.sub(r"(=== ?\+ ?|\+ ?===)+", "===", line)
    return " ".join(line.split())


def _agree(wanted: list[str], given: list[str]) -> bool:
    # Whether the first lines of both agree, by their numbers.
    reached = {0}
    for line in wanted:
        if line == "…":
            reached = set(range(min(reached), len(given) + 1)) if reached else set()
        else:
            reached = {number + 1 for number in reached if number < len(given) and _is_like(line, given[number])}
    return len(given) in reached


def _is_like(wanted: str, given: str) -> bool:
    """Whether a line is the other one, as it is or without what changes."""
    return any(
        re.fullmatch(".*".join(map(re.escape, shown.split("…"))), printed)
        for shown, printed in ((wanted, given), (_without_change(wanted), _without_change(given)))
    )


def _text(lines: list[str]) -> str:
    return "\n".join(f"    {line}" for line in lines)
