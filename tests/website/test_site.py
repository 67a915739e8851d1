"""The built site, as readers open it: from a folder, without a network. ``make docs`` builds it and runs it."""

from __future__ import annotations

import ast
import re
import tomllib
import zlib
from pathlib import Path

import pytest
from support.drivers.browser import EXECUTABLE, NEEDS_BROWSER, chromium, expect, new_page

ROOT = Path(__file__).parents[2]
SITE = ROOT / ".cache" / "docs" / "html"
# What Airflow, pytest or seeds use, and authors do not.
NOT_DESCRIBED = {"pytest_plugin.pytest_addoption", "client.entities.enum_name", "client.entities.read_time"}
# Described where authors import it.
ELSEWHERE = {"triggers.blob_change.AzureBlobChangeTrigger": "triggers.blob.AzureBlobChangeTrigger"}
READ = ("index.html", "reference/command-line.html", "reference/api/operators.html", "changelog.html", "search.html")


def table(name):
    """A table of tests/unit/test_public_names.py."""
    for node in ast.parse((ROOT / "tests/unit/test_public_names.py").read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == name:
            return ast.literal_eval(node.value)
    raise AssertionError(name)


def described():
    """The Python objects that the site describes, from the inventory that other sites link with."""
    _, _, lines = (SITE / "objects.inv").read_bytes().partition(b"using zlib.\n")
    rows = (line.split() for line in zlib.decompress(lines).decode().splitlines())
    return {row[0].removeprefix("aml_provider.") for row in rows if row[1].startswith("py:")}


@pytest.fixture(scope="module")
def browser():
    with chromium(EXECUTABLE) as running:
        yield running


def test_every_public_name_is_described():
    names = {f"{module}.{name}" for module, names in table("PUBLIC").items() for name in names.split()}
    expected = {ELSEWHERE.get(name, name) for name in names - NOT_DESCRIBED}
    assert len(expected) > 200
    assert expected - described() == set()


def test_every_method_of_the_hook_is_described_with_its_twin():
    text = (SITE / "reference/api/hook.html").read_text()
    for name in table("HOOK").split():
        assert f"hooks.azure_ml.AzureMLHook.{name}" in described()
        assert f"async_{name}" in text


def test_every_argument_of_an_operator_is_described():
    text = (SITE / "reference/api/operators.html").read_text()
    arguments = table("ARGUMENTS")["operators.pipeline.AzureMLRunPipelineOperator"].split()
    for argument in arguments:
        name = argument.partition("=")[0].strip("|*")
        assert f"<strong>{name}</strong>" in text or not name


def test_every_address_of_the_site_that_a_file_names_is_a_place_on_a_page():
    base = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Documentation"]
    places = [ROOT / "aml_provider", ROOT / "docs", ROOT / "example_dags", ROOT / ".github"]
    files = [file for place in places for file in place.rglob("*.*") if file.suffix in {".md", ".py", ".yml", ".html"}]
    named = {
        address.rstrip(".")
        for file in [*files, *ROOT.glob("*.md")]
        for address in re.findall(rf"{re.escape(base)}[\w./-]*(?:#[\w-]+)?", file.read_text())
    }
    assert base in named
    for address in named:
        path, _, place = address.removeprefix(base).partition("#")
        page = (SITE / (path or "index.html")).read_text()
        assert not place or f'id="{place}"' in page, address


@NEEDS_BROWSER
@pytest.mark.parametrize("name", READ)
def test_a_page_opened_from_a_folder_requests_nothing_else(browser, name):
    with new_page(browser) as page:
        page.goto((SITE / name).as_uri())
        page.wait_for_load_state("networkidle")
        assert page.title()
        assert [address for address in page.documents if not address.startswith((SITE.as_uri(), "data:"))] == []
        assert page.troubles == []


@NEEDS_BROWSER
@pytest.mark.parametrize(
    ("words", "title"),
    [
        ("AzureBlobChangeSensor", "Blob sensor"),
        ("exactly once", "Reliability"),
        ("lookup_grace", "Options and connection fields"),
        ("async_get_run_logs", "Hook methods"),
    ],
)
def test_the_search_finds_pages_without_a_network(browser, words, title):
    with new_page(browser) as page:
        page.goto((SITE / "index.html").as_uri())
        page.get_by_role("search").get_by_placeholder("Search").fill(words)
        page.keyboard.press("Enter")
        expect(page.locator("#search-results li a").filter(has_text=title).first).to_be_visible()
        page.locator("#search-results li a").filter(has_text=title).first.click()
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        assert [address for address in page.documents if not address.startswith((SITE.as_uri(), "data:"))] == []


@NEEDS_BROWSER
def test_a_page_is_dark_for_readers_who_prefer_that(browser):
    def brightness(scheme):
        with new_page(browser, color_scheme=scheme) as page:
            page.goto((SITE / "index.html").as_uri())
            color = page.evaluate("getComputedStyle(document.body).backgroundColor")
            return sum(int(part) for part in color.removeprefix("rgb(").rstrip(")").split(",")) / 3

    assert brightness("light") > 200
    assert brightness("dark") < 60


@NEEDS_BROWSER
def test_no_page_is_wider_than_a_telephone(browser):
    """Wide tables and code scroll by themselves."""
    with new_page(browser, viewport={"width": 390, "height": 800}) as page:
        for path in sorted(SITE.rglob("*.html")):
            page.goto(path.as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, path.name
