"""The operation that reads the workspace itself."""

from __future__ import annotations

from aml_provider.client.calls.call import Call
from aml_provider.client.entities import Workspace


def get_workspace() -> Call[Workspace]:
    """Read the workspace."""
    query = (("api-version", "2022-05-01"),)
    return Call("get the workspace", "GET", "arm", "", Workspace.from_wire, query=query)
