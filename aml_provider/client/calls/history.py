"""The operations on runs, as the run history has them: pipeline runs and their steps alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aml_provider.client.calls.call import RIGHTS, WRITER, Call, each, segment
from aml_provider.client.entities import HistoryRun, RunDetails

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_READ = f"{RIGHTS}/experiments/runs/read"
_WRITE = f"{RIGHTS}/experiments/runs/write"
#: So many records the service puts into a page at most.
_PAGE = 500


def _run_path(experiment: str, run_id: str) -> str:
    return f"/experiments/{segment('experiment_name', experiment)}/runs/{segment('run_id', run_id)}"


def query_runs(
    experiment: str, filter_text: str, *, order_by: str = "CreatedUtc desc", limit: int | None = None
) -> Call[tuple[HistoryRun, ...]]:
    """Search an experiment's runs with a filter in the history's OData-like syntax."""
    return Call(
        operation=f"query the runs of experiment {experiment!r}",
        method="POST",
        service="history",
        path=f"/experiments/{segment('experiment_name', experiment)}/runs:query",
        body={"filter": filter_text, "orderby": order_by, "top": _PAGE if limit is None else min(limit, _PAGE)},
        parse=lambda wire: each(HistoryRun.from_wire, wire),
        page_key="continuationToken",
        limit=limit,
        right=_READ,
    )


def list_steps(experiment: str, run_id: str) -> Call[tuple[HistoryRun, ...]]:
    """List the step runs below a pipeline run."""
    return Call(
        operation=f"list the steps of run {run_id!r}",
        method="GET",
        service="history",
        path=f"{_run_path(experiment, run_id)}/children",
        query=(("$orderby", "StartTimeUtc desc"), ("$top", str(_PAGE))),
        parse=lambda wire: each(HistoryRun.from_wire, wire),
        page_key="$continuationToken",
        right=_READ,
    )


def get_history_run(experiment: str, run_id: str) -> Call[HistoryRun]:
    """Read a run as the run history knows it, with the tags that people and we may change."""
    return Call(
        operation=f"get run {run_id!r} of experiment {experiment!r}",
        method="GET",
        service="history",
        path=_run_path(experiment, run_id),
        parse=HistoryRun.from_wire,
        right=_READ,
    )


def get_history_run_by_experiment_id(experiment_id: str, run_id: str) -> Call[HistoryRun]:
    """Read a run as the run history knows it, below its experiment's id."""
    return Call(
        operation=f"get run {run_id!r} of experiment {experiment_id!r}",
        method="GET",
        service="history",
        path=f"/experimentids/{segment('experiment_id', experiment_id)}/runs/{segment('run_id', run_id)}",
        parse=HistoryRun.from_wire,
        right=_READ,
    )


def find_history_run(run_id: str) -> Call[HistoryRun]:
    """Read a run as the run history knows it, whatever its experiment."""
    return Call(
        operation=f"find run {run_id!r}",
        method="GET",
        service="history",
        path=f"/runs/{segment('run_id', run_id)}",
        parse=HistoryRun.from_wire,
        right=_READ,
    )


def get_run_details(experiment: str, run_id: str) -> Call[RunDetails]:
    """Read a run's error and the addresses of its logs."""
    return Call(
        operation=f"get the details of run {run_id!r}",
        method="GET",
        service="history",
        path=f"{_run_path(experiment, run_id)}/details",
        parse=RunDetails.from_wire,
        right=_READ,
    )


def _patch(operation: str, experiment: str, run_id: str, changes: Mapping[str, Any]) -> Call[HistoryRun]:
    return Call(
        operation=operation,
        method="PATCH",
        service="history",
        path=_run_path(experiment, run_id),
        body={"runId": run_id, **changes},
        parse=HistoryRun.from_wire,
        right=_WRITE,
        role=WRITER,
    )


def tag_run(experiment: str, run_id: str, tags: Mapping[str, str | None]) -> Call[HistoryRun]:
    """Add tags to a run; the service merges them into those that are there. None is a tag without a value."""
    return _patch(f"tag run {run_id!r}", experiment, run_id, {"tags": dict(tags)})


def untag_run(experiment: str, run_id: str, names: Iterable[str]) -> Call[HistoryRun]:
    """Remove tags from a run, by name."""
    return Call(
        operation=f"remove tags of run {run_id!r}",
        method="DELETE",
        service="history",
        path=f"{_run_path(experiment, run_id)}/tags",
        body=list(names),
        parse=HistoryRun.from_wire,
        right=_WRITE,
        role=WRITER,
    )


def set_run_properties(experiment: str, run_id: str, properties: Mapping[str, str]) -> Call[HistoryRun]:
    """Add properties to a run; one that is there cannot be changed."""
    return _patch(f"set properties of run {run_id!r}", experiment, run_id, {"properties": dict(properties)})


def set_run_display_name(experiment: str, run_id: str, display_name: str) -> Call[HistoryRun]:
    """Give a run the name that the studio shows."""
    return _patch(f"set the display name of run {run_id!r}", experiment, run_id, {"displayName": display_name})


def set_run_description(experiment: str, run_id: str, description: str) -> Call[HistoryRun]:
    """Describe a run."""
    return _patch(f"set the description of run {run_id!r}", experiment, run_id, {"description": description})
