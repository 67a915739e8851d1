"""The DAG tests run whole DAGs inside this process, which needs Airflow's database."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING

import pytest
from support.local_workspace import serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow.dag_processing.dagbag import DagBag
    from azure.storage.blob import ContainerClient
    from azurite import Azurite
    from support.local_workspace import Workspace

    from aml_provider.emulator.server import EmulatorServer


@pytest.fixture(scope="session", autouse=True)
def airflow_db() -> None:
    """Create Airflow's database, once."""
    from airflow import __version__
    from airflow.utils.db import initdb

    if __version__.startswith("2."):
        # What its tests' configuration names refuses SQLite.
        os.environ["AIRFLOW__CORE__EXECUTOR"] = "SequentialExecutor"

    # On Airflow 2.11 this imports Flask AppBuilder and its relatives, which use what their dependencies deprecated.
    with warnings.catch_warnings(action="ignore"):
        initdb()


@pytest.fixture(scope="session")
def dag_bag(airflow_db: None) -> DagBag:
    """Load the example DAGs; ``dag_bag.dags["name"].test()`` runs one."""
    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:  # Airflow 2
        from airflow.models.dagbag import DagBag

    return DagBag()


@pytest.fixture
def workspace(monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """A local workspace of its own, to which the default connection leads."""
    with serving(monkeypatch) as running:
        yield running


@pytest.fixture
def landing(emulator: EmulatorServer, azurite: Azurite, azureml_default: str) -> Iterator[ContainerClient]:
    """A container, which the workspace knows as datastore ``landing``."""
    from aml_provider.emulator.models import Datastore

    with azurite.container() as container:
        store = Datastore("landing", azurite.account_name, container.container_name, account_key=azurite.account_key)
        emulator.state.datastores["landing"] = store
        yield container


@pytest.fixture
def write(landing: ContainerClient) -> Callable[..., None]:
    """Write blobs of these names there."""

    def upload(*names: str) -> None:
        for name in names:
            landing.upload_blob(name, b"x", overwrite=True)

    return upload
