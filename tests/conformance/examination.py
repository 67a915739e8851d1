"""The part of the conformance tests that does not depend on the SDK: a list of the examined operations, and isolation.

Each version of the SDK has a folder with a module ``operations``, which names the SDK's classes and the section of the
documentation about it. The SDKs read their environment when they are imported, so it is prepared before.

An operation is a public method or property. It is named after the class that defines it: a method that a pipeline run
inherits unchanged from ``Run`` is an operation of ``Run``.
"""

from __future__ import annotations

import functools
import inspect
import ipaddress
import os
import re
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from local_emulator import LocalService
from processes import Guard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import CodeType, FrameType

_HERE = Path(__file__).resolve().parent
_ROOT = _HERE.parents[1]
_DOCUMENTATION = _ROOT / "docs/reference/emulator-details.md"
_FOREIGN = ("AZURE_", "ARM_", "AZUREML_", "MSI_", "IDENTITY_", "IMDS_", "SSL_CERT_")
_FOREIGN_NAMES = {"ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"}

_claims = pytest.StashKey[dict[str, list[str]]]()
_outcomes = pytest.StashKey[dict[str, str]]()
_foreign_hosts: set[str] = set()


@functools.cache
def operations_of(classes: tuple[type, ...]) -> dict[str, CodeType]:
    """Every operation with its code, in the order of the classes; base classes first."""
    found: dict[str, CodeType] = {}
    for owner in classes:
        for name in sorted(dir(owner)):
            if name.startswith("_") or _inherited(owner, name, classes):
                continue
            function = _function(inspect.getattr_static(owner, name))
            if function is not None:
                found[f"{owner.__name__}.{name}"] = inspect.unwrap(function).__code__
    return found


def excused_in(heading: str) -> dict[str, str]:
    """The operations that are not examined, with the reason: the table in a section of the emulator's documentation."""
    _, _, rest = _DOCUMENTATION.read_text(encoding="utf-8").partition(f"\n## {heading}\n")
    excused: dict[str, str] = {}
    for line in rest.partition("\n## ")[0].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `") and len(cells) == 2:
            for name in re.findall(r"`([A-Z]\w+\.\w+)`", cells[0]):
                if name in excused:
                    raise ValueError(f"{_DOCUMENTATION.name} excuses {name} twice")
                excused[name] = cells[1]
    return excused


def _inherited(owner: type, name: str, classes: Sequence[type]) -> bool:
    mine = inspect.getattr_static(owner, name)
    others = [other for other in classes if other is not owner and issubclass(owner, other)]
    return any(inspect.getattr_static(other, name, None) is mine for other in others)


def _function(attribute: Any) -> Callable[..., Any] | None:
    """The function behind a class attribute; None for a constant."""
    if isinstance(attribute, (staticmethod, classmethod)):
        return attribute.__func__
    if isinstance(attribute, property):
        return attribute.fget
    return attribute if inspect.isfunction(attribute) else None


def _isolate() -> Path:
    """Clear the environment, and make a new folder the home and working directory."""
    for name in list(os.environ):
        if name.upper().startswith(_FOREIGN) or name.upper() in _FOREIGN_NAMES:
            del os.environ[name]
    # The SDKs cache what they discovered there, without expiry.
    folder = Path(tempfile.mkdtemp(prefix="conformance-"))
    os.environ["HOME"] = str(folder)
    # Inside a git checkout the SDKs add the commit to a run's properties.
    os.chdir(folder)
    return folder


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


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Prepare the environment before a test module imports the SDK."""
    folder = _isolate()
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
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
        if event == "call" and missing.pop(id(frame.f_code), None) and not missing:
            # It makes every call slower.
            sys.setprofile(None)

    sys.setprofile(note_call if missing else None)
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
    from operations import HEADING, excused_operations, public_operations

    outcomes = config.stash[_outcomes]
    terminalreporter.section(HEADING[0].lower() + HEADING[1:])
    for name in public_operations():
        if name in outcomes:
            terminalreporter.write_line(f"{name:<60} {outcomes[name]}")
    good = sum(outcome == "ok" for outcome in outcomes.values())
    excused = len(excused_operations())
    terminalreporter.write_line(
        f"{good} of {len(outcomes)} operations ok; docs/{_DOCUMENTATION.name} says why {excused} are not examined"
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
def blob_store(guard: Guard) -> Iterator[tuple[str, str]]:
    """Serve blobs; Azurite's address, and the signed address of the workspace's container."""
    log = Path.home() / "blobs.log"
    command = [str(_HERE / "blob_store.py")]
    service = LocalService(guard, "the blob store", command, log, PYTHONPATH=str(_ROOT / "scripts"))
    endpoint, container = service.addresses
    yield endpoint, container
    service.stop()
