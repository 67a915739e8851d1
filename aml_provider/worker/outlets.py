"""What a sensor found, told to the assets that are its outlets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aml_provider.blobs.events import EVENT_BYTES, event_id, split

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.providers.common.compat.sdk import Context

    from aml_provider.blobs.changes import Change


def announce(changes: Sequence[Change], outlets: Sequence[Any], context: Context, log: Any) -> None:
    """Put changes into the asset events that Airflow makes when the task succeeds.

    Args:
        changes: At least one.
        outlets: The task's; aliases are left alone, since only an author knows which asset they stand for.
        context: The task's.
        log: Told when an event would be too large. Then it says how many changes there are and not which: part of them
            would pass for all.
    """
    from airflow.providers.common.compat.sdk import Asset

    assets: list[Any] = [outlet for outlet in outlets if isinstance(outlet, _kinds(Asset))]
    if not assets:
        return
    events = split(changes)
    extra: dict[str, Any] = {"id": event_id(changes), "count": len(changes)}
    if len(events) == 1:
        extra["changes"] = events[0]["changes"]
    else:
        log.warning(
            "%d changes are more than the %d bytes that an asset event may take; it carries their number only. They "
            "are this task's result; a smaller max_changes makes smaller ones.",
            len(changes),
            EVENT_BYTES,
        )
    for asset in assets:
        context["outlet_events"][asset].extra.update(extra)


def _kinds(asset: type) -> tuple[type, ...]:
    try:
        from airflow.sdk.definitions.asset import AssetRef
    except ImportError:  # Airflow 2
        return (asset,)
    return asset, AssetRef
