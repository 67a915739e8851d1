"""Links from pages to files outside of docs/: to the page that shows the file, else to the repository."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx import addnodes

from website import examples, included

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sphinx.application import Sphinx

# Before Sphinx copies the files to which pages link.
_EARLY = 100


def register(app: Sphinx) -> None:
    """Let Sphinx replace these links in each page that it reads."""
    app.add_config_value("repository_files", "", "env", str)
    app.connect("doctree-read", _on_doctree_read, priority=_EARLY)


def _on_doctree_read(app: Sphinx, document: nodes.document) -> None:
    docs = Path(app.srcdir)
    pages = {docs.parent / "README.md": "index", **included.files(docs)}
    pages |= {file: pages.get(examples.FOLDER / "README.md", "") for file in examples.files()}
    for node, path, place in _links_out(app, document):
        if not path.exists():
            continue  # Sphinx itself warns
        page = pages.get(path, "")
        if page and path.suffix == ".py":
            _lead_to_page(node, page, examples.place(path))
        elif page and (page != "index" or not place):
            _lead_to_page(node, page, place)
        else:
            inside = path.relative_to(docs.parent).as_posix()
            address = f"{app.config.repository_files}/{inside}{'#' if place else ''}{place or ''}"
            node.replace_self(nodes.reference("", "", *node.children, refuri=address, internal=False))


def _links_out(app: Sphinx, document: nodes.document) -> Iterator[tuple[nodes.Element, Path, str | None]]:
    """The links to files and folders outside of docs/: the node, the file, and the place in it."""
    docs = Path(app.srcdir)
    folder = Path(app.env.doc2path(app.env.docname)).parent
    for node in list(document.findall(nodes.Element)):
        if not isinstance(node, (addnodes.pending_xref, addnodes.download_reference)) or node.get("reftype") != "myst":
            continue
        target, _, place = node["reftarget"].partition("#")
        if node.get("refdomain") == "doc":
            path, place = docs / f"{target}.md", node["reftargetid"]
        else:
            path = folder / target
        path = path.resolve()
        if docs.parent in path.parents and docs not in path.parents and path != docs:
            yield node, path, place or None


def _lead_to_page(node: Any, page: str, place: str | None) -> None:
    to = addnodes.pending_xref(
        "",
        *node.children,
        refdomain="doc",
        reftype="myst",
        reftarget=page,
        reftargetid=place,
        refdoc=node["refdoc"],
        refexplicit=node["refexplicit"],
    )
    to.source, to.line = node.source, node.line
    node.replace_self(to)
