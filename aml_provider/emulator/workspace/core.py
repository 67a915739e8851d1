"""The state that all parts of a workspace share: clock, quirks, lock, and the things that their rules refer to."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, TypeVar

from aml_provider.emulator.workspace.errors import not_found

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from aml_provider.emulator.clock import Clock
    from aml_provider.emulator.quirks import Quirks
    from aml_provider.emulator.workspace.models import Datastore, Endpoint, Pipeline, Run

T = TypeVar("T")


class Core:
    """The things of a workspace by id or name, without the rules for changing them.

    Attributes:
        lock: Held while anything changes; step functions return on other threads.
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
        self.runs: dict[str, Run] = {}

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

    def pipeline(self, pipeline_id: str) -> Pipeline:
        """A published pipeline by id."""
        return find(self.pipelines, pipeline_id, "Pipeline")

    def endpoint(self, endpoint_id: str) -> Endpoint:
        """A pipeline endpoint by id."""
        return find(self.endpoints, endpoint_id, "PipelineEndpoint")


def find(things: Mapping[str, T], key: str, kind: str) -> T:
    """The thing with a key.

    Raises:
        ServiceError: Nothing has the key; the message names the kind.
    """
    if key not in things:
        raise not_found(f"{kind} {key}")
    return things[key]
