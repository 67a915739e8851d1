"""One thing of several, by the id or the name that a person typed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

from aml_provider.cli.execution import CommandError
from aml_provider.client.flows.finding import did_you_mean, how_many
from aml_provider.client.flows.schedules import RETIRED, STATE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from aml_provider.client.entities import PipelineEndpoint, PublishedPipeline, Schedule
    from aml_provider.hooks.azure_ml import AzureMLHook


class Named(Protocol):
    """What has an id, a name that others may have too, and a status."""

    @property
    def id(self) -> str:
        """Its id in the workspace."""

    @property
    def name(self) -> str:
        """Its name, which others may share."""

    @property
    def status(self) -> str:
        """``Active``, ``Disabled`` or another word of the service."""

    @property
    def is_active(self) -> bool:
        """Whether it can start runs."""


T = TypeVar("T", bound=Named)


def pick(kind: str, wanted: str, items: Sequence[T]) -> T:
    """The one of this id; else the one of this name, an active one before those that are not.

    Args:
        kind: What it is, in the singular, for messages.
        wanted: The id or the name.
        items: All that there are, the inactive ones too.

    Raises:
        CommandError: There is none, or several have the name; the message lists them.
    """
    for item in items:
        if item.id == wanted:
            return item
    named = [item for item in items if item.name == wanted]
    found = [item for item in named if item.is_active] or named
    if len(found) == 1:
        return found[0]
    if found:
        listed = "".join(f"\n  {_described(item)}" for item in found)
        raise CommandError(f"{len(found)} {kind}s are named {wanted!r}. Give the id of the one that you mean:{listed}")
    if not items:
        raise CommandError(f"The workspace has no {kind}s.")
    hint = did_you_mean(wanted, (item.name for item in items), otherwise=how_many(len(items)))
    raise CommandError(f"The workspace has no {kind} with the id or name {wanted!r}. {hint[0].upper()}{hint[1:]}")


def _described(item: Named) -> str:
    facts = [item.status]
    if version := getattr(item, "version", ""):
        facts.append(f"version {version}")
    created: datetime | None = getattr(item, "created", None)
    if created is not None:
        facts.append(f"created {created:%Y-%m-%d %H:%M} UTC")
    return f"{item.id} ({', '.join(facts)})"


def find_pipeline(hook: AzureMLHook, wanted: str) -> PublishedPipeline:
    """Find a published pipeline, active or not; raises as :func:`pick` does."""
    return pick("published pipeline", wanted, hook.list_pipelines(active_only=False))


def find_endpoint(hook: AzureMLHook, wanted: str) -> PipelineEndpoint:
    """Find a pipeline endpoint, active or not; raises as :func:`pick` does."""
    return pick("pipeline endpoint", wanted, hook.list_endpoints(active_only=False))


def find_schedule(hook: AzureMLHook, wanted: str) -> Schedule:
    """Find a native schedule, active or not; raises as :func:`pick` does.

    By its name nobody comes to a schedule that this provider has replaced by another one of that name.
    """
    items = hook.list_schedules(active_only=False)
    return pick(
        "native schedule",
        wanted,
        [item for item in items if item.id == wanted or item.properties.get(STATE) != RETIRED],
    )
