"""The documentation site: what Sphinx does not do by itself, and the check of the pages that it has built.

``make docs`` runs ``python -m website``. docs/conf.py names this package as an extension of Sphinx.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension; Sphinx calls this."""
    from website import descriptions, links, names, pictures, texts  # noqa: PLC0415 - the check of the pages needs no Sphinx

    texts.register(app)
    descriptions.register(app)
    links.register(app)
    names.register(app)
    pictures.register(app)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
