"""The links of the long description lead somewhere."""

from __future__ import annotations

import html
import re

import pytest
from release.description import examine
from release.repository import Repository

HOME = "https://github.com/owner/project"


class Checkout(Repository):
    address = HOME
    files = frozenset({"README.md", "docs/page.md", "docs/chart.svg", ".github/workflows/ci.yml"})

    def text(self, path):
        assert path == "docs/page.md"
        return "# One heading"


def render(markdown):
    """As much of Markdown as these tests need; PyPI's renderer is not installed here."""
    page = re.sub(r"!\[\]\((.*?)\)", lambda found: f'<img src="{html.escape(found[1])}">', markdown)
    page = re.sub(r"\[\]\((.*?)\)", lambda found: f'<a href="{html.escape(found[1])}">x</a>', page)
    page = re.sub(r'href="#', 'href="#user-content-', page)
    heading = re.compile(r"^# (.*)$", re.MULTILINE)
    return heading.sub(lambda found: f'<h1 id="user-content-{found[1].lower().replace(" ", "-")}"></h1>', page)


def problems(markdown, tmp_path):
    return examine(markdown, Checkout(tmp_path), "v1.0", render).problems


@pytest.mark.parametrize(
    "markdown",
    [
        f"[]({HOME}/blob/v1.0/docs/page.md)",
        f"[]({HOME}/blob/v1.0/docs/page.md#one-heading)",
        f"[]({HOME}/tree/v1.0/docs/)",
        f"![]({HOME}/raw/v1.0/docs/chart.svg)",
        f"![]({HOME}/actions/workflows/ci.yml/badge.svg?branch=main)",
        f"[]({HOME}/actions/workflows/ci.yml?query=branch)",
        f"[]({HOME}/issues)",
        "[](https://elsewhere.example/page#part)",
        "[](mailto:somebody@elsewhere.example)",
        "# Here\n[](#here)",
    ],
)
def test_a_link_that_leads_somewhere_is_right(markdown, tmp_path):
    assert problems(markdown, tmp_path) == []


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("docs/page.md", "leads nowhere on PyPI"),
        ("http://elsewhere.example", "leads nowhere on PyPI"),
        (f"{HOME}/blob/v1.0/docs/pages.md", "names a file that does not exist"),
        (f"{HOME}/blob/v1.0/doc", "names a file that does not exist"),
        (f"{HOME}/blob/v1.0/docs/page.md#another", "names a heading that does not exist"),
        (f"{HOME}/blob/main/docs/page.md", "leads to main, which can change, and not to v1.0"),
        (f"{HOME}/raw/v1.0/docs/page.md", "leads to a raw file"),
        (f"{HOME}/actions/workflows/cd.yml", "names a workflow that does not exist"),
    ],
)
def test_a_link_that_leads_nowhere_is_named(address, problem, tmp_path):
    assert problems(f"[]({address})", tmp_path) == [f"the description's link {address} {problem}"]


def test_a_picture_must_be_one(tmp_path):
    address = f"{HOME}/blob/v1.0/docs/chart.svg"
    assert problems(f"![]({address})", tmp_path) == [
        f"the description's link {address} shows a page in place of a picture"
    ]


def test_a_heading_that_is_missing_on_the_page_itself_is_named(tmp_path):
    assert problems("[](#there)", tmp_path) == ["the description has no heading for its link #there"]


def test_links_into_the_repository_and_others_are_counted(tmp_path):
    markdown = f"[]({HOME}/issues) []({HOME}/blob/v1.0/README.md) [](https://elsewhere.example)"
    assert examine(markdown, Checkout(tmp_path), "v1.0", render)[:2] == (2, 1)
