"""A workspace with something on each of its pages, and a browser."""

from __future__ import annotations

import httpx
import pytest
from support.drivers.browser import EXECUTABLE, chromium, new_page
from support.drivers.studio_page import Page
from support.samples.studio import SEED, populate

from aml_provider.emulator.server import EmulatorServer


@pytest.fixture(scope="module")
def browser():
    # A foreign name that resolves to this machine.
    with chromium(EXECUTABLE, "--host-resolver-rules=MAP evil.example 127.0.0.1") as running:
        yield running


@pytest.fixture
def seed():
    """What the workspace starts with."""
    return SEED


@pytest.fixture
def options():
    """The other arguments of the workspace."""
    return {}


@pytest.fixture
def emulator(seed, options):
    with EmulatorServer(seed, **options) as running:
        yield running


@pytest.fixture
def ids(emulator):
    return populate(emulator)


@pytest.fixture
def open_page(emulator):
    """Opens a page without a browser."""
    with httpx.Client(base_url=emulator.url, follow_redirects=True) as client:
        yield lambda path: Page(client.get(path))


@pytest.fixture
def page(browser, emulator):
    """A page with a clock that the test moves; any error in it fails the test."""
    with new_page(browser, base_url=emulator.url) as opened:
        opened.clock.install()
        yield opened
        assert opened.troubles == []
