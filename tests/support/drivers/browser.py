"""A Chromium, the errors in its pages, and the usual ways through them."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest
from playwright.sync_api import expect, sync_playwright

# As ``make test`` installs it, and the usual names of others.
_INSTALLED = Path(__file__).parents[3] / ".cache" / "chromium" / "chromium"
_NAMES = (str(_INSTALLED), "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Milliseconds: a machine may be busy.
_TIMEOUT = 60_000
expect.set_options(timeout=_TIMEOUT)


def find_chromium() -> str | None:
    """The path of a Chromium: that in ``CHROMIUM``, else the installed one, else one on the PATH; None if none is."""
    if given := os.environ.get("CHROMIUM"):
        return given
    return next(filter(None, map(shutil.which, _NAMES)), None)


EXECUTABLE = find_chromium()
NEEDS_BROWSER = pytest.mark.skipif(
    EXECUTABLE is None, reason="no browser: install Chromium, or set CHROMIUM to the path of one"
)


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


def refresh(page):
    """Let a second pass in the browser, so that the page refreshes."""
    with page.expect_event("requestfinished", lambda request: request.resource_type == "fetch"):
        page.clock.run_for(1000)


def wait_until(page, condition):
    """Let the browser continue until a condition outside of it holds."""
    for _ in range(1000):
        if condition():
            return
        page.wait_for_timeout(10)
    pytest.fail("it has not happened")


def every_page(page, visit):
    """Visit all pages that are reachable by links."""
    found, waiting = set(), ["/"]
    while waiting:
        address = urlsplit(waiting.pop())._replace(fragment="").geturl()
        if address in found or address.endswith("/log"):
            continue
        found.add(address)
        page.goto(address)
        visit(address)
        links = page.eval_on_selector_all("a", "links => links.map((link) => link.getAttribute('href'))")
        waiting += [urljoin(address, link) for link in links]
    return found
