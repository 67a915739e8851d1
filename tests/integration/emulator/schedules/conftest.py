"""An emulator whose clock is held, with the quirks that a test names."""

from __future__ import annotations

import httpx
import pytest

from aml_provider.emulator.server import EmulatorServer


@pytest.fixture
def quirks():
    return []


@pytest.fixture
def emulator(quirks):
    with EmulatorServer(quirks=quirks) as running:
        running.clock.hold()
        yield running


@pytest.fixture
def api(emulator):
    with httpx.Client(base_url=emulator.url, headers={"Authorization": "Bearer t"}) as client:
        yield client
