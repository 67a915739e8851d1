"""The conformance tests with the SDK of v1: one workspace per session."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from identity import WORKSPACE, authentication
from local_emulator import LocalEmulator
from seeded import FAILS, LONG, SCORE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from azureml.core import Datastore, Workspace
    from azureml.pipeline.core import PipelineRun, PublishedPipeline
    from processes import Guard

    Serve = Callable[..., tuple[LocalEmulator, Workspace]]

_HERE = Path(__file__).resolve().parent
# Steps of a second end almost immediately; steps of an hour still run.
_SPEED = "20"

pytest_plugins = ["examination"]


@pytest.hookimpl(trylast=True)
def pytest_configure() -> None:
    """Prepare what is particular to this SDK."""
    os.environ |= {
        # Otherwise the SDK asks Azure for the list of clouds.
        "AZUREML_CURRENT_CLOUD": "AzureCloud",
        # Seconds between attempts at a failing service.
        "AZUREML_DEFAULT_BACKOFF": "0",
        "AZUREML_DEFAULT_500_BACKOFF": "0",
        "AZUREML_DEFAULT_503_BACKOFF": "0",
    }


@pytest.fixture(scope="session")
def serve(guard: Guard, blob_store: tuple[str, str]) -> Iterator[Serve]:
    """Start workspaces with options; returns each with the SDK's object for it."""
    from azureml.core import Workspace

    started: list[LocalEmulator] = []

    def start(*options: str) -> tuple[LocalEmulator, Workspace]:
        seed = ["--seed", str(_HERE / "workspace.yaml"), "--blob-endpoint", blob_store[0], "--speed", _SPEED]
        emulator = LocalEmulator(guard, Path.home() / "emulator.log", *seed, *options)
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
