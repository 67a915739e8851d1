"""The conformance tests: one workspace per session, and a list of the examined operations.

The SDK reads its environment when it is imported, so the environment is prepared here, at import.
"""

from __future__ import annotations

import ipaddress
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from identity import WORKSPACE, authentication
from local_emulator import LocalEmulator, LocalService
from processes import Guard
from seeded import FAILS, LONG, SCORE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from azureml.core import Datastore, Workspace
    from azureml.pipeline.core import PipelineRun, PublishedPipeline

    Serve = Callable[..., tuple[LocalEmulator, Workspace]]

_HERE = Path(__file__).resolve().parent
_ROOT = _HERE.parents[1]
_FOREIGN = ("AZURE_", "ARM_", "AZUREML_", "MSI_", "IDENTITY_", "IMDS_", "SSL_CERT_")
_FOREIGN_NAMES = {"ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"}
# Steps of a second end almost immediately; steps of an hour still run.
_SPEED = "20"

_claims = pytest.StashKey[dict[str, list[str]]]()
_outcomes = pytest.StashKey[dict[str, str]]()
_home = pytest.StashKey[Path]()
_foreign_hosts: set[str] = set()


def _isolate() -> Path:
    for name in list(os.environ):
        if name.upper().startswith(_FOREIGN) or name.upper() in _FOREIGN_NAMES:
            del os.environ[name]
    # The SDK caches discovered addresses there, without expiry.
    home = Path(tempfile.mkdtemp(prefix="conformance-"))
    os.environ |= {
        "HOME": str(home),
        # Otherwise the SDK asks Azure for the list of clouds.
        "AZUREML_CURRENT_CLOUD": "AzureCloud",
        # Seconds between attempts at a failing service.
        "AZUREML_DEFAULT_BACKOFF": "0",
        "AZUREML_DEFAULT_500_BACKOFF": "0",
        "AZUREML_DEFAULT_503_BACKOFF": "0",
    }
    # Inside a git checkout the SDK adds the commit to a run's properties.
    os.chdir(home)
    return home


def _watch_network(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    if host not in (None, "", "localhost") and not _is_loopback(host):
        _foreign_hosts.add(host)
        raise ConnectionRefusedError(f"the tests must not reach another machine: {host}")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def pytest_configure(config: pytest.Config) -> None:
    """Prepare the environment before a test module imports the SDK."""
    config.stash[_home] = home = _isolate()
    config.add_cleanup(lambda: shutil.rmtree(home, ignore_errors=True))
    config.stash[_outcomes] = {}
    sys.addaudithook(_watch_network)
    # Stops the services on SIGTERM too; pytest itself does so only on an interrupt.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Store which operations each test examines, before tests are deselected."""
    claims: dict[str, list[str]] = {}
    for item in items:
        for name in _examined(item):
            claims.setdefault(name, []).append(item.nodeid)
    config.stash[_claims] = claims


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Fail a test that does not use the operations that it names."""
    from operations import public_operations

    operations = public_operations()
    missing = {id(operations[name]): name for name in _examined(item)}

    def note_call(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            missing.pop(id(frame.f_code), None)

    sys.setprofile(note_call)
    try:
        yield
    finally:
        sys.setprofile(None)
    assert not missing, f"never used: {', '.join(missing.values())}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Store the result of each operation: ok only if all its tests are."""
    report: Any = yield
    outcomes = item.config.stash[_outcomes]
    for name in _examined(item):
        if not report.passed:
            outcomes[name] = report.outcome
        elif report.when == "call":
            outcomes.setdefault(name, "ok")
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print each operation and a total."""
    from operations import excused_operations, public_operations

    outcomes = config.stash[_outcomes]
    terminalreporter.section("checked with Microsoft's SDK")
    for name in public_operations():
        if name in outcomes:
            terminalreporter.write_line(f"{name:<60} {outcomes[name]}")
    good = sum(outcome == "ok" for outcome in outcomes.values())
    excused = len(excused_operations())
    terminalreporter.write_line(
        f"{good} of {len(outcomes)} operations ok; docs/emulator-details.md says why {excused} are not examined"
    )


def _examined(item: pytest.Item) -> list[str]:
    return [name for mark in item.iter_markers("examines") for name in mark.args]


@pytest.fixture(scope="session")
def claims(request: pytest.FixtureRequest) -> dict[str, list[str]]:
    """The tests of each operation, including deselected ones."""
    return request.config.stash[_claims]


@pytest.fixture(autouse=True)
def _stays_here() -> Iterator[None]:
    """Fail a test that tried to reach another machine, even if the SDK ignored the error."""
    _foreign_hosts.clear()
    yield
    assert not _foreign_hosts


@pytest.fixture(scope="session")
def guard() -> Iterator[Guard]:
    """Start processes that do not outlive the session."""
    with Guard() as running:
        yield running


@pytest.fixture(scope="session")
def blob_store(guard: Guard, pytestconfig: pytest.Config) -> Iterator[tuple[str, str]]:
    """Serve blobs; Azurite's address, and the signed address of the workspace's container."""
    log = pytestconfig.stash[_home] / "blobs.log"
    command = [str(_HERE / "blob_store.py")]
    service = LocalService(guard, "the blob store", command, log, PYTHONPATH=str(_ROOT / "scripts"))
    endpoint, container = service.addresses
    yield endpoint, container
    service.stop()


@pytest.fixture(scope="session")
def serve(guard: Guard, blob_store: tuple[str, str], pytestconfig: pytest.Config) -> Iterator[Serve]:
    """Start workspaces with options; returns each with the SDK's object for it."""
    from azureml.core import Workspace

    started: list[LocalEmulator] = []

    def start(*options: str) -> tuple[LocalEmulator, Workspace]:
        seed = ["--seed", str(_HERE / "workspace.yaml"), "--blob-endpoint", blob_store[0], "--speed", _SPEED]
        emulator = LocalEmulator(guard, pytestconfig.stash[_home] / "emulator.log", *seed, *options)
        started.append(emulator)
        return emulator, Workspace.get(**WORKSPACE, auth=authentication(emulator.url))

    yield start
    for emulator in started:
        emulator.stop()


@pytest.fixture(scope="session")
def served(serve: Serve) -> tuple[LocalEmulator, Workspace]:
    """The workspace without options."""
    return serve()


@pytest.fixture
def emulator(served: tuple[LocalEmulator, Workspace]) -> LocalEmulator:
    """The local workspace, reset to its seed."""
    served[0].reset()
    return served[0]


@pytest.fixture
def workspace(served: tuple[LocalEmulator, Workspace], emulator: LocalEmulator) -> Workspace:
    """The SDK's object for the local workspace."""
    return served[1]


@pytest.fixture
def pipeline(workspace: Workspace) -> PublishedPipeline:
    """The pipeline ``score-files``."""
    from azureml.pipeline.core import PublishedPipeline

    return PublishedPipeline.get(workspace, id=SCORE)


@pytest.fixture
def datastore(workspace: Workspace) -> Datastore:
    """The default datastore."""
    from azureml.core import Datastore

    return Datastore.get(workspace, "workspaceblobstore")


@pytest.fixture
def finished(workspace: Workspace, emulator: LocalEmulator) -> PipelineRun:
    """A run of ``score-files`` that has finished."""
    return _a_minute_later(workspace, emulator, SCORE)


@pytest.fixture
def failed(workspace: Workspace, emulator: LocalEmulator) -> PipelineRun:
    """A run that has failed at its second step."""
    return _a_minute_later(workspace, emulator, FAILS)


@pytest.fixture
def running(workspace: Workspace, emulator: LocalEmulator) -> PipelineRun:
    """A run whose second step lasts for an hour."""
    return _a_minute_later(workspace, emulator, LONG)


def _a_minute_later(workspace: Workspace, emulator: LocalEmulator, pipeline_id: str) -> PipelineRun:
    from azureml.core import Run
    from helpers import submit

    run = submit(workspace, pipeline_id)
    emulator.advance(60)
    return Run.get(workspace, run.id)
