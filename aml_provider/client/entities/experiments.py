"""Experiments, which group runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aml_provider.client.entities.wire import read_id, read_time, text_map
from aml_provider.client.portable import Portable

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Experiment(Portable):
    """An experiment; ``archived`` is the time of its archival, if the service gives a readable one."""

    id: str
    name: str
    description: str
    created: datetime | None
    archived: datetime | None
    is_archived: bool
    tags: dict[str, str]

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Experiment:
        """Read it from the run history's JSON."""
        archived = wire.get("archivedTime")
        return cls(
            id=read_id(wire, "experimentId"),
            name=str(wire.get("name") or ""),
            description=str(wire.get("description") or ""),
            created=read_time(wire.get("createdUtc")),
            archived=read_time(archived),
            is_archived=bool(archived),
            tags=text_map(wire.get("tags")),
        )
