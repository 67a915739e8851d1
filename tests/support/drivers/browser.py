"""A Chromium, and the errors in its pages."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

# As ``make test`` installs it, and the usual names of others.
_INSTALLED = Path(__file__).parents[3] / ".cache" / "chromium" / "chromium"
_NAMES = (str(_INSTALLED), "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Milliseconds: a machine may be busy.
_TIMEOUT = 60_000
expect.set_options(timeout=_TIMEOUT)


def find_chromium():
    """The path of a Chromium: that in ``CHROMIUM``, else the installed one, else one on the PATH; None if none is."""
    if given := os.environ.get("CHROMIUM"):
        return given
    return next(filter(None, map(shutil.which, _NAMES)), None)


@contextmanager
def chromium(executable, *arguments):
    """A headless Chromium with additional arguments."""
    # Chromium refuses to start its sandbox for root.
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(
            executable_path=executable, chromium_sandbox=os.geteuid() != 0, args=[*arguments]
        ) as browser,
    ):
        yield browser


@contextmanager
def new_page(browser, **options):
    """A page in its own context.

    ``page.troubles`` are the errors, warnings and dialogs of the page; ``page.documents`` the addresses that it
    requested.
    """
    with browser.new_context(**options) as context:
        page = context.new_page()
        page.set_default_timeout(_TIMEOUT)
        page.troubles, page.documents = [], []
        page.on("console", lambda message: page.troubles.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: page.troubles.append(str(error)))
        page.on("dialog", lambda dialog: (page.troubles.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: page.documents.append(request.url))
        yield page
