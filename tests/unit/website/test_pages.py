"""The check of the built pages names what loads from elsewhere and what leads nowhere."""

from __future__ import annotations

import pytest
from website.pages import check

PRIVATE = "/home/somebody/checkout"


@pytest.fixture
def problems(tmp_path):
    """The problems of a site of two pages, of which the first has this body."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a/other.html").write_text('<h1 id="there">Other</h1><a href="../index.html">back</a>')
    (tmp_path / "own.js").touch()
    (tmp_path / "own.css").write_text("p { background: url(own.js) }")

    def check_body(body, css=""):
        (tmp_path / "index.html").write_text(f'<h1 id="here">Title</h1>{body}')
        (tmp_path / "style.css").write_text(css)
        return check(tmp_path, private=PRIVATE).problems

    return check_body


@pytest.mark.parametrize(
    "body",
    [
        '<a href="a/other.html#there">x</a> <a href="#here">x</a> <a href="#">x</a> <a href="a/other.html?q=1">x</a>',
        '<a href="https://elsewhere.example/page">x</a> <a href="mailto:somebody@elsewhere.example">x</a>',
        '<script src="own.js?v=1"></script> <link rel="stylesheet" href="own.css"> <img src="data:image/png,AA">',
        '<link rel="canonical" href="https://elsewhere.example/"> <link rel="next" href="a/other.html">',
        '<svg><use href="#icon"></use></svg> <p style="fill: url(#shade)">x</p>',
        "<p>url(https://elsewhere.example/x.png) as a text</p>",
    ],
)
def test_a_page_that_needs_only_its_own_site_is_right(problems, body):
    assert problems(body) == []


@pytest.mark.parametrize(
    "body",
    [
        '<script src="https://elsewhere.example/x"></script>',
        '<script src="//elsewhere.example/x"></script>',
        '<link rel="stylesheet" href="https://elsewhere.example/x">',
        '<link rel="preconnect" href="https://elsewhere.example/x">',
        '<link rel="icon" href="https://elsewhere.example/x">',
        '<img src="https://elsewhere.example/x">',
        '<img srcset="own.js 1x, https://elsewhere.example/x 2x">',
        '<picture><source srcset="https://elsewhere.example/x"></picture>',
        '<iframe src="https://elsewhere.example/x"></iframe>',
        '<video poster="https://elsewhere.example/x"></video>',
        '<svg><image xlink:href="https://elsewhere.example/x"/></svg>',
        "<p style=\"background: url('https://elsewhere.example/x')\">x</p>",
        "<style>@import 'https://elsewhere.example/x';</style>",
        "<style>@font-face { src: url(https://elsewhere.example/x) }</style>",
    ],
)
def test_a_page_that_loads_something_from_elsewhere_is_named(problems, body):
    (problem,) = problems(body)
    assert problem.startswith("index.html loads ")
    assert "elsewhere.example/x, which is not a file of the site" in problem


def test_a_style_sheet_that_loads_something_from_elsewhere_is_named(problems):
    css = "@font-face { src: url(https://elsewhere.example/x.woff2) }"
    assert problems("", css) == [
        "style.css loads https://elsewhere.example/x.woff2, which is not a file of the site",
    ]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ('<img src="none.png">', "index.html loads none.png, which does not exist"),
        ('<script src="/own.js"></script>', "index.html loads /own.js, which does not exist"),
        ('<a href="none.html">x</a>', "index.html links to none.html, which does not exist"),
        ('<a href="/index.html">x</a>', "index.html links to /index.html, which does not exist"),
        ('<a href="../index.html">x</a>', "index.html links to ../index.html, which does not exist"),
        ('<a href="a/">x</a>', "index.html links to a/, which does not exist"),
        ('<a href="#there">x</a>', "index.html links to #there, but that page has no such place"),
        ('<a href="a/other.html#here">x</a>', "index.html links to a/other.html#here, but that page has no such place"),
        (f"<p>{PRIVATE}/x.py</p>", "index.html contains the path of a folder on this machine"),
        (
            "<p>f(x=&lt;object object at 0x7f3a5c0b1d20&gt;)</p>",
            "index.html contains the address of an object in memory: at 0x7f3a5c0b1d20",
        ),
    ],
)
def test_what_is_wrong_with_a_page_is_named(problems, body, problem):
    assert problems(body) == [problem]


def test_pages_links_and_files_are_counted(problems, tmp_path):
    problems('<a href="#here">x</a> <a href="https://elsewhere.example">x</a> <script src="own.js"></script>')
    assert check(tmp_path, private=PRIVATE)[:3] == (2, 2, 2)
