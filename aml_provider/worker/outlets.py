"""The asset events of a sensor: they carry the changes that it found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aml_provider.blobs.events import EVENT_BYTES, event_id, split

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aml_provider.blobs.change import Change
    from aml_provider.compat import Context


def announce(changes: Sequence[Change], outlets: Sequence[Any], context: Context, log: Any) -> None:
    """Put changes into the asset events that Airflow makes when the task succeeds.

    Args:
        changes: At least one.
        outlets: The task's outlets. Aliases are ignored, since only the author knows which asset they stand for.
        context: Airflow's context.
        log: The task's log. It gets a warning if an event would be too large. Then the event has only the number of
            changes, because a part of the changes could be mistaken for all of them.
    """
    from aml_provider.compat import Asset

    assets: list[Any] = [outlet for outlet in outlets if isinstance(outlet, _kinds(Asset))]
    if not assets:
        return
    events = split(changes)
    extra: dict[str, Any] = {"id": event_id(changes), "count": len(changes)}
    if len(events) == 1:
        extra["changes"] = events[0]["changes"]
    else:
        log.warning(
            "%d changes do not fit into the %d bytes of an asset event, which carries only their number. The changes "
            "are this task's result. A smaller max_changes makes smaller events.",
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
