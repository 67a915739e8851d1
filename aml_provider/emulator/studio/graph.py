"""The layout of a graph of steps, from left to right: each step stands to the right of those before it."""

from __future__ import annotations

import graphlib
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aml_provider.emulator.workspace.dependencies import Edge

WIDTH, HEIGHT = 168, 44
"""The size of a step, in pixels."""

_COLUMN_GAP, _ROW_GAP = 44, 14
# Where an edge passes a column between the steps.
_LANE = 10
# Room for the outline of a focused step.
_MARGIN = 4
_LONGEST = 20


@dataclass(frozen=True, slots=True)
class Node:
    """A step, by its name as it is drawn and its left upper corner."""

    name: str
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes in the order of the steps, edges as SVG paths, the whole size, and the same in words."""

    nodes: list[Node]
    edges: list[str]
    width: float
    height: float
    words: str


@dataclass(slots=True, eq=False)
class _Slot:
    """A place in a column: for a step, or for an edge that passes the column."""

    height: float
    before: list[_Slot] = field(default_factory=list)
    row: float = 0.0
    y: float = 0.0

    @property
    def middle(self) -> float:
        return self.y + self.height / 2


def graph(names: Sequence[str], edges: Sequence[Edge]) -> Graph:
    """Lay out steps. If edges form a cycle, those that lead back to an earlier step are left out."""
    if not _is_acyclic(edges):
        edges = [(source, target) for source, target in edges if source < target]
    depths = _depths(len(names), edges)
    columns: list[list[_Slot]] = [[] for _ in range(max(depths, default=-1) + 1)]
    steps = [_Slot(HEIGHT) for _ in names]
    for step, depth in zip(steps, depths, strict=True):
        columns[depth].append(step)
    routes = []
    for source, target in edges:
        route = [steps[source]]
        for depth in range(depths[source] + 1, depths[target]):
            lane = _Slot(_LANE, [route[-1]])
            columns[depth].append(lane)
            route.append(lane)
        steps[target].before.append(route[-1])
        routes.append((depths[source], [*route, steps[target]]))
    height = _place(columns)
    return Graph(
        nodes=[Node(_short(name), _x(depth), step.y) for name, depth, step in zip(names, depths, steps, strict=True)],
        edges=[_path(depth, route) for depth, route in routes],
        width=_x(len(columns)) - _COLUMN_GAP + _MARGIN,
        height=height,
        words=_words(names, edges),
    )


def _is_acyclic(edges: Sequence[Edge]) -> bool:
    sorter: graphlib.TopologicalSorter[int] = graphlib.TopologicalSorter()
    for source, target in edges:
        sorter.add(target, source)
    try:
        sorter.prepare()
    except graphlib.CycleError:
        return False
    return True


def _depths(count: int, edges: Sequence[Edge]) -> list[int]:
    """The column of each step: the length of the longest path to it."""
    before: dict[int, list[int]] = {index: [] for index in range(count)}
    for source, target in edges:
        before[target].append(source)
    found = [0] * count
    for index in graphlib.TopologicalSorter(before).static_order():
        found[index] = max((found[source] + 1 for source in before[index]), default=0)
    return found


def _place(columns: list[list[_Slot]]) -> float:
    """Order the slots of each column near those before them, and give each its ``y``; returns the height."""
    for column in columns:
        for number, slot in enumerate(column):
            slot.row = sum(item.row for item in slot.before) / len(slot.before) if slot.before else number
        column.sort(key=lambda slot: slot.row)
        for number, slot in enumerate(column):
            slot.row = number
    heights = [sum(slot.height + _ROW_GAP for slot in column) - _ROW_GAP for column in columns]
    highest = max(heights, default=0.0)
    for column, height in zip(columns, heights, strict=True):
        y = _MARGIN + (highest - height) / 2
        for slot in column:
            slot.y = y
            y += slot.height + _ROW_GAP
    return highest + 2 * _MARGIN


def _x(column: int) -> float:
    return _MARGIN + column * (WIDTH + _COLUMN_GAP)


def _path(column: int, route: Sequence[_Slot]) -> str:
    """The line from the right side of the first slot to the left side of the last one."""
    x = _x(column) + WIDTH
    line = f"M{x:g} {route[0].middle:g}"
    for before, slot in itertools.pairwise(route):
        bend, end = x + _COLUMN_GAP / 2, x + _COLUMN_GAP
        line += f"C{bend:g} {before.middle:g} {bend:g} {slot.middle:g} {end:g} {slot.middle:g}"
        if slot is not route[-1]:
            x = end + WIDTH
            line += f"H{x:g}"
    return line


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def _words(names: Sequence[str], edges: Sequence[Edge]) -> str:
    """The steps, each with those before it: ``read; score after read``."""
    before: dict[int, list[str]] = {}
    for source, target in edges:
        before.setdefault(target, []).append(names[source])
    return "; ".join(
        f"{name} after {' and '.join(before[index])}" if index in before else name for index, name in enumerate(names)
    )
