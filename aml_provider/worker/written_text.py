"""Keeps the text of literal arguments, which native rendering turns into other values.

With ``render_template_as_native_obj=True`` Airflow evaluates each template field as Python, also text that has no
template in it: ``"1.10"`` becomes the number 1.1. If an argument's values may be numbers, nobody could see that later.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any


def keep(operator: Any, written: Mapping[str, Any]) -> None:
    """Put literal text back in the place of what it was evaluated to.

    Args:
        operator: The operator, whose arguments are rendered.
        written: The same arguments as they were written in the DAG file, by name.
    """
    for name, value in written.items():
        rendered = getattr(operator, name)
        # A whole mapping may be written as text.
        if not (isinstance(value, str) and isinstance(rendered, Mapping)):
            setattr(operator, name, kept(value, rendered))


def kept(written: Any, rendered: Any) -> Any:
    """The rendered value, with the text of literals in place of the values to which they were evaluated."""
    if isinstance(written, str):
        return written if _is_value_of(written, rendered) else rendered
    if isinstance(written, Mapping) and isinstance(rendered, Mapping):
        return {name: kept(written.get(name), value) for name, value in rendered.items()}
    return rendered


def _is_value_of(text: str, value: Any) -> bool:
    """Whether a value is what a text means as Python."""
    if isinstance(value, str):
        return False
    try:
        found = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return False
    return type(found) is type(value) and repr(found) == repr(value)
