"""Generated texts in the pages: the line ``<!-- site: NAME ARGUMENTS -->`` becomes the text that has this name.

GitHub does not show such a comment. If the line ``<!-- /site -->`` follows, what is between the two is for readers on
GitHub only.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from website import commands, configuration, examples, included, navigation, objects

if TYPE_CHECKING:
    from collections.abc import Callable

    from sphinx.application import Sphinx

_COMMENT = re.compile(
    r"^<!-- site: (?P<words>[^\n]+?) -->$(?:(?:(?!^<!-- site: ).)*?^<!-- /site -->$)?", re.DOTALL | re.MULTILINE
)

#: Makes a text from the page's file and the comment's arguments.
_MADE: dict[str, Callable[..., str]] = {
    "commands": lambda _page: commands.markdown(),
    "connection-fields": lambda _page: configuration.connection_fields(),
    "examples": lambda _page: examples.markdown(),
    "hook": lambda _page: objects.hook(),
    "include": included.markdown,
    "module": lambda _page, name: objects.module_text(name),
    "objects": lambda _page, module, *names: objects.markdown(module, *names),
    "options": lambda _page: configuration.options(),
    "pages": navigation.toctree,
}


def filled(text: str, page: Path) -> str:
    """The text of a page with the generated texts in the place of the comments.

    Args:
        text: The page as it is in the repository.
        page: Its file.

    Raises:
        KeyError: There is nothing of this name.
    """

    def made(found: re.Match[str]) -> str:
        name, *arguments = shlex.split(found["words"])
        return _MADE[name](page, *arguments)

    return _COMMENT.sub(made, text)


def register(app: Sphinx) -> None:
    """Let Sphinx fill the comments of each page that it reads."""
    app.connect("source-read", _on_source_read)


def _on_source_read(app: Sphinx, name: str, content: list[str]) -> None:
    content[0] = filled(content[0], Path(app.env.doc2path(name)))
