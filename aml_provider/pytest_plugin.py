"""The pytest plugin: fixtures that test DAGs against a local workspace (docs/how-to/testing-your-dags.md).

pytest imports it in every project of an environment with this package, so it imports nothing but pytest.
"""

from __future__ import annotations

import importlib
import json
import os
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aml_provider.emulator.seeds.reader import Seed
    from aml_provider.testing.azurite import Azurite
    from aml_provider.testing.blobs import Blobs
    from aml_provider.testing.workspace import LocalWorkspace

_SETTING = "azureml_azurite"
_LOOKUP_GRACE = "AIRFLOW__AZUREML__LOOKUP_GRACE"
# What the extra `emulator` installs.
_EXTRA = frozenset({"jinja2", "starlette", "uvicorn", "yaml"})


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the plugin's setting."""
    parser.addini(
        _SETTING,
        "The program azurite-blob, or its JavaScript file, for the fixture azureml_blobs; default: azurite-blob on the "
        "PATH",
        default="",
    )


@pytest.fixture
def azureml_seed() -> Seed:
    """The seed of ``azureml_workspace``: override it. ``demo`` (the default), ``none``, a file, or a mapping."""
    return "demo"


@pytest.fixture
def azureml_conn_id() -> str:
    """The id of the connection that ``azureml_connection`` defines: override it if your DAGs use another one."""
    return "azureml_default"


@pytest.fixture
def _azureml_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the test begin without what earlier tests have left, in Airflow's Variables and in this process."""
    targets = importlib.import_module("aml_provider.client.flows.targets")
    # What was read of a workspace: an earlier test's workspace may have had the same port.
    monkeypatch.setattr(targets, "_KNOWN", {})
    variables = importlib.import_module("aml_provider.state.variables")
    # Not in Airflow's database: the sensor of the next test has the same cursor there.
    kept: dict[str, str] = {}
    monkeypatch.setattr(variables, "read", kept.get)
    monkeypatch.setattr(variables, "write", lambda key, value, description: kept.update({key: value}))  # noqa: ARG005
    monkeypatch.setattr(variables, "delete", lambda key: kept.pop(key, None))


@pytest.fixture
def azureml_workspace(
    azureml_seed: Seed,
    request: pytest.FixtureRequest,
    _azureml_memory: None,
) -> Iterator[LocalWorkspace]:
    """A local workspace of the test's own, started from ``azureml_seed``.

    With ``azureml_blobs`` in the same test, its datastore ``workspaceblobstore`` is the container of the test.
    """
    local = _load("azureml_workspace", "aml_provider.testing.workspace")
    blobs = request.getfixturevalue("azureml_blobs") if "azureml_blobs" in request.fixturenames else None
    with local.LocalWorkspace(azureml_seed, blobs=blobs) as workspace:
        yield workspace


@pytest.fixture
def azureml_connection(azureml_workspace: LocalWorkspace, azureml_conn_id: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The id of an Airflow connection that leads to ``azureml_workspace`` for the duration of the test."""
    # A local workspace shows a run immediately, so a longer look-up finds nothing more, and takes real time.
    if _LOOKUP_GRACE not in os.environ:
        monkeypatch.setenv(_LOOKUP_GRACE, "1")
    monkeypatch.setenv(f"AIRFLOW_CONN_{azureml_conn_id.upper()}", json.dumps(azureml_workspace.connection()))
    return azureml_conn_id


@pytest.fixture(scope="session")
def _azureml_azurite(request: pytest.FixtureRequest) -> Iterator[Azurite]:
    """One Azurite for all tests of a process; each test has a container of its own."""
    azurite = importlib.import_module("aml_provider.testing.azurite")
    setting = str(request.config.getini(_SETTING))
    try:
        command = azurite.find_program(setting)
    except azurite.AzuriteError as error:
        if setting:
            pytest.fail(f"The setting {_SETTING}: {error}", pytrace=False)
        pytest.skip(f"azureml_blobs needs Azurite: {error}, or name its program in the pytest setting {_SETTING}")
    with azurite.Azurite(command) as running:
        yield running


@pytest.fixture
def azureml_blobs(_azureml_azurite: Azurite, _azureml_memory: None) -> Iterator[Blobs]:
    """A container of the test's own in Azurite; without Azurite the test is skipped."""
    blobs = importlib.import_module("aml_provider.testing.blobs")
    with blobs.Blobs(_azureml_azurite) as container:
        yield container


def _load(fixture: str, module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
    pytest.fail(
        f"{fixture} needs the extra `emulator` of this package, which brings {', '.join(sorted(_EXTRA))}: "
        'install "airflow-provider-azureml[emulator]"',
        pytrace=False,
    )
