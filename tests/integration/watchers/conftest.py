"""A local workspace whose runs end when a test says so, the watchers of its runs, and what they store and log."""

from __future__ import annotations

import json

import pytest
from support.drivers.watching import Said
from support.services.held_workspace import HeldWorkspace


@pytest.fixture
def said(caplog, capsys):
    return Said(caplog, capsys)


@pytest.fixture
def no_retries(monkeypatch):
    """A fault that stays is met immediately and not after two minutes."""
    monkeypatch.setenv("AIRFLOW__AZUREML__RETRY_BUDGET", "0")


@pytest.fixture
def quirks(request):
    return getattr(request, "param", ())


@pytest.fixture
def workspace(monkeypatch, quirks):
    """Pipelines ``p0`` and ``p1``, and the components ``train`` and ``score``."""
    with HeldWorkspace(2, ("train", "score"), quirks=quirks) as running:
        monkeypatch.setenv("AIRFLOW_CONN_AZUREML_DEFAULT", json.dumps(running.connection()))
        yield running
