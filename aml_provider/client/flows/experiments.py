"""Flows for experiments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aml_provider.client import calls
from aml_provider.client.calls.filters import all_of, tag_equals
from aml_provider.client.errors import AzureMLError, Conflict, NotFound
from aml_provider.client.flows.finding import EXPERIMENT, advised
from aml_provider.client.specs.run import as_experiment_name, as_tag_names, as_tags

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aml_provider.client.entities import Experiment
    from aml_provider.client.http.messages import Flow


def list_experiments(
    *, view: str = "ActiveOnly", tags: Mapping[str, str | None] | None = None, limit: int | None = None
) -> Flow[tuple[Experiment, ...]]:
    """List the experiments that a view shows and that have all of these tags.

    Raises:
        InvalidArgument: There is no such view, or a tag cannot be searched for.
    """
    terms = [tag_equals(name, value, quoted=False) for name, value in (tags or {}).items()]
    found: tuple[Experiment, ...] = yield calls.query_experiments(
        view=view, filter_text=all_of(terms) if terms else None, limit=limit
    )
    return found


def create_experiment(name: str) -> Flow[Experiment]:
    """Create an experiment, or return the existing one of this name.

    Raises:
        InvalidArgument: The name cannot be used.
    """
    as_experiment_name("experiment_name", name)
    try:
        found: Experiment = yield calls.get_experiment(name)
    except NotFound:
        pass
    else:
        return found
    try:
        made: Experiment = yield calls.create_experiment(name)
    except AzureMLError as error:
        if not error.in_doubt and not isinstance(error, Conflict):
            raise
        # It was created anyway, or by somebody else at the same time.
        try:
            found = yield calls.get_experiment(name)
        except NotFound:
            raise error from None
        return found
    return made


def update_experiment(
    name: str, *, new_name: str | None = None, description: str | None = None, tags: Mapping[str, str] | None = None
) -> Flow[Experiment]:
    """Change the name or description of an experiment, or add tags; an argument that is None changes nothing.

    Raises:
        InvalidArgument: The new name cannot be used.
    """
    changes: dict[str, Any] = {}
    if new_name is not None:
        changes["name"] = as_experiment_name("new_name", new_name)
    if description is not None:
        changes["description"] = description
    if tags is not None:
        changes["tags"] = as_tags(tags)
    found = yield from advised(calls.get_experiment(name), EXPERIMENT, name)
    if not changes:
        return found
    updated: Experiment = yield calls.update_experiment(found.id, changes)
    return updated


def untag_experiment(name: str, names: Iterable[str]) -> Flow[Experiment]:
    """Remove tags from an experiment."""
    wanted = as_tag_names("names", names)
    found = yield from advised(calls.get_experiment(name), EXPERIMENT, name)
    yield calls.untag_experiment(found.id, wanted)
    left: Experiment = yield calls.get_experiment_by_id(found.id)
    return left


def set_archived(name: str, *, archived: bool) -> Flow[Experiment]:
    """Archive or unarchive an experiment."""
    found = yield from advised(calls.get_experiment(name), EXPERIMENT, name)
    if found.is_archived == archived:
        return found
    changed: Experiment = yield calls.update_experiment(found.id, {"archive": archived})
    return changed


def delete_experiment(name: str) -> Flow[None]:
    """Delete an experiment."""
    found = yield from advised(calls.get_experiment(name), EXPERIMENT, name)
    yield calls.delete_experiment(found.id)
