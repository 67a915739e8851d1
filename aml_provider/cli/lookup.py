"""Finds an item by the id or the name that a person typed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

from aml_provider.cli.execution import say
from aml_provider.client import calls
from aml_provider.client.errors import AzureMLError
from aml_provider.client.flows.finding import ENDPOINT, PIPELINE, SCHEDULE, no_such_name, only_named
from aml_provider.client.flows.schedules import is_replaced
from aml_provider.client.help import text_of
from aml_provider.compat import AirflowException
from aml_provider.hooks.azure_ml import retry_policy

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from aml_provider.client.entities import PipelineEndpoint, PipelineRun, PublishedPipeline, Schedule
    from aml_provider.client.flows.finding import Kind
    from aml_provider.hooks.azure_ml import AzureMLHook

T = TypeVar("T")

# …/components/{name}/versions/{version}: the id of a component's version in Azure Resource Manager.
# Seconds for which the names of pipelines are requested again after an error.
_NAMES_BUDGET = 2.0
_COMPONENT = re.compile(r"/components/([^/]+)/versions/[^/]+$", re.IGNORECASE)


def pick(kind: Kind, wanted: str, items: Sequence[T]) -> T:
    """Return the item with this id, else the item with this name; an active item takes precedence over inactive ones.

    Args:
        kind: The kind of the items.
        wanted: The id or the name.
        items: All items, inactive ones included.

    Raises:
        AzureMLError: There is no such item, or several have the name; the message lists them.
    """
    by_id = next((item for item in items if item.id.casefold() == wanted.casefold()), None)  # type: ignore[attr-defined]
    found = only_named(kind, wanted, items) if by_id is None else by_id
    if found is None:
        raise no_such_name(kind, wanted, items)
    return found


def find_pipeline(hook: AzureMLHook, wanted: str) -> PublishedPipeline:
    """Find a published pipeline, active or not; raises as :func:`pick` does."""
    return pick(PIPELINE, wanted, hook.list_pipelines(active_only=False))


def find_endpoint(hook: AzureMLHook, wanted: str) -> PipelineEndpoint:
    """Find a pipeline endpoint, active or not; raises as :func:`pick` does."""
    return pick(ENDPOINT, wanted, hook.list_endpoints(active_only=False))


def find_schedule(hook: AzureMLHook, wanted: str) -> Schedule:
    """Find a native schedule, active or not; raises as :func:`pick` does.

    If this provider has replaced a schedule by another one with the same name, the old one is found only by its id.
    """
    items = hook.list_schedules(active_only=False)
    return pick(SCHEDULE, wanted, [item for item in items if item.id == wanted or not is_replaced(item)])


def pipeline_names(hook: AzureMLHook, runs: Iterable[PipelineRun]) -> dict[str, str]:
    """The names of the pipelines and components that were run, by the runs' ``pipeline_id``.

    One request for all published pipelines; none for components, whose ids contain their names. If the pipelines cannot
    be listed, a message says so, and their names are missing.
    """
    ids = {run.pipeline_id for run in runs if run.pipeline_id}
    names = {item: found[1] for item in ids if (found := _COMPONENT.search(item))}
    if ids <= names.keys():
        return names
    try:
        # Names are a courtesy: a command that waits for a run for hours must not wait for them.
        with hook.client(retry_policy()._replace(budget=_NAMES_BUDGET, throttled_budget=0.0)) as client:
            found_pipelines = client.call(calls.list_pipelines(active_only=False))
        return names | {item.id: item.name for item in found_pipelines}
    except (AzureMLError, AirflowException) as error:
        say(f"The names of the pipelines are missing: {text_of(error)}")
        return names
