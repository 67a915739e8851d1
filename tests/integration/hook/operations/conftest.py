"""The hook's methods, by both of its faces, against a local workspace."""

from __future__ import annotations

import pytest
from support.drivers.hook_faces import SCORE, Face, connect

from aml_provider.emulator.server import EmulatorServer


@pytest.fixture(scope="module")
def running():
    with EmulatorServer(seed="demo") as running:
        yield running


@pytest.fixture
def emulator(running):
    """As new, and its time stands still."""
    running.reset()
    running.clock.hold()
    return running


@pytest.fixture(params=["sync", "async"])
def face(request):
    """The way in which the hook's methods are called."""
    return (lambda hook: hook) if request.param == "sync" else Face


@pytest.fixture
def hook(emulator, monkeypatch, face):
    return face(connect(monkeypatch, emulator.url))


@pytest.fixture
def told(caplog, capsys):
    """What was logged: Airflow 3 writes it to standard output, Airflow 2 through Python's own logging."""
    return lambda: capsys.readouterr().out + caplog.text


@pytest.fixture
def finished(emulator, hook):
    run = hook.submit_pipeline(SCORE, experiment_name="scoring", tags={"team": "ml"})
    emulator.clock.advance(3600)
    return hook.get_run(run.id)
