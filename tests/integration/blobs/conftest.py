"""A folder of blobs whose faults the test decides, the sensor that polls it, and what that stores and logs."""

from __future__ import annotations

import pytest
from support.drivers.watching import Said, sensor, variables_in_memory
from support.services.folder import connected_container


@pytest.fixture
def said(caplog, capsys):
    return Said(caplog, capsys)


@pytest.fixture
def variables(monkeypatch):
    return variables_in_memory(monkeypatch)


@pytest.fixture
def no_retries(monkeypatch):
    """A fault that stays is met at once and not after two minutes."""
    monkeypatch.setenv("AIRFLOW__AZUREML__RETRY_BUDGET", "0")


@pytest.fixture
def container(monkeypatch):
    """A container that lists what the test writes."""
    with connected_container(monkeypatch) as running:
        yield running


@pytest.fixture
def states(monkeypatch):
    """The state of each run's sensor; tests/dags asks Airflow itself."""
    states = {}
    monkeypatch.setattr("aml_provider.worker.poke_folder.owner_state", lambda owner: states[owner.run_id])
    return states


@pytest.fixture
def watch(container):
    """A sensor of the container, each time as if new in its process."""

    def make(**arguments):
        return sensor(**{"container_url": container.url, **arguments})

    return make
