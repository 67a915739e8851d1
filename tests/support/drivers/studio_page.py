"""A page of the local workspace, parsed into what a person reads on it."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit


class Page(HTMLParser):
    """The text, tables, links and tags of a page."""

    def __init__(self, reply):
        super().__init__()
        assert reply.headers["Content-Type"] == "text/html; charset=utf-8"
        self.status, self.headers, self.source = reply.status_code, reply.headers, reply.text
        self.tags, self.links, self.ids, self.rows = [], [], [], []
        self._texts, self._silent, self._in_cell = [], 0, False
        self.feed(reply.text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id"]
        self._silent += tag in ("style", "script")
        if tag == "a":
            self.links.append(dict(attrs)["href"])
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag):
        self._silent -= tag in ("style", "script")
        self._in_cell = self._in_cell and tag not in ("td", "th")

    def handle_data(self, data):
        if not self._silent:
            self._texts.append(data)
            if self._in_cell:
                self.rows[-1][-1] += data

    @property
    def text(self):
        return " ".join(" ".join(self._texts).split())

    @property
    def cells(self):
        return [[" ".join(cell.split()) for cell in row] for row in self.rows]

    def row(self, first):
        """The cells of the row that begins with a text, without it."""
        (row,) = [row for row in self.cells if row and row[0] == first]
        return row[1:]

    def fact(self, name):
        found = re.search(rf"<dt>{name}</dt><dd>(.*?)</dd>", self.source, re.DOTALL)
        return " ".join(re.sub(r"<[^>]*>", "", found[1]).split()) if found else None

    @property
    def actions(self):
        """The addresses of its buttons."""
        return [attrs["action"] for tag, attrs in self.tags if tag == "form" and attrs["method"] == "post"]

    @property
    def runs(self):
        """The ids of the runs in its lists, in order."""
        return [name.removeprefix("run-") for name in self.ids if name.startswith("run-")]


def every_page(open_page, start="/"):
    """All pages that are reachable by links, by their addresses."""
    found, waiting = {}, [start]
    while waiting:
        address = urlsplit(waiting.pop())._replace(fragment="").geturl()
        if address in found or address.endswith("/log"):
            continue
        found[address] = open_page(address)
        waiting += [urljoin(address, link) for link in found[address].links]
    return found
