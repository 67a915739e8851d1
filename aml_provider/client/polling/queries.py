"""Queries to the run history about many runs at once.

A row keeps only what a wait needs, from the moment when it is read: thousands of dictionaries at a time would make
Python's garbage collector scan the whole process again and again, and stall the event loop.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar

from aml_provider.client import calls
from aml_provider.client.calls.call import each
from aml_provider.client.entities.wire import read_id
from aml_provider.client.flows.runs import list_steps

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from aml_provider.client.calls import Call
    from aml_provider.client.http.messages import Flow
    from aml_provider.client.polling.waits import Steps


class StatusRow(NamedTuple):
    """A run in the run history; ``status`` is the history's word."""

    run_id: str
    status: str

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Self:
        """Read it from the run history's JSON."""
        return cls(read_id(wire, "runId"), _status(wire))


class _StepRow(NamedTuple):
    created: str
    name: str
    status: str
    parent_id: str

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Self:
        """Read it from the run history's JSON."""
        run_id = read_id(wire, "runId")
        return cls(
            # All in one notation, so the texts sort by time; steps without a time come last.
            created=str(wire.get("createdUtc") or "~"),
            name=str(wire.get("displayName") or wire.get("name") or run_id),
            status=_status(wire),
            parent_id=str(wire.get("parentRunId") or ""),
        )


_Row = TypeVar("_Row", StatusRow, _StepRow)


def filter_of(field: str, run_ids: Iterable[str]) -> str:
    """The run history's filter for all runs whose ``RunId``, or ``ParentRunId``, is one of these ids."""
    return f"({' or '.join(f'{field} eq {run_id}' for run_id in run_ids)})"


def query_statuses(experiment: str, run_ids: Sequence[str]) -> Call[tuple[StatusRow, ...]]:
    """Query the statuses of these runs; the answer leaves out runs that the history does not know."""
    call = _query(experiment, filter_of("RunId", run_ids), StatusRow)
    return replace(call, operation=f"query the statuses of runs of experiment {experiment!r}")


def list_steps_of(experiment: str, run_ids: Sequence[str]) -> Flow[dict[str, Steps]]:
    """List the steps of these runs, in the order of their creation."""
    if len(run_ids) == 1:
        # Clients commonly use this route; the query by parent is less certain.
        found = yield from list_steps(experiment, run_ids[0])
        return {run_ids[0]: tuple((step.name, step.status) for step in found)}
    steps: tuple[_StepRow, ...] = yield _query(experiment, filter_of("ParentRunId", run_ids), _StepRow)
    by_parent: dict[str, list[tuple[str, str]]] = {run_id: [] for run_id in run_ids}
    for step in sorted(steps):
        if step.parent_id in by_parent:
            by_parent[step.parent_id].append((step.name, step.status))
    return {run_id: tuple(own) for run_id, own in by_parent.items()}


def _query(experiment: str, filter_text: str, kind: type[_Row]) -> Call[tuple[_Row, ...]]:
    def shrink(wire: dict[str, Any]) -> Any:
        if "runId" not in wire:
            return wire  # an envelope, or an object within a run, which goes when its run becomes a row
        try:
            return kind.from_wire(wire)
        except ValueError:
            return None  # harmless within a run; where a run is expected, check() refuses it

    def check(item: Any) -> _Row:
        if not isinstance(item, kind):
            raise TypeError("a run was expected")
        return item

    query: Call[Any] = calls.query_runs(experiment, filter_text)
    return replace(query, object_hook=shrink, parse=lambda wire: each(check, wire))


def _status(wire: dict[str, Any]) -> str:
    return str(wire.get("status") or "NotStarted")
