"""All benchmarks: prints each row with its budget, and fails if one is missed.

``python benchmarks/bench.py [--only GROUP …] [--write]``; ``--write`` puts the figures into
``docs/concepts/performance.md``.
"""

from __future__ import annotations

import argparse
import compileall
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import chart
import cluster_figures
import cluster_scale
import imports
import listing
import submission
import triggerer
import waiting
import watching
from rows import HEADINGS, Row, as_markdown, as_text, figure

import aml_provider

if TYPE_CHECKING:
    from collections.abc import Callable

_DOCS = Path(__file__).resolve().parents[1] / "docs"
_PAGE = _DOCS / "concepts" / "performance.md"
_PICTURE = _DOCS / "images" / "waiting.svg"


def write(name: str, text: str) -> None:
    """Put a text between its marks in the page."""
    page = _PAGE.read_text(encoding="utf-8")
    marked = re.compile(rf"(<!-- {name}: written by make bench -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    page, times = marked.subn(lambda found: f"{found[1]}\n{text}\n\n{found[2]}", page)
    assert times == 1, name
    _PAGE.write_text(page, encoding="utf-8")


def _waiting(keep: bool) -> list[Row]:
    costs = waiting.measure()
    if keep:
        lines = [
            (
                f"{cost.runs:,}",
                waiting.WAYS[cost.way],
                figure(cost.requests),
                f"{figure(cost.cpu)} µs",
                f"{figure(cost.stall)} ms",
                f"{figure(cost.starting)} ms",
                f"{figure(cost.memory)} MiB",
            )
            for cost in costs
        ]
        headings = ("runs", "how", "requests per interval", "CPU per run and poll", "stall", "stall at start", "memory")
        write("waiting", as_markdown(headings, lines))
        figures: tuple[tuple[str, Callable[[waiting.Cost], float], float], ...] = (
            ("Requests per interval", lambda cost: cost.requests, 10.0),
            ("CPU per run and poll, µs", lambda cost: cost.cpu, 100.0),
        )
        panels = [
            chart.Panel(
                title,
                {
                    name: [(cost.runs, value(cost)) for cost in costs if cost.way == way]
                    for way, name in waiting.WAYS.items()
                },
                budget,
            )
            for title, value, budget in figures
        ]
        _PICTURE.parent.mkdir(exist_ok=True)
        _PICTURE.write_text(chart.draw(panels, "deferred runs"), encoding="utf-8")
    return waiting.rows(costs)


def _listing(keep: bool) -> list[Row]:
    costs = listing.measure()
    if keep:
        write("listing", as_markdown(listing.HEADINGS, listing.lines(costs)))
        _PICTURE.parent.mkdir(exist_ok=True)
        _PICTURE.with_name("listing.svg").write_text(listing.picture(costs), encoding="utf-8")
    return listing.rows(costs)


def _cluster(keep: bool) -> list[Row]:
    found = cluster_scale.run()
    if keep:
        write("cluster", as_markdown(cluster_figures.HEADINGS, cluster_figures.lines(found)))
        _PICTURE.parent.mkdir(exist_ok=True)
        _PICTURE.with_name("cluster.svg").write_text(cluster_figures.picture(found), encoding="utf-8")
    return cluster_figures.rows(found)


# Another group joins with a line here: it is told whether to write to the page, and returns its rows.
GROUPS: dict[str, Callable[[bool], list[Row]]] = {
    "waiting": _waiting,
    "listing": _listing,
    "watching": lambda _: watching.rows(),
    "imports": lambda _: imports.rows(),
    "submission": lambda _: submission.rows(),
    "triggerer": lambda _: triggerer.rows(),
    "cluster": _cluster,
}
# They take too long to be measured each time.
_ON_REQUEST = ("cluster",)


def main() -> int:
    """Measure, print, and say whether all budgets hold."""
    # Installing a package compiles it. In a checkout the first import does, unless PYTHONDONTWRITEBYTECODE is set.
    assert compileall.compile_dir(Path(aml_provider.__file__).parent, quiet=1)
    parser = argparse.ArgumentParser(description="Measures what the provider costs.")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=GROUPS,
        default=[name for name in GROUPS if name not in _ON_REQUEST],
        help=f"groups to measure; by default all except {', '.join(_ON_REQUEST)}, which takes half an hour",
    )
    parser.add_argument("--write", action="store_true", help="put the figures into docs/concepts/performance.md")
    options = parser.parse_args()
    found: list[Row] = []
    for name in options.only:
        rows = GROUPS[name](options.write)
        if options.write:
            write(f"rows-{name}", as_markdown(HEADINGS, (row.cells() for row in rows)))
        found += rows
        # At once: a group that fails loses no other group's figures.
        print(as_text(rows), flush=True)
    return 0 if all(row.holds for row in found) else 1


if __name__ == "__main__":
    sys.exit(main())
