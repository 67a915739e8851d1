"""Takes pictures of pages, in light and in dark."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from playwright.sync_api import Locator
from processes import ServiceError
from support.drivers.browser import chromium, find_chromium, new_page

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

#: In bytes: pages with several pictures stay small.
LARGEST = 200_000
_WIDTH = 1280
# Pixels below the last part of a page that a picture shows.
_MARGIN = 60
_CHECKOUT = f"{Path(__file__).resolve().parents[1]}/"
# The paths in tracebacks are those of this machine; a reader's are others.
_SHORTEN_PATHS = """checkout => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) walker.currentNode.data = walker.currentNode.data.replaceAll(checkout, "");
}"""


class Camera:
    """A context manager with a browser.

    Args:
        folder: Gets the pictures, ``NAME-light.png`` and ``NAME-dark.png``.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._resources = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self._browser = self._resources.enter_context(chromium(find_chromium()))
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    def take(self, name: str, show: Callable[[Page], Any], *, height: int) -> None:
        """Take a picture in light and one in dark.

        Args:
            name: What it shows.
            show: Opens the page. It may return the part of the page with which the picture ends.
            height: Pixels of the page, from its top.

        Raises:
            ServiceError: A picture is too large.
        """
        for scheme in ("light", "dark"):
            size = {"width": _WIDTH, "height": height}
            with new_page(self._browser, viewport=size, color_scheme=scheme, reduced_motion="reduce") as page:
                last = show(page)
                picture = _picture(page, last if isinstance(last, Locator) else None)
            file = self._folder / f"{name}-{scheme}.png"
            if len(picture) > LARGEST:
                raise ServiceError(f"{file.name} would have {len(picture):,} bytes", file)
            file.write_bytes(picture)
            print(f"{file.name}: {len(picture):,} bytes", flush=True)


def _picture(page: Page, last: Locator | None) -> bytes:
    """A picture of a page that has come to rest: it is taken until two are the same."""
    box = last.bounding_box() if last is not None else None
    clip: Any = {"x": 0, "y": 0, "width": _WIDTH, "height": box["y"] + box["height"] + _MARGIN} if box else None
    pictures = [b""]
    while len(pictures) < 2 or pictures[-1] != pictures[-2]:
        page.evaluate(_SHORTEN_PATHS, _CHECKOUT)
        pictures.append(page.screenshot(animations="disabled", caret="hide", clip=clip))
    return pictures[-1]
