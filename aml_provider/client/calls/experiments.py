"""The operations on experiments.

One is read and created by its name, and changed by its id.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aml_provider.client.calls.call import RIGHTS, WRITER, Call, each, nothing, segment
from aml_provider.client.entities import Experiment
from aml_provider.client.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: The views of the list of experiments.
VIEWS = ("Default", "All", "ActiveOnly", "ArchivedOnly")

_READ = f"{RIGHTS}/experiments/read"
_WRITE = f"{RIGHTS}/experiments/write"


def _view(value: str) -> str:
    if value not in VIEWS:
        raise InvalidArgument("view", f"is {value!r}; use one of {', '.join(VIEWS)}")
    return value


def get_experiment(name: str, *, view: str | None = None) -> Call[Experiment]:
    """Read one experiment by its name; where ``view`` is given, only one that it shows."""
    return Call(
        operation=f"get experiment {name!r}",
        method="GET",
        service="history",
        path=f"/experiments/{segment('experiment_name', name)}",
        query=() if view is None else (("viewType", _view(view)),),
        parse=Experiment.from_wire,
        right=_READ,
    )


def get_experiment_by_id(experiment_id: str) -> Call[Experiment]:
    """Read one experiment by its id."""
    return Call(
        operation=f"get experiment {experiment_id!r}",
        method="GET",
        service="history",
        path=f"/experimentids/{segment('experiment_id', experiment_id)}",
        parse=Experiment.from_wire,
        right=_READ,
    )


def query_experiments(
    *, view: str = "ActiveOnly", filter_text: str | None = None, limit: int | None = None
) -> Call[tuple[Experiment, ...]]:
    """List experiments: all that a view shows, or those that a filter in the history's OData-like syntax lets pass."""
    body: dict[str, Any] = {"viewType": _view(view)}
    if filter_text is not None:
        body["filter"] = filter_text
    if limit is not None:
        body["top"] = limit
    return Call(
        operation="query experiments",
        method="POST",
        service="history",
        path="/experiments:query",
        body=body,
        parse=lambda wire: each(Experiment.from_wire, wire),
        page_key="continuationToken",
        limit=limit,
        right=_READ,
    )


def create_experiment(name: str) -> Call[Experiment]:
    """Create an experiment."""
    return Call(
        operation=f"create experiment {name!r}",
        method="POST",
        service="history",
        path=f"/experiments/{segment('experiment_name', name)}",
        parse=Experiment.from_wire,
        repeatable=False,  # the second time its name is taken
        right=_WRITE,
        role=WRITER,
    )


def update_experiment(experiment_id: str, changes: Mapping[str, Any]) -> Call[Experiment]:
    """Change an experiment: any of ``name``, ``description``, ``archive`` and ``tags``, which are merged."""
    return Call(
        operation=f"update experiment {experiment_id!r}",
        method="PATCH",
        service="history",
        path=f"/experimentids/{segment('experiment_id', experiment_id)}",
        body=dict(changes),
        parse=Experiment.from_wire,
        right=_WRITE,
        role=WRITER,
    )


def untag_experiment(experiment_id: str, names: Iterable[str]) -> Call[None]:
    """Remove tags from an experiment, by name."""
    return Call(
        operation=f"remove tags of experiment {experiment_id!r}",
        method="POST",
        service="history",
        path=f"/experimentids/{segment('experiment_id', experiment_id)}/tags:delete",
        body={"tags": list(names)},
        parse=nothing,
        right=_WRITE,
        role=WRITER,
    )


def delete_experiment(experiment_id: str) -> Call[None]:
    """Delete an experiment; the service may do so later (202), and refuses if it has runs."""
    return Call(
        operation=f"delete experiment {experiment_id!r}",
        method="DELETE",
        service="history",
        path=f"/experimentids/{segment('experiment_id', experiment_id)}",
        parse=nothing,
        repeatable=False,  # the second time it would not be found
        right=f"{RIGHTS}/experiments/delete",
        role=WRITER,
    )
