"""What every suite needs: an Airflow of its own, a clean environment, and the two local services.

Airflow reads its configuration when it is imported, so the environment is prepared here, at import.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import signal
import socket
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from azurite import Azurite

    from aml_provider.emulator.server import EmulatorServer

_ROOT = Path(__file__).resolve().parents[1]

# Another project, whose tests run in a process of their own.
collect_ignore = ["users_project"]

# What could lead a test to a real service, to a real identity, or to other trusted certificates than its own.
_FOREIGN = ("AIRFLOW_", "AZURE_", "ARM_", "AZUREML_", "IDENTITY_", "IMDS_", "MSI_", "SSL_CERT_")
_FOREIGN_NAMES = {"ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"}


# httpx gives up after five seconds unless it is given another time, and the servers of tests may need longer on a busy
# machine. All its functions and clients share this object as their default.
_PATIENCE = httpx.Timeout(60.0)
for _name, _seconds in _PATIENCE.as_dict().items():
    setattr(httpx._config.DEFAULT_TIMEOUT_CONFIG, _name, _seconds)


def _isolate() -> None:
    for name in list(os.environ):
        if name.upper().startswith(_FOREIGN) or name.upper() in _FOREIGN_NAMES:
            del os.environ[name]
    home = Path(tempfile.mkdtemp(prefix="airflow-"))
    # A forked task of Airflow's must not remove it.
    owner = os.getpid()
    atexit.register(lambda: shutil.rmtree(home, ignore_errors=True) if os.getpid() == owner else None)
    os.environ |= {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__UNIT_TEST_MODE": "True",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(_ROOT / "example_dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(home / "plugins"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
        # Airflow 2.11 warns when it is unset.
        "AIRFLOW__METRICS__TIMER_UNIT_CONSISTENCY": "True",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
    }


_isolate()

# Machines are noisy: no test is judged by how long it takes. Nor by luck: each run tries the same examples. Other ones
# are drawn by --hypothesis-profile=explore; what they find becomes an @example.
settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", settings.get_profile("explore"), derandomize=True)
settings.load_profile("same")

# Ends the fixtures' processes too when the run is terminated; pytest does so by itself on an interrupt only.
signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    """Tolerate what older versions of anyio leave open.

    Before 4.16, a connection stays open until it is collected if the task is cancelled in the moment of connecting. The
    environment with the newest versions shows that nothing of ours stays open.
    """
    if tuple(map(int, version("anyio").split(".")[:2])) < (4, 16):
        for owner in ("<function _SelectorTransport.__del__", "<socket.socket "):
            config.addinivalue_line(
                "filterwarnings", f"ignore:Exception ignored in. {owner}:pytest.PytestUnraisableExceptionWarning"
            )


def pytest_unconfigure(config: pytest.Config) -> None:
    """Say in the last line how many tests had no browser: a skip is easily overlooked."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", ()) if reporter else ()
    without = [report for report in skipped if "no browser: " in str(report.longrepr)]
    if without:
        reporter.write_line(
            f"{len(without)} tests of the local workspace's pages were skipped: there is no browser. Install Chromium, "
            "or set CHROMIUM to the path of one."
        )


@pytest.fixture(autouse=True)
def new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test begins as a new process does: it knows nothing of a workspace, whose port may be an earlier one's."""
    from aml_provider.client.flows import targets

    monkeypatch.setattr(targets, "_KNOWN", {})


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port at which nothing listens: it is reserved, as another process might otherwise get it meanwhile."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield reserved.getsockname()[1]


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    """Serve blobs for the whole session; each test makes containers of its own with ``azurite.container()``."""
    from azurite import Azurite

    with Azurite() as running:
        yield running


@pytest.fixture(scope="session")
def _azureml_azurite(azurite: Azurite) -> Azurite:
    """Let the fixtures of our pytest plugin share it."""
    return azurite


@pytest.fixture
def emulator(azurite: Azurite) -> Iterator[EmulatorServer]:
    """Serve a workspace with the demo's pipelines, new for each test, whose datastores are in Azurite."""
    from aml_provider.emulator.server import EmulatorServer

    with EmulatorServer(seed="demo", blob_endpoint=azurite.blob_endpoint) as running:
        yield running


@pytest.fixture
def azureml_default(emulator: EmulatorServer, azurite: Azurite, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make the default connection lead to the local workspace and return its id."""
    connection = {
        "conn_type": "azureml",
        "password": "local-token",
        "extra": {
            "subscription_id": "00000000-0000-0000-0000-000000000000",
            "resource_group": "local",
            "workspace_name": "local",
            "auth_method": "static_token",
            "endpoint": emulator.url,
            "blob_endpoint": azurite.blob_endpoint,
        },
    }
    monkeypatch.setenv("AIRFLOW_CONN_AZUREML_DEFAULT", json.dumps(connection))
    return "azureml_default"
