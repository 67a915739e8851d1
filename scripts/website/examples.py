"""The example DAGs, with their code, for readers without GitHub."""

from __future__ import annotations

import ast
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "example_dags"


def files() -> list[Path]:
    """The examples, without those that only the demo runs."""
    return [path for path in sorted(FOLDER.glob("*.py")) if not path.name.startswith("demo_")]


def place(file: Path) -> str:
    """The heading's anchor of an example."""
    return file.name.replace(".", "")


def markdown() -> str:
    """One section for each example: the first paragraph of its docstring, and its code."""
    sections = []
    for file in files():
        source = file.read_text(encoding="utf-8")
        first, _, _ = (ast.get_docstring(ast.parse(source)) or "").partition("\n\n")
        sections.append(f"## `{file.name}`\n\n{first}\n\n```python\n{source}```\n")
    return "\n".join(sections)
