"""A driver of each kind, a server that records, and a workspace there."""

from __future__ import annotations

import pytest
from support.drivers.driving import DRIVERS, workspace
from support.services.recorder import Recorder


@pytest.fixture(params=list(DRIVERS))
def drive(request):
    return DRIVERS[request.param]


@pytest.fixture
def recorder():
    with Recorder() as running:
        yield running


@pytest.fixture
def settings(recorder):
    return workspace(endpoint=recorder.url)
