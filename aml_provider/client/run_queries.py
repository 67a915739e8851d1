"""Questions to the run history about many runs at once.

Of each record only what a wait needs is read and kept: some thousand dictionaries in each look would make Python's
garbage collector go through the whole process again and again, and stall the event loop.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from aml_provider.client import calls
from aml_provider.client.calls.call import each
from aml_provider.client.entities.wire import read_id
from aml_provider.client.flows import list_steps

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from aml_provider.client.calls import Call
    from aml_provider.client.protocol import Flow
    from aml_provider.client.watchlist import Steps


class Sighting(NamedTuple):
    """A run as the history shows it; ``status`` is the history's word."""

    run_id: str
    status: str


class _Step(NamedTuple):
    created: str
    name: str
    status: str
    parent_id: str


def filter_of(field: str, run_ids: Iterable[str]) -> str:
    """The run history's filter for all runs whose ``RunId``, or ``ParentRunId``, is one of these."""
    return f"({' or '.join(f'{field} eq {run_id}' for run_id in run_ids)})"


def query_statuses(experiment: str, run_ids: Sequence[str]) -> Call[tuple[Sighting, ...]]:
    """Ask for the statuses of these runs; who is not known there is not in the answer."""
    query: Call[Any] = calls.query_runs(experiment, filter_of("RunId", run_ids))
    call = replace(
        query,
        operation=f"query the statuses of runs of experiment {experiment!r}",
        parse=lambda wire: each(_read_run, wire),
    )
    return cast("Call[tuple[Sighting, ...]]", call)


def list_steps_of(experiment: str, run_ids: Sequence[str]) -> Flow[dict[str, Steps]]:
    """List the steps of these runs, in the order of their creation."""
    if len(run_ids) == 1:
        # The way that is known best.
        found = yield from list_steps(experiment, run_ids[0])
        return {run_ids[0]: tuple((step.name, step.status) for step in found)}
    query: Call[Any] = calls.query_runs(experiment, filter_of("ParentRunId", run_ids))
    steps: tuple[_Step, ...] = yield replace(query, parse=lambda wire: each(_read_step, wire))
    by_parent: dict[str, list[tuple[str, str]]] = {run_id: [] for run_id in run_ids}
    for step in sorted(steps):
        if step.parent_id in by_parent:
            by_parent[step.parent_id].append((step.name, step.status))
    return {run_id: tuple(own) for run_id, own in by_parent.items()}


def _read_run(wire: dict[str, Any]) -> Sighting:
    return Sighting(read_id(wire, "runId"), str(wire.get("status") or "NotStarted"))


def _read_step(wire: dict[str, Any]) -> _Step:
    return _Step(
        # In one notation, so that their texts are in the order of the moments; what has none comes last.
        created=str(wire.get("createdUtc") or "~"),
        name=str(wire.get("displayName") or wire.get("name") or read_id(wire, "runId")),
        status=str(wire.get("status") or "NotStarted"),
        parent_id=str(wire.get("parentRunId") or ""),
    )
