"""A schedule of the v2 API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class JobSchedule:
    """A schedule that starts jobs.

    Attributes:
        properties: As in the REST API: ``action``, ``trigger``, ``isEnabled`` and everything else that was sent.
        anchored: The instant from which its times count.
        provisioned: When its provisioning ends; until then it starts no jobs.
        provisioning_error: Why its provisioning fails.
        last_fired: When it was last due.
        last_error: Why its last job could not be started.
    """

    name: str
    properties: dict[str, Any]
    created: float = 0.0
    modified: float = 0.0
    anchored: float = 0.0
    provisioned: float = 0.0
    provisioning_error: str | None = None
    last_fired: float | None = None
    last_error: str | None = None

    @property
    def enabled(self) -> bool:
        """Whether it starts jobs."""
        return bool(self.properties.get("isEnabled", True))
