"""The long description as PyPI shows it, and where its links lead."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urldefrag

if TYPE_CHECKING:
    from collections.abc import Callable

    from release.repository import Repository

#: How PyPI's renderer, like GitHub's, names the anchor of a heading.
_ANCHOR = "user-content-"
_FILE = re.compile(r"(?P<kind>blob|raw|tree)/(?P<tag>[^/]+)/(?P<path>.+)")


class Examined(NamedTuple):
    """The links of a page.

    Attributes:
        inside: The number of links to files of the repository.
        outside: The number of other addresses.
        problems: The links that lead nowhere.
    """

    inside: int
    outside: int
    problems: list[str]


class _Page(HTMLParser):
    """Collects the links and the anchors of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        #: Each address, and whether it is that of a picture.
        self.links: list[tuple[str, bool]] = []
        self.anchors: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember an address or an anchor."""
        for name, value in attrs:
            if name in {"href", "src"} and value:
                self.links.append((value, tag == "img"))
            elif name == "id" and value:
                self.anchors.add(value)


def render(markdown: str) -> str:
    """The HTML that PyPI makes of Markdown, with its own renderer."""
    # Installed in .venv-release only.
    from readme_renderer import markdown as renderer  # noqa: PLC0415

    page: str | None = renderer.render(markdown)
    assert page is not None
    return page


def examine(markdown: str, repository: Repository, tag: str, render: Callable[[str], str] = render) -> Examined:
    """Check each link of a page. Links into the repository must name files of it; nothing is fetched.

    Args:
        markdown: The page.
        repository: The repository.
        tag: The tag to which its links must lead.
        render: Makes HTML of Markdown.
    """
    read = _Page(render(markdown))
    problems, inside, outside = [], 0, 0
    for address, picture in read.links:
        target, anchor = urldefrag(address)
        if not target:
            if anchor not in read.anchors:
                problems.append(f"the description has no heading for its link #{anchor.removeprefix(_ANCHOR)}")
        elif not target.startswith(("https://", "mailto:")):
            problems.append(f"the description's link {address} leads nowhere on PyPI")
        elif not target.startswith(f"{repository.address}/"):
            outside += 1
        else:
            inside += 1
            path = target.removeprefix(f"{repository.address}/")
            if problem := _problem(path, repository.files, tag, picture=picture):
                problems.append(f"the description's link {address} {problem}")
            elif (
                anchor
                and (page := _file_of(path)).endswith(".md")
                and _ANCHOR + anchor not in _Page(render(repository.text(page))).anchors
            ):
                problems.append(f"the description's link {address} names a heading that does not exist")
    return Examined(inside, outside, problems)


def _problem(target: str, files: frozenset[str], tag: str, *, picture: bool) -> str:
    """Why a link into the repository leads nowhere; empty if it leads somewhere."""
    if workflow := re.match(r"actions/workflows/([^/?]+)", target):
        return "" if f".github/workflows/{workflow[1]}" in files else "names a workflow that does not exist"
    if not (parts := _FILE.match(target)):
        # The issues, the releases and other pages of the repository.
        return ""
    path = _file_of(target)
    if parts["tag"] != tag:
        return f"leads to {parts['tag']}, which can change, and not to {tag}"
    if path not in files and not any(file.startswith(f"{path}/") for file in files):
        return "names a file that does not exist"
    if picture != (parts["kind"] == "raw"):
        return "shows a page in place of a picture" if picture else "leads to a raw file"
    return ""


def _file_of(target: str) -> str:
    """The path of the file to which a link into the repository leads; empty if it leads to another page."""
    parts = _FILE.match(target)
    return unquote(parts["path"]).rstrip("/") if parts else ""
