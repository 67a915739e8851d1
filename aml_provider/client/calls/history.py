"""The operations on pipeline runs and their steps in the run history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aml_provider.client.calls.call import Call, Resource, segment
from aml_provider.client.entities import HistoryRun, RunDetails

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_RUNS = Resource("history", "experiments/runs")
# The service puts at most this many runs into a page.
_PAGE = 500


def _path(experiment: str, run_id: str) -> str:
    return f"/experiments/{segment('experiment_name', experiment)}/runs/{segment('run_id', run_id)}"


def query_runs(
    experiment: str, filter_text: str, *, order_by: str = "CreatedUtc desc", limit: int | None = None
) -> Call[tuple[HistoryRun, ...]]:
    """Search an experiment's runs with a filter in the history's OData-like syntax."""
    return _RUNS.read_list(
        f"query the runs of experiment {experiment!r}",
        f"/experiments/{segment('experiment_name', experiment)}/runs:query",
        HistoryRun.from_wire,
        method="POST",
        body={"filter": filter_text, "orderby": order_by, "top": _PAGE if limit is None else min(limit, _PAGE)},
        limit=limit,
    )


def list_steps(experiment: str, run_id: str) -> Call[tuple[HistoryRun, ...]]:
    """List the step runs below a pipeline run."""
    return _RUNS.read_list(
        f"list the steps of run {run_id!r}",
        f"{_path(experiment, run_id)}/children",
        HistoryRun.from_wire,
        query=(("$orderby", "StartTimeUtc desc"), ("$top", str(_PAGE))),
        page_key="$continuationToken",
    )


def get_history_run(experiment: str, run_id: str) -> Call[HistoryRun]:
    """Read a run in the run history, with the tags that people and this provider may change."""
    operation = f"get run {run_id!r} of experiment {experiment!r}"
    return _RUNS.read(operation, _path(experiment, run_id), HistoryRun.from_wire)


def get_history_run_by_experiment_id(experiment_id: str, run_id: str) -> Call[HistoryRun]:
    """Read a run in the run history, by its own id and the id of its experiment."""
    path = f"/experimentids/{segment('experiment_id', experiment_id)}/runs/{segment('run_id', run_id)}"
    return _RUNS.read(f"get run {run_id!r} of experiment {experiment_id!r}", path, HistoryRun.from_wire)


def find_history_run(run_id: str) -> Call[HistoryRun]:
    """Read a run in the run history by its own id alone."""
    return _RUNS.read(f"find run {run_id!r}", f"/runs/{segment('run_id', run_id)}", HistoryRun.from_wire)


def get_run_details(experiment: str, run_id: str) -> Call[RunDetails]:
    """Read a run's error and the addresses of its logs."""
    path = f"{_path(experiment, run_id)}/details"
    return _RUNS.read(f"get the details of run {run_id!r}", path, RunDetails.from_wire)


def _patch(operation: str, experiment: str, run_id: str, changes: Mapping[str, Any]) -> Call[HistoryRun]:
    body = {"runId": run_id, **changes}
    return _RUNS.write(operation, "PATCH", _path(experiment, run_id), HistoryRun.from_wire, body=body)


def tag_run(experiment: str, run_id: str, tags: Mapping[str, str | None]) -> Call[HistoryRun]:
    """Add tags to a run; the service merges them into the existing ones. None makes a tag without a value."""
    return _patch(f"tag run {run_id!r}", experiment, run_id, {"tags": dict(tags)})


def untag_run(experiment: str, run_id: str, names: Iterable[str]) -> Call[HistoryRun]:
    """Remove tags from a run, by name."""
    operation, path = f"remove tags of run {run_id!r}", f"{_path(experiment, run_id)}/tags"
    return _RUNS.write(operation, "DELETE", path, HistoryRun.from_wire, body=list(names))


def set_run_properties(experiment: str, run_id: str, properties: Mapping[str, str]) -> Call[HistoryRun]:
    """Add properties to a run; an existing property cannot be changed."""
    return _patch(f"set properties of run {run_id!r}", experiment, run_id, {"properties": dict(properties)})


def set_run_display_name(experiment: str, run_id: str, display_name: str) -> Call[HistoryRun]:
    """Give a run the name that the studio shows."""
    return _patch(f"set the display name of run {run_id!r}", experiment, run_id, {"displayName": display_name})


def set_run_description(experiment: str, run_id: str, description: str) -> Call[HistoryRun]:
    """Set the description of a run."""
    return _patch(f"set the description of run {run_id!r}", experiment, run_id, {"description": description})
