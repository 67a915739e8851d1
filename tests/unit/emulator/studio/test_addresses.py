"""Which addresses are those of pages and of their buttons."""

from __future__ import annotations

import re

import pytest

from aml_provider.emulator.control_access import ControlAccess
from aml_provider.emulator.emulation import Emulation
from aml_provider.emulator.studio.actions import ActionRoutes
from aml_provider.emulator.studio.addresses import is_action, is_page
from aml_provider.emulator.studio.documents import Documents
from aml_provider.emulator.studio.pages import StudioRoutes


def paths(routes):
    return [re.sub(r"{\w+(:path)?}", "x", route.path) for route in routes]


@pytest.fixture(scope="module")
def parts():
    return Emulation("none"), Documents(), ControlAccess(None)


def test_every_page_is_recognised(parts):
    found = paths(StudioRoutes(*parts).routes())
    assert len(found) > 10
    assert [path for path in found if not is_page(path) or is_action(path)] == []


def test_every_button_is_recognised(parts):
    found = paths(ActionRoutes(*parts).routes())
    assert len(found) > 10
    assert [path for path in found if not is_action(path) or is_page(path)] == []


@pytest.mark.parametrize(
    "path",
    ["/discovery", "/pipelines/v1.0/subscriptions/s", "/runs/x/y", "/_emulator/runs", "/runs/x/cancel/y", "/x/y/run"],
)
def test_other_paths_are_neither(path):
    assert not is_page(path)
    assert not is_action(path)
