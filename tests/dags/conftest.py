"""The DAG tests run whole DAGs inside this process, which needs Airflow's database."""

from __future__ import annotations

import json
import os
import warnings
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from support.airflow.masker import fresh_masker
from support.services.local_workspace import serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow.dag_processing.dagbag import DagBag
    from azure.storage.blob import ContainerClient
    from azurite import Azurite
    from support.airflow.marked import ApiServer, Left
    from support.services.local_workspace import Workspace

    from aml_provider.emulator.server import EmulatorServer


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what was executed of the documents."""
    reports = [report for name in ("passed", "failed") for report in terminalreporter.stats.get(name, ())]
    counts = [json.loads(text) for report in reports for name, text in report.user_properties if name == "documents"]
    total = sum(map(Counter, counts), Counter())
    if total:
        parts = ", ".join(f"{number} {kind}" for kind, number in sorted(total.items()))
        terminalreporter.write_line(f"documents: {len(counts)} pages; {parts}")


@pytest.fixture(autouse=True)
def _no_secrets_of_other_tests(airflow_db: None) -> Iterator[None]:
    """Let Airflow mask no secret of another test of this process; one may be a single letter."""
    with fresh_masker():
        yield


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
    from support.airflow.moved import DagBag

    return DagBag()


@pytest.fixture
def workspace(monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """A local workspace of its own, to which the default connection leads."""
    with serving(monkeypatch) as running:
        yield running


@pytest.fixture
def api_server(airflow_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServer]:
    """This process stands for an API server of Airflow 3.3 or later."""
    from airflow.listeners.listener import get_listener_manager
    from support.airflow.marked import ApiServer

    monkeypatch.setenv("AIRFLOW__AZUREML__LOOKUP_GRACE", "0.3")
    monkeypatch.setenv("AIRFLOW__AZUREML__RETRY_BUDGET", "0.1")
    server = ApiServer(monkeypatch)
    yield server
    server.calm()
    get_listener_manager.cache_clear()


@pytest.fixture
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The kind of pipeline that the run operator's DAGs name: published (v1), or a component (v2)."""
    chosen: str = getattr(request, "param", "v1")
    monkeypatch.setenv("KIND", chosen)
    return chosen


@pytest.fixture
def leave(
    api_server: ApiServer, monkeypatch: pytest.MonkeyPatch, workspace: Workspace, kind: str
) -> Callable[..., Left]:
    """Play a DAG whose only try ends while its run goes on."""
    from support.airflow.marked import Left
    from support.airflow.played_dag import PlayedDag
    from support.airflow.run_operator_dags import load_dags

    dags = load_dags(monkeypatch)

    def play(dag_id: str = "what_is_left", ends: str = "failed") -> Left:
        # The check of the run fails, and with it the only try.
        path = {"v1": "*/PipelineRuns/????????-*", "v2": "*/jobs/airflow-*"}[kind]
        workspace.faults.add("status", status=503, method="GET", path=path, times=50)
        left = Left(PlayedDag(dags[dag_id]).play(), workspace)
        workspace.faults.clear()
        assert (str(left.ti.state), left.status) == (ends, "Running")
        return left

    return play


@pytest.fixture
def landing(emulator: EmulatorServer, azurite: Azurite, azureml_default: str) -> Iterator[ContainerClient]:
    """A container, which the workspace knows as datastore ``landing``."""
    from aml_provider.emulator.workspace.models import Datastore

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
