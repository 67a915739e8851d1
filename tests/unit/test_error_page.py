"""The page of errors and the classes that raise them agree."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from aml_provider.client import help as help_module
from aml_provider.client.help import ERRORS, SITE, anchor

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/troubleshooting/errors.md").read_text()
# A heading's anchor on GitHub and on the site: its words in small letters, with dashes.
SECTIONS = {
    title.strip().lower().replace(" ", "-"): text
    for title, text in re.findall(r"^### (.+)\n((?:(?!^##).*\n)*)", PAGE, re.MULTILINE)
}
# Errors of Airflow that this package raises with a text of its own.
TOPICS = {
    address.partition("#")[2]
    for address in vars(help_module).values()
    if isinstance(address, str) and address.startswith(f"{ERRORS}#")
}


def classes():
    """Every class of the package that is Helped, with its bases; read from the source, so that none is missed."""
    bases = {}
    for path in (ROOT / "aml_provider").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                names = [ast.unparse(base) for base in node.bases]
                bases.setdefault(node.name, set()).update(names)
    found, before = {"Helped"}, set()
    while found != before:
        before = set(found)
        found |= {name for name, names in bases.items() if names & found}
    # The class that is made for each permanent error has the name of that error.
    return found - {"Helped", "Both"}


KINDS = classes()


def test_the_walk_finds_the_tree():
    assert {"AzureMLError", "RunFailed", "InvalidTask", "CommandError", "UsageError", "StorageError"} <= KINDS
    assert len(KINDS) > 35


def test_each_class_has_a_section_and_each_section_a_class():
    assert {anchor(name) for name in KINDS} | TOPICS == set(SECTIONS)


@pytest.mark.parametrize("name", sorted(KINDS))
def test_a_section_names_its_class_and_says_what_to_do(name):
    text = SECTIONS[anchor(name)]
    assert f"`{name}`" in text
    if "not raised itself" not in text:
        assert re.search(r"^```text\n(?:.+\n)+```$", text, re.MULTILINE), "the message"
        assert "**Cause.** " in text
        assert "**Fix.** " in text


@pytest.mark.parametrize("topic", sorted(TOPICS))
def test_the_sections_of_airflows_errors_do_too(topic):
    assert "a class of Airflow" in SECTIONS[topic]
    assert "**Fix.** " in SECTIONS[topic]


def test_the_docs_name_the_site_of_the_messages():
    (project,) = re.findall(r'^Documentation = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE) or [SITE]
    assert project.rstrip("/").startswith(("https://github.com/", SITE.rstrip("/")))
