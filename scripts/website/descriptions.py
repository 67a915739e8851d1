"""Corrections of the descriptions that Sphinx makes of Python objects."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx import addnodes
from sphinx.util.docstrings import prepare_docstring

from website.objects import is_twin

if TYPE_CHECKING:
    from sphinx.application import Sphinx

# After napoleon has read the sections, and after autodoc has added the types.
_LATE = 900
# Called by this package and by Airflow, not by authors.
_NOT_FOR_AUTHORS = frozenset({"from_arm", "from_ids", "from_wire", "serialize", "deserialize"})
_FIXTURES = "aml_provider.pytest_plugin"


def register(app: Sphinx) -> None:
    """Correct each description when Sphinx makes it."""
    app.connect("autodoc-skip-member", _on_skip_member)
    app.connect("autodoc-process-docstring", _on_docstring, priority=_LATE)
    app.connect("object-description-transform", _on_description, priority=_LATE)


def _on_skip_member(_app: Sphinx, _what: str, name: str, value: Any, _skip: bool, _options: Any) -> bool | None:
    """Leave out a member without a use for authors; None: as Sphinx decides."""
    is_field_of_a_tuple = (inspect.getdoc(value) or "").startswith("Alias for field number")
    return True if is_field_of_a_tuple or name in _NOT_FOR_AUTHORS else None


def _on_docstring(_app: Sphinx, what: str, name: str, value: Any, _options: Any, lines: list[str]) -> None:
    """Name a hook method's twin, and undo what napoleon makes of a colon in a property's docstring."""
    from aml_provider.hooks.azure_ml import AzureMLHook  # noqa: PLC0415 - Sphinx reads pages without it

    if what in {"attribute", "data", "property"} and any(line.startswith(":type:") for line in lines):
        lines[:] = prepare_docstring(inspect.getdoc(value) or "")
    kind, _, method = name.rpartition(".")
    twin = f"async_{method}"
    is_of_hook = what == "method" and kind.endswith(f".{AzureMLHook.__name__}") and hasattr(AzureMLHook, twin)
    if is_of_hook and is_twin(AzureMLHook, twin):
        lines += ["", f"In an event loop: ``{twin}``.", ""]


def _on_description(_app: Sphinx, domain: str, kind: str, content: addnodes.desc_content) -> None:
    """Remove fields that say nothing to authors."""
    if domain != "py":
        return
    (signature, *_) = content.parent.findall(addnodes.desc_signature)
    for field in list(content.findall(nodes.field)):
        # Sphinx has not yet grouped them: ":param x:", ":type x:", ":rtype:".
        word, _, _ = field[0].astext().partition(" ")
        if (
            # A constructor returns None.
            (word == "rtype" and kind in {"class", "exception"})
            # Authors raise no errors of ours.
            or (word in {"param", "type"} and kind == "exception")
            # pytest calls a fixture.
            or (word in {"param", "type"} and signature.get("module") == _FIXTURES)
        ):
            field.parent.remove(field)
