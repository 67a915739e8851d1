"""Rows of the table: what was measured, and what it may be."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Row(NamedTuple):
    """One line of the table.

    Args:
        name: What was measured.
        measured: The figure.
        budget: The most that it may be; None: it is only shown.
        unit: Of both.
        beside: The same of a peer, in words.
    """

    name: str
    measured: float
    budget: float | None = None
    unit: str = ""
    beside: str = ""

    @property
    def holds(self) -> bool:
        """Whether it is within its budget."""
        return self.budget is None or self.measured <= self.budget

    def cells(self) -> tuple[str, str, str, str, str]:
        """The line, cell by cell."""
        verdict = "" if self.budget is None else "holds" if self.holds else "MISSED"
        budget = "" if self.budget is None else f"≤ {figure(self.budget)} {self.unit}".rstrip()
        return self.name, budget, f"{figure(self.measured)} {self.unit}".rstrip(), self.beside, verdict


HEADINGS = ("what", "budget", "measured", "peer", "")


def figure(value: float) -> str:
    """A number with as many digits as matter."""
    return (
        f"{value:,.0f}"
        if value == int(value) or abs(value) >= 100
        else f"{value:,.1f}"
        if abs(value) >= 10
        else f"{value:.2g}"
    )


def as_text(rows: Iterable[Row]) -> str:
    """The table for a terminal."""
    lines = [HEADINGS, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def as_markdown(headings: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table for a page."""
    return "\n".join(f"| {' | '.join(line)} |" for line in (headings, ["---"] * len(headings), *lines))
