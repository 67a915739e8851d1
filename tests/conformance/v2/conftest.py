"""The conformance tests with the v2 SDK: one workspace per session, over https."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trustme
from local_emulator import LocalEmulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from azure.ai.ml import MLClient
    from processes import Guard

    Serve = Callable[..., tuple[LocalEmulator, MLClient]]

_HERE = Path(__file__).resolve().parent
# For the workspaces whose clock moves.
_SPEED = "20"

pytest_plugins = ["examination"]


@pytest.hookimpl(trylast=True)
def pytest_configure() -> None:
    """Prepare what is particular to this SDK: it trusts our certificate, and streams without pauses."""
    folder = Path.home()
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(folder / "certificate.pem")
    authority.cert_pem.write_to_path(folder / "trusted.pem")
    os.environ |= {
        "REQUESTS_CA_BUNDLE": str(folder / "trusted.pem"),
        "AZUREML_RUN_POLLING_INTERVAL_MIN": "0",
        "AZUREML_RUN_POLLING_INTERVAL_MAX": "1",
    }


@pytest.fixture(scope="session")
def serve(guard: Guard, blob_store: tuple[str, str]) -> Iterator[Serve]:
    """Start workspaces with options; returns each with the SDK's client for it."""
    from identity import client_of

    started: list[LocalEmulator] = []
    folder = Path.home()

    def start(*options: str) -> tuple[LocalEmulator, MLClient]:
        seed = ["--seed", str(_HERE / "workspace.yaml"), "--blob-endpoint", blob_store[0], "--speed", _SPEED]
        served = ["--certificate", str(folder / "certificate.pem"), *seed, *options]
        emulator = LocalEmulator(guard, folder / "emulator.log", *served, trusted=folder / "trusted.pem")
        started.append(emulator)
        return emulator, client_of(emulator.url)

    yield start
    for emulator in started:
        emulator.stop()


@pytest.fixture(scope="session")
def served(serve: Serve) -> tuple[LocalEmulator, MLClient]:
    """The workspace without options."""
    return serve()


@pytest.fixture
def emulator(served: tuple[LocalEmulator, MLClient]) -> LocalEmulator:
    """The local workspace, reset to its seed; its clock stands still."""
    served[0].reset()
    served[0].hold()
    return served[0]


@pytest.fixture
def ml(served: tuple[LocalEmulator, MLClient], emulator: LocalEmulator) -> MLClient:
    """The SDK's client for the local workspace."""
    return served[1]
