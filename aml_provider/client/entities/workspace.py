"""The workspace itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aml_provider.client.portable import Portable


@dataclass(frozen=True, slots=True)
class Workspace(Portable):
    """The workspace's record in Azure Resource Manager."""

    name: str
    location: str
    workspace_id: str
    discovery_url: str
    id: str = ""

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Workspace:
        """Read it from Azure Resource Manager's JSON."""
        properties = wire.get("properties") or {}
        return cls(
            name=str(wire.get("name") or ""),
            location=str(wire.get("location") or ""),
            workspace_id=str(properties.get("workspaceId") or ""),
            discovery_url=str(properties.get("discoveryUrl") or ""),
            id=str(wire.get("id") or ""),
        )
