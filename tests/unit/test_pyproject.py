"""What pyproject.toml says in several places is the same."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
HOOK = PYPROJECT["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]


def on_pypi(markdown):
    for substitution in HOOK["substitutions"]:
        markdown = re.sub(substitution["pattern"], substitution["replacement"], markdown)
    return markdown


def test_every_address_is_of_the_same_repository():
    repository = PROJECT["urls"]["Repository"]
    owner, name = repository.removeprefix("https://github.com/").split("/")
    site = f"https://{owner}.github.io/{name}/"
    places = [*PROJECT["urls"].values(), *(item["replacement"].lstrip("\\1") for item in HOOK["substitutions"])]
    assert [place for place in places if place != repository and not place.startswith(f"{repository}/")] == [site]


def test_relative_links_become_absolute_and_others_stay():
    home = f"{PROJECT['urls']['Repository']}"
    tag = "v$HFPR_VERSION"
    assert on_pypi("[a](docs/a.md#b)") == f"[a]({home}/blob/{tag}/docs/a.md#b)"
    assert on_pypi("![a](docs/a.svg)") == f"![a]({home}/raw/{tag}/docs/a.svg)"
    assert on_pypi("[![a](a.svg)](A.md)") == f"[![a]({home}/raw/{tag}/a.svg)]({home}/blob/{tag}/A.md)"
    for link in ("[a](https://b.example/c)", "![a](https://b.example/c.svg)", "[a](#b)", "[a](mailto:b@example.com)"):
        assert on_pypi(link) == link


def test_no_relative_link_of_the_readme_is_left():
    readme = on_pypi((ROOT / "README.md").read_text())
    assert [target for target in re.findall(r"\]\(([^)]+)\)", readme) if not re.match(r"https:|#", target)] == []


def test_the_oldest_python_that_is_tested_is_the_oldest_that_is_allowed():
    prefix = "Programming Language :: Python :: 3."
    tested = [int(item.removeprefix(prefix)) for item in PROJECT["classifiers"] if item.startswith(prefix)]
    assert PROJECT["requires-python"] == f">=3.{min(tested)}"
    assert tested == list(range(min(tested), max(tested) + 1))
    assert PYPROJECT["tool"]["ruff"]["target-version"] == f"py3{min(tested)}"


def test_the_tools_that_build_are_locked_too():
    assert set(PYPROJECT["build-system"]["requires"]) <= set(PYPROJECT["dependency-groups"]["build"])
