"""The workspace's own record."""

from __future__ import annotations

from aml_provider.client.calls.call import Call
from aml_provider.client.entities import Workspace


def get_workspace() -> Call[Workspace]:
    """Read the workspace's own record."""
    return Call(
        operation="get the workspace",
        method="GET",
        service="arm",
        path="",
        query=(("api-version", "2022-05-01"),),
        parse=Workspace.from_wire,
    )
