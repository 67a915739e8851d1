"""Metrics, which runs log while they work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aml_provider.client.entities.wire import read_time
from aml_provider.client.portable import Portable

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class MetricValue(Portable):
    """One logged number or text, or one row of a logged table.

    ``data`` has its values by column; a number or a text has one column, which has the metric's name. ``step`` is the
    training step, if it was logged.
    """

    data: dict[str, Any]
    step: int | None
    created: datetime | None

    @property
    def value(self) -> Any:
        """The number or text; for a table row, all columns."""
        return next(iter(self.data.values())) if len(self.data) == 1 else self.data

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> MetricValue:
        """Read it from the metric service's JSON."""
        data, step = wire["data"], wire.get("step")
        return cls(
            data={str(column): value for column, value in data.items()},
            step=step if isinstance(step, int) and not isinstance(step, bool) else None,
            created=read_time(wire.get("createdUtc")),
        )
