"""The navigation: each list of pages stands where it is shown, with patterns of file names."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def toctree(page: Path, *words: str) -> str:
    """A list of pages, which is also a part of the navigation; empty if there are none.

    Args:
        page: The file of the page with the list.
        words: Patterns of pages, relative to this one and without ``.md``. A page is listed where the first pattern
            matches it. A pattern may match nothing: a part of the documentation can be written later. The first word
            may be a title in the form ``title=How to``; a list without a title is in the navigation only.
    """
    title = ""
    if words and words[0].startswith("title="):
        title, words = words[0].removeprefix("title="), words[1:]
    listed = dict.fromkeys(
        file.relative_to(page.parent).with_suffix("").as_posix()
        for pattern in words
        for file in sorted(page.parent.glob(f"{pattern}.md"))
        if file != page
    )
    if not listed:
        return ""
    options = [":titlesonly:", f":caption: {title}" if title else ":hidden:"]
    return "\n".join(["```{toctree}", *options, "", *listed, "```"])
