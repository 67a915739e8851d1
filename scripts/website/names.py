"""References to Python objects: short names of types become links, and other packages' names stay text."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, cast

from docutils import nodes
from sphinx.util.nodes import make_refnode

if TYPE_CHECKING:
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.domains.python import PythonDomain
    from sphinx.environment import BuildEnvironment

_PACKAGE = "aml_provider"


def register(app: Sphinx) -> None:
    """Let Sphinx ask for what it cannot resolve."""
    app.connect("missing-reference", _on_missing_reference)


def _on_missing_reference(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement
) -> nodes.Element | None:
    """Resolve a name in a signature or a docstring; None if it should be there, but is not.

    Annotations are read as texts, since the package imports most types for type checkers only. So a type has the short
    name of its module's imports.
    """
    if node.get("refdomain") != "py":
        return None
    target: str = node["reftarget"]
    objects = cast("PythonDomain", env.domains["py"]).objects
    ending = target.rpartition(".")[2]
    full = [name for name in objects if name.startswith(f"{_PACKAGE}.") and name.rpartition(".")[2] == ending]
    is_written = isinstance(content, nodes.literal)
    if len(full) == 1 and not (is_written and "." in target):
        entry = objects[full[0]]
        return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, content, full[0])
    # A role in a docstring must name something that there is. If it is not public, it stays text.
    if is_written and ("." not in target or (target.startswith(f"{_PACKAGE}.") and not _exists(target))):
        return None
    return content


def _exists(name: str) -> bool:
    """Whether there is a module, or something in one, of this full name."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            value: object = importlib.import_module(".".join(parts[:count]))
        except ImportError:
            continue
        for part in parts[count:]:
            value = getattr(value, part, None)
        return value is not None
    return False
