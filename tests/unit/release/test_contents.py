"""Wheel and sdist have exactly the files that they should have."""

from __future__ import annotations

import pytest
from release.contents import problems_of_sdist, problems_of_wheel

TRACKED = frozenset({"README.md", "aml_provider/__init__.py", "aml_provider/py.typed", "tests/test_it.py"})
INFO = "package-1.0.dist-info"
METADATA = {f"{INFO}/{name}" for name in ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE")}
WHEEL = frozenset({"aml_provider/__init__.py", "aml_provider/py.typed", *METADATA})


def test_a_wheel_of_the_package_is_right():
    assert problems_of_wheel(WHEEL, TRACKED, INFO) == []


@pytest.mark.parametrize("path", sorted(WHEEL))
def test_a_file_that_the_wheel_lacks_is_named(path):
    assert problems_of_wheel(WHEEL - {path}, TRACKED, INFO) == [f"the wheel lacks {path}"]


@pytest.mark.parametrize("path", ["tests/test_it.py", "README.md", "aml_provider/notes.txt"])
def test_a_file_that_the_wheel_should_not_have_is_named(path):
    assert problems_of_wheel(WHEEL | {path}, TRACKED, INFO) == [
        f"the wheel has {path}, which is not of the repository's package"
    ]


def test_the_sdist_is_the_whole_repository():
    assert problems_of_sdist(TRACKED | {"PKG-INFO"}, TRACKED) == []
    assert problems_of_sdist(TRACKED, TRACKED) == ["the sdist lacks PKG-INFO"]
    assert problems_of_sdist((TRACKED | {"PKG-INFO", "stray"}) - {"tests/test_it.py"}, TRACKED) == [
        "the sdist lacks tests/test_it.py",
        "the sdist has stray, which is not of the repository",
    ]


@pytest.mark.parametrize(
    "path",
    ["aml_provider/__pycache__/x.py", "aml_provider/x.pyc", "tools/node_modules/x.js", ".env", "a/.pypirc", "id.pem"],
)
def test_what_belongs_into_no_package_is_named_even_if_it_was_committed(path):
    (problem,) = problems_of_sdist(TRACKED | {"PKG-INFO", path}, TRACKED | {path})
    assert problem == f"the sdist has {path}, which belongs into no package"
