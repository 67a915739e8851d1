"""The operations on experiments.

An experiment is read and created by its name, and changed by its id.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aml_provider.client.calls.call import RIGHTS, Call, Resource, nothing, segment
from aml_provider.client.entities import Experiment
from aml_provider.client.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# The views of the list of experiments.
_VIEWS = ("Default", "All", "ActiveOnly", "ArchivedOnly")
_EXPERIMENTS = Resource("history", "experiments")


def _view(value: str) -> str:
    if value not in _VIEWS:
        raise InvalidArgument("view", f"is {value!r}; use one of {', '.join(_VIEWS)}")
    return value


def _path(experiment_id: str) -> str:
    return f"/experimentids/{segment('experiment_id', experiment_id)}"


def get_experiment(name: str, *, view: str | None = None) -> Call[Experiment]:
    """Read one experiment by its name; if ``view`` is given, only if the view shows it."""
    path = f"/experiments/{segment('experiment_name', name)}"
    query = () if view is None else (("viewType", _view(view)),)
    return _EXPERIMENTS.read(f"get experiment {name!r}", path, Experiment.from_wire, query=query)


def get_experiment_by_id(experiment_id: str) -> Call[Experiment]:
    """Read one experiment by its id."""
    return _EXPERIMENTS.read(f"get experiment {experiment_id!r}", _path(experiment_id), Experiment.from_wire)


def query_experiments(
    *, view: str = "ActiveOnly", filter_text: str | None = None, limit: int | None = None
) -> Call[tuple[Experiment, ...]]:
    """List the experiments that a view shows, or only those that match a filter in the history's OData-like syntax."""
    body: dict[str, Any] = {"viewType": _view(view)}
    if filter_text is not None:
        body["filter"] = filter_text
    if limit is not None:
        body["top"] = limit
    return _EXPERIMENTS.read_list(
        "query experiments", "/experiments:query", Experiment.from_wire, method="POST", body=body, limit=limit
    )


def create_experiment(name: str) -> Call[Experiment]:
    """Create an experiment."""
    return _EXPERIMENTS.write(
        f"create experiment {name!r}",
        "POST",
        f"/experiments/{segment('experiment_name', name)}",
        Experiment.from_wire,
        repeatable=False,  # the second time its name is taken
    )


def update_experiment(experiment_id: str, changes: Mapping[str, Any]) -> Call[Experiment]:
    """Change any of ``name``, ``description``, ``archive`` and ``tags``; new tags are added to the existing ones."""
    operation, path = f"update experiment {experiment_id!r}", _path(experiment_id)
    return _EXPERIMENTS.write(operation, "PATCH", path, Experiment.from_wire, body=dict(changes))


def untag_experiment(experiment_id: str, names: Iterable[str]) -> Call[None]:
    """Remove tags from an experiment, by name."""
    operation, path = f"remove tags of experiment {experiment_id!r}", f"{_path(experiment_id)}/tags:delete"
    return _EXPERIMENTS.write(operation, "POST", path, nothing, body={"tags": list(names)})


def delete_experiment(experiment_id: str) -> Call[None]:
    """Delete an experiment; this may take some time (202), and the service refuses it if the experiment has runs."""
    return _EXPERIMENTS.write(
        f"delete experiment {experiment_id!r}",
        "DELETE",
        _path(experiment_id),
        nothing,
        repeatable=False,  # the second time it would not be found
        right=f"{RIGHTS}/experiments/delete",
    )
