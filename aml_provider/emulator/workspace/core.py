"""The state that all parts of a workspace share: clock, quirks, lock, and the items that the parts' rules need."""

from __future__ import annotations

import contextlib
import math
import threading
from typing import TYPE_CHECKING, Protocol, TypeVar

from aml_provider.emulator.workspace.errors import not_found
from aml_provider.emulator.workspace.timeline import view

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from aml_provider.emulator.clock import Clock
    from aml_provider.emulator.quirks import Quirks
    from aml_provider.emulator.workspace.models import Datastore, Endpoint, Pipeline, Run
    from aml_provider.emulator.workspace.timeline import RunView

T = TypeVar("T")


class Provisioned(Protocol):
    """A resource of Azure Resource Manager whose creation and changes take time.

    Attributes:
        modified: When it was last written.
        provisioned: When its provisioning ends.
        provisioning_error: Why its provisioning fails.
    """

    created: float
    modified: float
    provisioned: float
    provisioning_error: str | None


class Core:
    """The items of a workspace by id or name, without the rules for changing them.

    Attributes:
        lock: Held while anything changes, because step functions return on other threads.
        listeners: Called after every change.
    """

    def __init__(self, clock: Clock, quirks: Quirks) -> None:
        self.clock = clock
        self.quirks = quirks
        self.lock = threading.RLock()
        self.listeners: list[Callable[[], None]] = []
        self.pipelines: dict[str, Pipeline] = {}
        self.endpoints: dict[str, Endpoint] = {}
        self.datastores: dict[str, Datastore] = {}
        self.clear_runs()

    def clear_runs(self) -> None:
        """Remove all runs."""
        # A new mapping, as other threads may still be reading the old one.
        self.runs: dict[str, Run] = {}
        self._step_runs: dict[str, tuple[Run, int]] = {}
        self._last_number = 0

    def changed(self) -> None:
        """Notify all listeners of a change."""
        for listener in self.listeners:
            listener()

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """Hold the lock during a change, and notify the listeners if it succeeds."""
        with self.lock:
            yield
            self.changed()

    def instant(self) -> float:
        """The present instant in whole milliseconds, which survive the conversion to a datetime and back."""
        # Rounded down: an instant after now would not be due yet.
        return math.floor(self.clock.now() * 1000) / 1000

    def provisioned(self, written: float) -> float:
        """The instant, in whole milliseconds, at which something that was written at ``written`` is set up."""
        return round((written + self.quirks.provisioning) * 1000) / 1000

    def provision(self, thing: Provisioned, now: float) -> None:
        """Begin the provisioning of a resource of Azure Resource Manager that is written now."""
        thing.modified = now
        thing.provisioned = self.provisioned(now)
        thing.provisioning_error = self.quirks.provisioning_fails or None

    def provisioning(self, thing: Provisioned) -> str:
        """The current provisioning state of such a resource."""
        if self.clock.now() < thing.provisioned:
            return "Creating" if thing.modified == thing.created else "Updating"
        return "Succeeded" if thing.provisioning_error is None else "Failed"

    def pipeline(self, pipeline_id: str) -> Pipeline:
        """A published pipeline by id."""
        return find(self.pipelines, pipeline_id, "Pipeline")

    def endpoint(self, endpoint_id: str) -> Endpoint:
        """A pipeline endpoint by id."""
        return find(self.endpoints, endpoint_id, "PipelineEndpoint")

    @property
    def next_number(self) -> int:
        """The number of the next run in run history; its steps have the numbers after it."""
        return self._last_number + 1

    def add_run(self, run: Run) -> None:
        """Store a run, so that it and its steps are found by id."""
        self.runs[run.id] = run
        self._last_number = max(self._last_number, run.number, *(step.number for step in run.steps))
        for index, step_run in enumerate(run.steps):
            self._step_runs[step_run.id] = (run, index)

    def remove_run(self, run: Run) -> None:
        """Remove a run with its steps."""
        # A new mapping, as for clear_runs; and the step runner would not notice that its newest run is gone.
        self.runs = {run_id: other for run_id, other in self.runs.items() if other is not run}
        for step_run in run.steps:
            del self._step_runs[step_run.id]

    def step_run(self, step_run_id: str) -> tuple[Run, int] | None:
        """The run to which the step with this id in history belongs, and the position of the step."""
        return self._step_runs.get(step_run_id)

    def view(self, run: Run) -> RunView:
        """The run as it is now."""
        return view(run, self.clock.now())

    def children(self, run: Run) -> Iterable[Run]:
        """Runs that were submitted with this one as their parent."""
        return (other for other in self.runs.values() if other.parent_run_id == run.id)


def find(things: Mapping[str, T], key: str, kind: str) -> T:
    """Find the item with a key.

    Raises:
        ServiceError: Nothing has the key; the message names the kind.
    """
    if key not in things:
        raise not_found(f"{kind} {key}")
    return things[key]
