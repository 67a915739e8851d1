"""YAML as the arguments of a run need it: numbers, dates and times are text, exactly as they are written.

A run gets each value as text. PyYAML reads YAML 1.1, in which ``007`` is 7, ``1.10`` is 1.1, ``12:30:45`` is 45045 and
``on`` is True; what was written would be lost. As in YAML 1.2, only ``true`` and ``false`` are bools.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

_BOOL, _MERGE, _NULL = (f"tag:yaml.org,2002:{name}" for name in ("bool", "merge", "null"))


class _Loader(yaml.SafeLoader):
    # What is not in this table, and has no tag, is text.
    yaml_implicit_resolvers = {  # noqa: RUF012 - as PyYAML declares it
        first: [(tag, pattern) for tag, pattern in resolvers if tag in {_MERGE, _NULL}]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Construct a value; an error says where the value is."""
        try:
            return super().construct_object(node, deep)
        except yaml.MarkedYAMLError:
            raise
        except Exception:  # noqa: BLE001 - `!!int x` raises ValueError, `!!bool x` KeyError, `!!timestamp x` AttributeError
            raise yaml.constructor.ConstructorError(problem_mark=node.start_mark) from None


_Loader.add_implicit_resolver(_BOOL, re.compile("(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))


def load(text: str) -> Any:
    """Load a text in YAML.

    Raises:
        ValueError: It cannot be loaded. The message says where, and has no part of the text.
    """
    try:
        return yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        line, column = before.count("\n") + 1, error.position - before.rfind("\n")
        problem = "has a character that YAML does not allow"
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        problem = _problem(error)
    raise ValueError(f"line {line}, column {column} {problem}")


def _problem(error: yaml.MarkedYAMLError) -> str:
    # PyYAML's own messages repeat words of the text.
    if isinstance(error, yaml.composer.ComposerError):
        return "has an anchor that is unknown or used twice, or a second document"
    if isinstance(error, yaml.constructor.ConstructorError):
        return "has a name, a value or a tag that cannot be read"
    return "is not valid YAML"
