"""Pieces of Markdown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def plain(text: str) -> str:
    """A text as it is, on one line: nothing in it is read as Markdown."""
    return re.sub(r"([\\`*_<>|\[\]{}$~])", r"\\\1", " ".join(text.split()))


def code(text: str) -> str:
    """A text as code, also in a table."""
    return f"`{text.replace('|', chr(92) + '|')}`"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; the cells are Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"
