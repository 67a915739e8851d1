"""Pages that show a whole example show the file as it is.

They repeat its text, and do not include the file, so that GitHub shows it too.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
_SHOWN = re.compile(r"^\[`(\w+\.py)`\]\((\S*example_dags/\1)\):\n\n```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SHOWN = [
    (page, path, code) for page in sorted(DOCS.rglob("*.md")) for _, path, code in _SHOWN.findall(page.read_text())
]


def test_there_are_such_pages():
    assert len(SHOWN) >= 3


@pytest.mark.parametrize(
    ("page", "path", "code"), SHOWN, ids=[f"{page.name} {Path(path).name}" for page, path, _ in SHOWN]
)
def test_the_example_is_shown_as_it_is(page, path, code):
    assert code == (page.parent / path).read_text(), f"copy {path} into {page.relative_to(DOCS.parent)} again"
