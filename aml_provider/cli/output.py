"""The output of commands: a table, JSON, YAML, or a plain table that other programs can split."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from io import StringIO
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow.utils import yaml
from rich.box import ASCII_DOUBLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from aml_provider.cli.terminal import colour_of, encodable, has_colours
from aml_provider.client.text import printable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from typing import TextIO

    #: A thing as names and values: text, numbers, bools, None, or lists and mappings of these.
    Record = Mapping[str, Any]

# Wider than any line: without a terminal, no value is wrapped.
_ENDLESS = 100_000
_BLANK = re.compile(r"\s")
_RULE = re.compile(r"[=+]+")
# The columns of a list that can be left out on a narrow terminal, the least important one first.
_SPARE = (
    *("pipeline_id", "endpoint_id", "component_id", "description", "ended", "provisioning", "experiment_name"),
    *("version", "started", "created"),
)
# The columns whose values have colours.
_COLOURED = frozenset({"status", "provisioning"})


def render(data: Record | Sequence[Record], form: str, stream: TextIO) -> str:
    """Write rows as text.

    Args:
        data: One item, or a list of items with the same names.
        form: ``table``, ``json``, ``yaml`` or ``plain``.
        stream: The destination; on a terminal, its width and colours are used.
    """
    if form == "json":
        return json.dumps(data, indent=2) + "\n"
    if form == "yaml":
        # YAML cannot represent a lone surrogate.
        whole = json.dumps(data, ensure_ascii=False).encode(errors="replace")
        return str(yaml.dump(json.loads(whole), sort_keys=False))
    if not isinstance(data, Mapping):
        return _draw([_Rows(data, form)], stream) if data else ""
    nested = {name: value for name, value in data.items() if _is_table(value)}
    facts = [{"property": name, "value": value} for name, value in data.items() if name not in nested]
    parts: list[_Rows | str] = [_Rows(facts, form, are_facts=True)]
    for name, rows in nested.items():
        if rows:
            parts += [f"\n{name}:", _Rows(rows, form)]
    return _draw(parts, stream)


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


class _Rows(NamedTuple):
    """Rows that become a table.

    Args:
        rows: The rows, with the same names.
        form: ``table`` or ``plain``.
        are_facts: Whether each row is a name and a value of one item; a value may have several lines.
    """

    rows: Sequence[Record]
    form: str
    are_facts: bool = False

    def to_table(self, stream: TextIO, left_out: Collection[str] = ()) -> Table:
        """Make a table for a stream, without some columns."""
        if self.form == "plain":
            table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="")
        else:
            # Airflow's own tables look like this.
            table = Table(box=ASCII_DOUBLE_HEAD, show_edge=False, pad_edge=False)
        names = [name for name in self.rows[0] if name not in left_out]
        for name in names:
            cells = [_shown(row[name], stream) for row in self.rows]
            # A single word, such as an id, is meant to be copied, so it stays on one line.
            table.add_column(_shown(name, stream), no_wrap=not any(map(_BLANK.search, cells)), overflow="fold")
        for row in self.rows:
            table.add_row(*(self._cell(row, name, stream) for name in names))
        return table

    def _cell(self, row: Record, name: str, stream: TextIO) -> Text:
        shown = _shown(row[name], stream)
        meaning = row["property"] if self.are_facts and name == "value" else name
        style = colour_of(shown) if meaning in _COLOURED and self.form == "table" else ""
        is_whole = self.are_facts and self.form == "table"
        return Text(shown if is_whole else " ".join(shown.splitlines()), style)

    @property
    def spare(self) -> list[str]:
        """The columns that can be left out, the least important one first."""
        can_be_left_out = self.form == "table" and not self.are_facts
        return [name for name in _SPARE if name in self.rows[0]] if can_be_left_out else []


def _shown(value: Any, stream: TextIO) -> str:
    return encodable(printable(_cell(value).expandtabs(), lines=True), stream)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={_cell(item)}" for name, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_cell, value))
    return str(value)


def _draw(parts: Iterable[_Rows | str], stream: TextIO) -> str:
    drawn = StringIO()
    colours = has_colours(stream)
    # On a dumb terminal, rich ignores a width without a height.
    console = Console(
        file=drawn,
        width=_ENDLESS,
        height=1,
        force_terminal=colours,
        color_system="standard" if colours else None,
        no_color=False,
        highlight=False,
        markup=False,
        emoji=False,
    )
    room = Console(file=stream).width if stream.isatty() else _ENDLESS

    def width(part: Table | str) -> int:
        console.width = _ENDLESS
        return Measurement.get(console, console.options, part).minimum

    left_out: list[str] = []
    for part in parts:
        whole = part.to_table(stream) if isinstance(part, _Rows) else part
        if isinstance(part, _Rows):
            hidden: list[str] = []
            for name in part.spare:
                if width(whole) <= room:
                    break
                hidden.append(name)
                whole = part.to_table(stream, hidden)
            left_out += [name for name in hidden if name not in left_out]
        # Words are not cut: a terminal that is too narrow wraps the line itself.
        console.width = max(room, width(whole))
        console.print(whole)
    if left_out:
        console.width = room
        console.print(
            f"\nToo wide for this terminal: {', '.join(left_out)}. Other formats, such as -o json, have them."
        )
    lines = (line.rstrip() for line in drawn.getvalue().splitlines())
    # A long word, such as a link, makes its column wider than the terminal; the line below the headings need not be.
    return "".join(f"{line[:room] if _RULE.fullmatch(line) else line}\n" for line in lines)
