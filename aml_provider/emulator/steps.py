"""Step functions: Python functions that do real work when their step starts."""

from __future__ import annotations

import importlib
import itertools
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from math import inf
from typing import TYPE_CHECKING, Any, cast

from aml_provider.emulator.engine.blobs import Blobs, folder_prefix
from aml_provider.emulator.engine.timer import Timer
from aml_provider.emulator.workspace.metrics import add_scalar
from aml_provider.emulator.workspace.timeline import due_function

if TYPE_CHECKING:
    from aml_provider.emulator.workspace.models import DataPath, Datastore, Run, StepRun
    from aml_provider.emulator.workspace.workspace import Workspace


@dataclass(frozen=True, slots=True)
class ResolvedPath:
    """A data path of a run, with access to its blobs."""

    store: Datastore
    path: str
    blobs: Blobs

    @property
    def datastore(self) -> str:
        """The datastore's name."""
        return self.store.name

    @property
    def container_url(self) -> str:
        """The address of the datastore's container."""
        return self.blobs.container_url(self.store)

    def child(self, name: str) -> ResolvedPath:
        """The path of an entry of this folder."""
        return replace(self, path=f"{folder_prefix(self.path)}{name}")

    def read_bytes(self) -> bytes:
        """The content of the blob at this path.

        Raises:
            FileNotFoundError: There is no such blob.
        """
        return self.blobs.read(self.store, self.path)

    def list_names(self) -> list[str]:
        """The names of the blobs directly in this folder, without sub-folders."""
        prefix = folder_prefix(self.path)
        with self.blobs.container(self.store) as container:
            # With a delimiter, sub-folders are entries whose names end in it.
            names = [item.name for item in container.walk_blobs(name_starts_with=prefix or None, delimiter="/")]
        return [name.removeprefix(prefix) for name in names if not name.endswith("/")]


@dataclass(slots=True)
class StepContext:
    """The argument of a step function.

    Attributes:
        run_id: The pipeline run.
        step: The step's name.
        parameters: The run's parameters, with the pipeline's defaults; in a job without a component,
            the step's own parameters.
        data_paths: The same for the data paths.
        blob_endpoint: The address of the blob service; None if there is none.
        outputs: Values that all steps of a run can read and add to; they must be JSON.
    """

    run_id: str
    step: str
    parameters: dict[str, str]
    data_paths: dict[str, ResolvedPath]
    blob_endpoint: str | None
    outputs: dict[str, Any]
    _workspace: Workspace = field(repr=False)
    _step_run: StepRun = field(repr=False)

    def log(self, text: str) -> None:
        """Add a line to the step's log."""
        self._step_run.log.append(text)

    def log_metric(self, name: str, value: float | str) -> None:
        """Add a value to one of the step's metrics."""
        with self._workspace.lock:
            add_scalar(self._step_run.metrics, name, value, self._workspace.clock.now())

    def write_blob(self, datastore: str, path: str, data: bytes) -> None:
        """Write a blob; an existing one is overwritten."""
        store = self._workspace.datastores[datastore]
        with Blobs(self.blob_endpoint).container(store) as container:
            container.upload_blob(path, data, overwrite=True)
        self._step_run.blobs.append((datastore, path, len(data)))


StepFunction = Callable[[StepContext], object]


def load_function(name: str) -> StepFunction:
    """The function that ``module:function`` names."""
    module, _, attribute = name.partition(":")
    return cast("StepFunction", getattr(importlib.import_module(module), attribute))


class StepRunner:
    """Starts step functions when they are due on the clock."""

    def __init__(self, workspace: Workspace, blobs: Blobs) -> None:
        self._workspace = workspace
        self._blobs = blobs
        self._started: set[str] = set()
        self._running: set[Future[None]] = set()
        self._runs: Mapping[str, Run] = {}
        self._newest: Run | None = None
        self._open: list[Run] = []
        self._stopping = False
        self._pool = ThreadPoolExecutor(max_workers=8, thread_name_prefix="emulator-step")
        self._timer = Timer(workspace.clock, self._work, "emulator-steps")

    def start(self) -> None:
        """Begin to follow the clock."""
        self._workspace.listeners.append(self.wake)
        self._timer.start()

    def stop(self) -> None:
        """Start no more functions, and wait for those that run."""
        self._stopping = True
        self._timer.stop()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def wake(self) -> None:
        """Check again what is due, because something changed."""
        self._timer.wake()

    def next_due(self) -> float:
        """When the next function is due; infinity if none is."""
        return min((instant for instant, _, _ in self._waiting()), default=inf)

    def catch_up(self) -> None:
        """Start the functions that are due, and wait until every running function has returned."""
        self._start_due()
        with self._workspace.lock:
            running = set(self._running)
        wait(running)
        with self._workspace.lock:
            self._running -= running

    def _work(self) -> float:
        self._start_due()
        return self.next_due()

    def _waiting(self) -> list[tuple[float, Run, StepRun]]:
        with self._workspace.lock:
            found = [(due_function(run), run) for run in self._open_runs()]
            # A long move of the clock can start thousands of runs: drop those without further functions.
            self._open = [run for due, run in found if due is not None]
            return [
                (due[0], run, due[1])
                for due, run in found
                if due is not None and due[1].id not in self._started and due[0] < inf
            ]

    def _open_runs(self) -> list[Run]:
        """The runs that may have functions to start, including the runs added since the last call."""
        runs = self._workspace.runs
        if runs is not self._runs:
            # The workspace was reset.
            self._runs, self._newest, self._open = runs, None, []
        new = list(itertools.takewhile(lambda run: run is not self._newest, reversed(runs.values())))
        if new:
            self._newest = new[0]
        return self._open + new[::-1]

    def _start_due(self) -> None:
        now = self._workspace.clock.now()
        with self._workspace.lock:
            self._running = {future for future in self._running if not future.done()}
            for due, run, step_run in self._waiting():
                if due <= now and not self._stopping:
                    self._started.add(step_run.id)
                    self._running.add(self._pool.submit(self._call, run, step_run))

    def _call(self, run: Run, step_run: StepRun) -> None:
        workspace = self._workspace
        outputs = dict(run.outputs)
        error: str | None = None
        try:
            load_function(step_run.step.function or "")(self._context(run, step_run, outputs))
        except Exception as raised:  # noqa: BLE001 (whatever a step raises is the step's failure)
            error = f"{type(raised).__name__}: {raised}"
            step_run.log.append(traceback.format_exc().rstrip())
        with workspace.changing():
            step_run.error = error
            run.outputs.update(outputs)
            step_run.returned = workspace.clock.now()

    def _context(self, run: Run, step_run: StepRun, outputs: dict[str, Any]) -> StepContext:
        workspace = self._workspace
        parameters, data_paths = step_run.parameters, step_run.data_paths
        if parameters is None:
            parameters = workspace.effective_parameters(run)
        if data_paths is None:
            data_paths = workspace.effective_data_paths(run)

        def resolve(path: DataPath) -> ResolvedPath:
            return ResolvedPath(workspace.datastore(path.datastore), path.path, self._blobs)

        return StepContext(
            run_id=run.id,
            step=step_run.step.name,
            parameters=parameters,
            data_paths={name: resolve(path) for name, path in data_paths.items()},
            blob_endpoint=self._blobs.endpoint,
            outputs=outputs,
            _workspace=workspace,
            _step_run=step_run,
        )
