"""Finds an item by the id or the name that a person typed."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from aml_provider.client.flows.finding import ENDPOINT, PIPELINE, SCHEDULE, no_such_name, only_named
from aml_provider.client.flows.schedules import is_replaced

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aml_provider.client.entities import PipelineEndpoint, PublishedPipeline, Schedule
    from aml_provider.client.flows.finding import Kind
    from aml_provider.hooks.azure_ml import AzureMLHook

T = TypeVar("T")


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
