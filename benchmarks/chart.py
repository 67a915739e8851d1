"""A picture of how costs grow: lines on two logarithmic axes, as SVG."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from rows import figure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_WIDTH, _HEIGHT = 420, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 24, 34, 40
_COLOURS = ("#0b6fc2", "#3f9142", "#c2410c", "#7c3aed")
_STYLE = (
    "<style>text{font:11px system-ui,sans-serif;fill:#57606a}.title{font-size:13px;font-weight:600}"
    ".grid{stroke:#8c959f;stroke-opacity:.3}</style>"
)


class Panel(NamedTuple):
    """One diagram.

    Args:
        title: What its height shows.
        lines: Points by name.
        budget: A level to draw.
    """

    title: str
    lines: Mapping[str, Sequence[tuple[float, float]]]
    budget: float | None = None


def draw(panels: Sequence[Panel], below: str) -> str:
    """The panels side by side, as one SVG document; the first one has all lines, another may have fewer."""
    colours = dict(zip(panels[0].lines, _COLOURS, strict=False))
    width, height = _WIDTH * len(panels), _HEIGHT + 26
    legend = "".join(
        f'<rect x="{_LEFT + 200 * place}" y="{_HEIGHT + 6}" width="14" height="4" fill="{colour}"/>'
        f'<text x="{_LEFT + 200 * place + 20}" y="{_HEIGHT + 12}">{name}</text>'
        for place, (name, colour) in enumerate(colours.items())
    )
    drawn = "".join(
        f'<g transform="translate({_WIDTH * place} 0)">{_panel(panel, below, colours)}</g>'
        for place, panel in enumerate(panels)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">{_STYLE}'
        f'<rect width="{width}" height="{height}" fill="#fff"/>{drawn}{legend}</svg>\n'
    )


def _panel(panel: Panel, below: str, colours: Mapping[str, str]) -> str:
    points = [point for line in panel.lines.values() for point in line]
    low_x, high_x = (math.log10(pick(x for x, _ in points)) for pick in (min, max))
    heights = [y for _, y in points] + ([panel.budget] if panel.budget else [])
    low_y = math.floor(math.log10(min(heights)))
    high_y = max(math.ceil(math.log10(max(heights))), low_y + 1)

    def across(x: float) -> float:
        return _LEFT + (math.log10(x) - low_x) / (high_x - low_x) * (_WIDTH - _LEFT - _RIGHT)

    def up(y: float) -> float:
        return _HEIGHT - _BOTTOM - (math.log10(y) - low_y) / (high_y - low_y) * (_HEIGHT - _TOP - _BOTTOM)

    parts = [f'<text class="title" x="{_LEFT}" y="18">{panel.title}</text>']
    for power in range(low_y, high_y + 1):
        y = up(10.0**power)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text text-anchor="end" x="{_LEFT - 6}" y="{y + 4:.1f}">{figure(10.0**power)}</text>')
    parts += [
        f'<text text-anchor="middle" x="{across(x):.1f}" y="{_HEIGHT - _BOTTOM + 16}">{x:,.0f}</text>'
        for x in sorted({x for x, _ in points})
    ]
    parts.append(f'<text text-anchor="middle" x="{(_LEFT + _WIDTH) / 2}" y="{_HEIGHT - 8}">{below}</text>')
    if panel.budget:
        y = up(panel.budget)
        parts.append(
            f'<line stroke="#57606a" stroke-dasharray="4 3" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" '
            f'y2="{y:.1f}"/><text text-anchor="end" x="{_WIDTH - _RIGHT - 70}" y="{y - 4:.1f}">budget at 1,000</text>'
        )
    for name, line in panel.lines.items():
        colour = colours[name]
        path = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in sorted(line))
        parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{path}"/>')
        parts += [f'<circle cx="{across(x):.1f}" cy="{up(y):.1f}" r="3" fill="{colour}"/>' for x, y in line]
    return "".join(parts)
