"""The output of commands: a table, JSON, YAML, or a plain table that other programs can split."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from io import StringIO
from typing import TYPE_CHECKING, Any

from airflow.utils import yaml
from rich.box import ASCII_DOUBLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from aml_provider.client.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import TextIO

    #: A thing as names and values: text, numbers, bools, None, or lists and mappings of these.
    Record = Mapping[str, Any]

# Wider than any line: without a terminal, no value is wrapped.
_ENDLESS = 100_000
_BLANK = re.compile(r"\s")


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
        return _draw([_table(data, form)], stream) if data else ""
    nested = {name: value for name, value in data.items() if _is_table(value)}
    facts = [{"property": name, "value": value} for name, value in data.items() if name not in nested]
    parts: list[Table | str] = [_table(facts, form, multiline=form == "table")]
    for name, rows in nested.items():
        if rows:
            parts += [f"\n{name}:", _table(rows, form)]
    return _draw(parts, stream)


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _table(rows: Sequence[Record], form: str, *, multiline: bool = False) -> Table:
    if form == "plain":
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="")
    else:
        # Airflow's own tables look like this.
        table = Table(box=ASCII_DOUBLE_HEAD, show_edge=False, pad_edge=False)
    for name in rows[0]:
        cells = [_shown(row[name]) for row in rows]
        # A single word, such as an id, is meant to be copied, so it stays on one line.
        table.add_column(_shown(name), no_wrap=not any(map(_BLANK.search, cells)), overflow="fold")
    for row in rows:
        cells = [_shown(value) for value in row.values()]
        table.add_row(*(Text(cell if multiline else " ".join(cell.splitlines())) for cell in cells))
    return table


def _shown(value: Any) -> str:
    return printable(_cell(value).expandtabs(), lines=True)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={_cell(item)}" for name, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_cell, value))
    return str(value)


def _draw(parts: Iterable[Table | str], stream: TextIO) -> str:
    drawn = StringIO()
    # On a dumb terminal, rich ignores a width without a height.
    console = Console(
        file=drawn, width=_ENDLESS, height=1, force_terminal=stream.isatty(), highlight=False, markup=False, emoji=False
    )
    room = Console(file=stream).width if stream.isatty() else _ENDLESS
    for part in parts:
        # Words are not cut: a terminal that is too narrow wraps the line itself.
        console.width = _ENDLESS
        console.width = max(room, Measurement.get(console, console.options, part).minimum)
        console.print(part)
    return "".join(f"{line.rstrip()}\n" for line in drawn.getvalue().splitlines())
