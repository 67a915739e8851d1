"""Steps that do real work: Python functions which run when their step starts."""

from __future__ import annotations

import contextlib
import importlib
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

from aml_provider.emulator.timeline import due_function

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient

    from aml_provider.emulator.models import DataPath, Datastore, Run, StepRun
    from aml_provider.emulator.state import Workspace

# Azurite knows it, old and new ones alike.
_BLOB_API_VERSION = "2021-12-02"


class NoBlobEndpointError(RuntimeError):
    """The emulator was started without ``--blob-endpoint``, so steps cannot reach blobs."""


@dataclass(frozen=True, slots=True)
class Blobs:
    """The blob service behind the workspace's datastores."""

    endpoint: str | None

    def container_url(self, store: Datastore) -> str:
        """Where a datastore's container is."""
        if self.endpoint:
            return f"{self.endpoint.rstrip('/')}/{store.container}"
        return f"{store.protocol}://{store.account_name}.blob.{store.endpoint}/{store.container}"

    @contextlib.contextmanager
    def container(self, store: Datastore) -> Iterator[ContainerClient]:
        """A client for a datastore's container.

        Raises:
            NoBlobEndpointError: There is no blob endpoint; the emulator itself never talks to Azure.
        """
        if not self.endpoint:
            raise NoBlobEndpointError("the emulator was started without --blob-endpoint")
        from azure.storage.blob import ContainerClient  # noqa: PLC0415 (slow to import, seldom needed)

        # The key goes with the account's name, which cannot be told from an address like Azurite's.
        key = {"account_name": store.account_name, "account_key": store.account_key} if store.account_key else None
        with ContainerClient(
            self.endpoint,
            store.container,
            credential=key or store.sas_token,
            api_version=_BLOB_API_VERSION,
            retry_total=2,
        ) as client:
            yield client


@dataclass(frozen=True, slots=True)
class ResolvedPath:
    """A data path of the run, with what it takes to read it."""

    store: Datastore
    path: str
    blobs: Blobs

    @property
    def datastore(self) -> str:
        """The datastore's name."""
        return self.store.name

    @property
    def container_url(self) -> str:
        """Where the datastore's container is."""
        return self.blobs.container_url(self.store)

    def child(self, name: str) -> ResolvedPath:
        """The path of something directly in this folder."""
        return replace(self, path=f"{self._prefix}{name}")

    def read_bytes(self) -> bytes:
        """The content of the blob at this path."""
        with self.blobs.container(self.store) as container:
            return container.download_blob(self.path).readall()

    def list_names(self) -> list[str]:
        """The names of the blobs directly in this folder, not of its sub-folders."""
        prefix = self._prefix
        with self.blobs.container(self.store) as container:
            # With a delimiter the sub-folders come as entries of their own, whose names end in it.
            names = [item.name for item in container.walk_blobs(name_starts_with=prefix or None, delimiter="/")]
        return [name.removeprefix(prefix) for name in names if not name.endswith("/")]

    @property
    def _prefix(self) -> str:
        folder = self.path.strip("/")
        return f"{folder}/" if folder else ""


@dataclass(slots=True)
class StepContext:
    """What a bound step function gets.

    Attributes:
        run_id: The pipeline run.
        step: The step's name.
        parameters: The run's parameters, the pipeline's defaults included.
        data_paths: The run's data paths, the pipeline's defaults included.
        blob_endpoint: Where blobs can be reached, if anywhere.
        outputs: What earlier steps of the run put here, to read and to add to; values must fit into JSON.
    """

    run_id: str
    step: str
    parameters: dict[str, str]
    data_paths: dict[str, ResolvedPath]
    blob_endpoint: str | None
    outputs: dict[str, Any]
    _datastores: dict[str, Datastore] = field(repr=False)
    _log: list[str] = field(repr=False)
    _written: list[tuple[str, str, int]] = field(repr=False)

    def log(self, text: str) -> None:
        """Add a line to the step's log."""
        self._log.append(text)

    def write_blob(self, datastore: str, path: str, data: bytes) -> None:
        """Write a blob, in place of the one that may be there."""
        store = self._datastores[datastore]
        with Blobs(self.blob_endpoint).container(store) as container:
            container.upload_blob(path, data, overwrite=True)
        self._written.append((datastore, path, len(data)))


StepFunction = Callable[[StepContext], object]


def load_function(name: str) -> StepFunction:
    """The function behind ``module:function``."""
    module, _, attribute = name.partition(":")
    return cast("StepFunction", getattr(importlib.import_module(module), attribute))


class StepRunner:
    """Starts bound functions when the clock says so. It is the agenda of the workspace's clock."""

    def __init__(self, workspace: Workspace, blob_endpoint: str | None) -> None:
        self._workspace = workspace
        self._blob_endpoint = blob_endpoint
        self._started: dict[str, Future[None]] = {}
        self._done: set[str] = set()
        self._wake = threading.Event()
        self._stopping = False
        self._pool = ThreadPoolExecutor(max_workers=8, thread_name_prefix="emulator-step")
        self._thread = threading.Thread(target=self._loop, name="emulator-steps", daemon=True)

    def start(self) -> None:
        """Begin to watch the clock."""
        self._workspace.clock.agenda = self
        self._workspace.listeners.append(self.wake)
        self._thread.start()

    def stop(self) -> None:
        """Start nothing more and wait for what runs."""
        self._stopping = True
        self._wake.set()
        self._thread.join()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def wake(self) -> None:
        """Look again, because something changed."""
        self._wake.set()

    def next_due(self, until: float) -> float | None:
        """When the next function has to be started, if that is not after ``until``."""
        due = min((instant for instant, _, _ in self._waiting()), default=None)
        return due if due is not None and due <= until else None

    def catch_up(self) -> None:
        """Start what is due and wait until every running function has returned."""
        self._start_due()
        wait(list(self._started.values()))

    def _loop(self) -> None:
        clock = self._workspace.clock
        while not self._stopping:
            self._wake.clear()
            self._start_due()
            due = self.next_due(float("inf"))
            # A held clock, or nothing to do: only a change ends the wait.
            self._wake.wait(None if due is None or clock.held else max(0.0, (due - clock.now()) / clock.speed))

    def _waiting(self) -> list[tuple[float, Run, StepRun]]:
        with self._workspace.lock:
            waiting = []
            for run in self._workspace.runs.values():
                if run.id in self._done:
                    continue
                found = due_function(run)
                if found is None:
                    self._done.add(run.id)
                elif found[1].id not in self._started and found[0] < float("inf"):
                    waiting.append((found[0], run, found[1]))
            return waiting

    def _start_due(self) -> None:
        now = self._workspace.clock.now()
        with self._workspace.lock:
            for due, run, step_run in self._waiting():
                if due <= now and not self._stopping:
                    self._started[step_run.id] = self._pool.submit(self._call, run, step_run)

    def _call(self, run: Run, step_run: StepRun) -> None:
        workspace = self._workspace
        context = self._context(run, step_run)
        error: str | None = None
        try:
            load_function(step_run.step.function or "")(context)
        except Exception as raised:  # noqa: BLE001 (whatever a step raises is the step's failure)
            error = f"{type(raised).__name__}: {raised}"
            context.log(traceback.format_exc().rstrip())
        with workspace.lock:
            step_run.error = error
            run.outputs.update(context.outputs)
            step_run.returned = workspace.clock.now()
            workspace.changed()

    def _context(self, run: Run, step_run: StepRun) -> StepContext:
        workspace = self._workspace
        blobs = Blobs(self._blob_endpoint)

        def resolve(path: DataPath) -> ResolvedPath:
            return ResolvedPath(workspace.datastores[path.datastore], path.path, blobs)

        return StepContext(
            run_id=run.id,
            step=step_run.step.name,
            parameters=workspace.effective_parameters(run),
            data_paths={name: resolve(path) for name, path in workspace.effective_data_paths(run).items()},
            blob_endpoint=self._blob_endpoint,
            outputs=dict(run.outputs),
            _datastores=dict(workspace.datastores),
            _log=step_run.log,
            _written=step_run.blobs,
        )
