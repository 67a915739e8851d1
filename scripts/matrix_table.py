"""The outcomes of the cells of the matrix as a table: a row for each cell, a column for each kind of check."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_RESULTS = ("passed", "skipped", "failed")


class Check(NamedTuple):
    """One check in one cell.

    Args:
        kind: The column: the module of the check.
        name: The check.
        result: ``passed``, ``skipped`` or ``failed``.
        reason: Why it was skipped, or how it failed.
    """

    kind: str
    name: str
    result: str
    reason: str = ""


@dataclass(frozen=True)
class Outcome:
    """All checks of a cell.

    Args:
        checks: The checks.
        whole: Whether the cell was not begun; its only check then says why.
    """

    checks: tuple[Check, ...]
    whole: bool = False

    @classmethod
    def of_cell(cls, result: str, reason: str) -> Outcome:
        """A cell that was not begun."""
        return cls((Check("", "the whole cell", result, reason),), whole=True)

    def and_failed(self, name: str, reason: str) -> Outcome:
        """The same, and something that has failed."""
        return Outcome((*self.checks, Check("cell", name, "failed", reason)))

    @property
    def counts(self) -> Counter[str]:
        """How many checks have each result."""
        return Counter(check.result for check in self.checks)

    @property
    def has_failed(self) -> bool:
        """Whether anything has failed; a cell that shows nothing has."""
        return bool(self.counts["failed"]) or not self.checks

    def line(self) -> str:
        """The outcome in one line."""
        if self.whole:
            return f"{self.checks[0].result}: {self.checks[0].reason}"
        return ", ".join(f"{self.counts[result]} {result}" for result in _RESULTS if self.counts[result])

    def entry(self, kind: str) -> str:
        """The table's entry in a column."""
        counts = Counter(check.result for check in self.checks if check.kind == kind)
        if self.whole or not counts:
            return self.checks[0].result if self.whole else "missing"
        return ", ".join(
            "ok" if result == "passed" and len(counts) == 1 else f"{counts[result]} {result}"
            for result in _RESULTS
            if counts[result]
        )


def read_report(path: Path) -> Outcome:
    """Read what pytest reports; nothing, if it did not write a report."""
    if not path.exists():
        return Outcome(())
    # We have written it ourselves.
    cases = ET.parse(path).getroot().iter("testcase")  # noqa: S314
    return Outcome(tuple(_check(case) for case in cases))


def summary(outcomes: Mapping[str, Outcome]) -> str:
    """The table, what was skipped and failed with the reasons, and the total in the last line."""
    kinds = dict.fromkeys(check.kind for outcome in outcomes.values() for check in outcome.checks if check.kind)
    rows = [["cell", *kinds], *([name, *map(outcome.entry, kinds)] for name, outcome in outcomes.items())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    for result in ("skipped", "failed"):
        found: dict[str, list[str]] = {}
        for name, outcome in outcomes.items():
            for check in outcome.checks:
                if check.result == result:
                    found.setdefault(f"{check.name}: {check.reason}", []).append(name)
        if found:
            lines += ["", f"{result}:", *(f"  {what} ({', '.join(names)})" for what, names in found.items())]
    total = Counter[str]()
    for outcome in outcomes.values():
        total += outcome.counts
    return "\n".join([*lines, "", ", ".join(f"{total[result]} {result}" for result in ("passed", "failed", "skipped"))])


def _check(case: ET.Element) -> Check:
    kind = case.get("classname", "").rpartition(".")[2].removeprefix("test_")
    name = case.get("name", "").removeprefix("test_").replace("_", " ")
    for child in case:
        if child.tag in {"failure", "error", "skipped"}:
            message = (child.get("message") or child.text or "").strip().partition("\n")[0]
            return Check(kind, name, "skipped" if child.tag == "skipped" else "failed", message)
    return Check(kind, name, "passed")
