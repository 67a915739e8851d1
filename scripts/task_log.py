"""The end of a log, as a person reads it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log; those of Airflow's tasks are JSON and become text."""
    try:
        content = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        return f"({error})"
    return "\n".join(_readable(line) for line in content[-lines:])


def _readable(line: str) -> str:
    try:
        entry = json.loads(line)
        text = f"{entry['timestamp'][11:19]} {entry['level']}: {entry['event']}"
    except (ValueError, LookupError, TypeError):
        return line
    errors = [f"{error.get('exc_type')}: {error.get('exc_value')}" for error in entry.get("error_detail") or ()]
    return "\n".join([text, *(f"    {error}" for error in errors)])
