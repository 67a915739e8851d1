"""A file from outside of docs/ as a part of a page, or as the whole page."""

from __future__ import annotations

import os
import re
from pathlib import Path

# As in pyproject.toml, where the README's links become absolute.
_LINK = re.compile(r"(\]\()(?![a-z]+:|#|/)([^)#\s]+)")
_COMMENT = re.compile(r"^<!-- site: include (\S+) -->$", re.MULTILINE)


def markdown(page: Path, path: str) -> str:
    """The text of a file, whose relative links lead from the page to where they led from the file.

    Args:
        page: The file of the page.
        path: The file to include, relative to the page.

    Raises:
        OSError: It cannot be read.
    """
    file = (page.parent / path).resolve()

    def led(link: re.Match[str]) -> str:
        return link[1] + Path(os.path.relpath(file.parent / link[2], page.parent)).as_posix()

    return _LINK.sub(led, file.read_text(encoding="utf-8"))


def files(docs: Path) -> dict[Path, str]:
    """The files that pages include, and the name of the page that includes each."""
    return {
        (page.parent / path).resolve(): page.relative_to(docs).with_suffix("").as_posix()
        for page in sorted(docs.rglob("*.md"))
        for path in _COMMENT.findall(page.read_text(encoding="utf-8"))
    }
