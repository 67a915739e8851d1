"""The check of the built pages: links lead somewhere, and nothing is loaded from elsewhere."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: The attributes with addresses that a browser requests by itself, by element. Those of ``link`` depend on its ``rel``.
_LOADED = {
    "audio": ("src",),
    "embed": ("src",),
    "iframe": ("src",),
    "image": ("href", "xlink:href"),
    "img": ("src", "srcset"),
    "input": ("src",),
    "object": ("data",),
    "script": ("src",),
    "source": ("src", "srcset"),
    "track": ("src",),
    "use": ("href", "xlink:href"),
    "video": ("src", "poster"),
}
# A ``link`` with one of these only names another page.
_NAMED_ONLY = frozenset({"alternate", "author", "canonical", "help", "index", "license", "next", "prev", "search"})
_IN_STYLE = re.compile(r"""url\(\s*["']?([^"')]+)["']?\s*\)|@import\s+["']([^"']+)["']""")
# The address of an object in memory, which differs in each build.
_IN_MEMORY = re.compile(r" at 0x[0-9a-f]{6,}")


class Checked(NamedTuple):
    """The result of a check."""

    #: The number of pages.
    pages: int
    #: The number of links between pages, or within one.
    links: int
    #: The number of files that pages and styles load.
    loaded: int
    #: What is wrong, one sentence each.
    problems: list[str]


class _Page(HTMLParser):
    """The ids, links and loaded addresses of one page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self._in_style = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect the attributes of an element."""
        found = {name: value for name, value in attrs if value}
        self.ids |= {found[name] for name in ("id", "name") if name in found}
        self._in_style = tag == "style"
        self.loads += _in_style(found.get("style", ""))
        if tag in {"a", "area"} and "href" in found:
            self.links.append(found["href"])
        if tag == "form" and "action" in found:
            self.links.append(found["action"])
        if tag == "link" and "href" in found:
            relations = set(found.get("rel", "").lower().split())
            (self.links if relations <= _NAMED_ONLY else self.loads).append(found["href"])
        for name in _LOADED.get(tag, ()):
            if name == "srcset":
                self.loads += [part.split()[0] for part in found.get(name, "").split(",") if part.strip()]
            elif name in found:
                self.loads.append(found[name])

    def handle_data(self, data: str) -> None:
        """Collect the addresses in a style sheet within the page."""
        if self._in_style:
            self.loads += _in_style(data)

    def handle_endtag(self, tag: str) -> None:
        """Notice the end of a style sheet within the page."""
        self._in_style &= tag != "style"


def check(folder: Path, *, private: str) -> Checked:
    """Check all pages and style sheets of a built site.

    Args:
        folder: The built site.
        private: A text that no page may contain: the folder of this checkout.
    """
    pages = {path: _Page(path.read_text(encoding="utf-8")) for path in sorted(folder.rglob("*.html"))}
    problems = []
    links = loaded = 0
    for path, page in pages.items():
        name = path.relative_to(folder).as_posix()
        text = path.read_text(encoding="utf-8")
        if private in text:
            problems.append(f"{name} contains the path of a folder on this machine")
        if found := _IN_MEMORY.search(text):
            problems.append(f"{name} contains the address of an object in memory:{found[0]}")
        for address in page.loads:
            loaded += 1
            problems += _problems_of_loading(folder, path, address)
        for address in page.links:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            links += 1
            problems += _problems_of_link(folder, path, address, pages)
    for path in sorted(folder.rglob("*.css")):
        for address in _in_style(path.read_text(encoding="utf-8")):
            loaded += 1
            problems += _problems_of_loading(folder, path, address)
    return Checked(len(pages), links, loaded, problems)


def _in_style(text: str) -> Iterator[str]:
    for quoted in _IN_STYLE.findall(text):
        yield next(filter(None, quoted))


def _problems_of_loading(folder: Path, path: Path, address: str) -> Iterator[str]:
    """Why a page or style sheet cannot load a file without a network."""
    name = path.relative_to(folder).as_posix()
    parts = urlsplit(address)
    if parts.scheme == "data" or (not parts.path and not parts.netloc and not parts.scheme):
        return
    if parts.scheme or parts.netloc:
        yield f"{name} loads {address}, which is not a file of the site"
    elif parts.path.startswith("/") or not (path.parent / unquote(parts.path)).is_file():
        yield f"{name} loads {address}, which does not exist"


def _problems_of_link(folder: Path, path: Path, address: str, pages: dict[Path, _Page]) -> Iterator[str]:
    """Why a link to a page of the site leads nowhere."""
    name = path.relative_to(folder).as_posix()
    parts = urlsplit(address)
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path.resolve()
    if parts.path.startswith("/") or not target.is_file() or folder.resolve() not in target.parents:
        yield f"{name} links to {address}, which does not exist"
    elif parts.fragment and target.suffix == ".html":
        page = pages[folder / target.relative_to(folder.resolve())]
        if unquote(parts.fragment) not in page.ids:
            yield f"{name} links to {address}, but that page has no such place"
