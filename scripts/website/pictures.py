"""Pictures in two versions: a page names ``NAME-light.png``, and readers of the dark theme see ``NAME-dark.png``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from docutils import nodes

if TYPE_CHECKING:
    from sphinx.application import Sphinx

# Before Sphinx copies the pictures of pages.
_EARLY = 100
_LIGHT, _DARK = "-light.", "-dark."


def register(app: Sphinx) -> None:
    """Let Sphinx add the dark version of each picture that has one."""
    app.connect("doctree-read", _on_doctree_read, priority=_EARLY)


def _on_doctree_read(app: Sphinx, document: nodes.document) -> None:
    folder = Path(app.env.doc2path(app.env.docname)).parent
    for light in list(document.findall(nodes.image)):
        dark = light["uri"].replace(_LIGHT, _DARK)
        if dark == light["uri"] or not (folder / dark).is_file():
            continue
        copied = light.deepcopy()
        copied["uri"] = dark
        # The theme's own classes.
        light["classes"] += ["only-light"]
        copied["classes"] += ["only-dark"]
        light.parent.insert(light.parent.index(light) + 1, copied)
