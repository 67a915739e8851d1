"""The operation that reads what an identity may do in the workspace."""

from __future__ import annotations

from aml_provider.client.calls.call import Call, each
from aml_provider.client.entities import Permission


def list_permissions() -> Call[tuple[Permission, ...]]:
    """List the caller's own permissions on the workspace, one for each role that it has there or above.

    Azure Resource Manager computes them; nothing else is requested or changed (Microsoft Learn, "Permissions - List For
    Resource", 2022-04-01).
    """
    return Call(
        "list the identity's permissions",
        "GET",
        "arm",
        "/providers/Microsoft.Authorization/permissions",
        lambda wire: each(Permission.from_wire, wire),
        query=(("api-version", "2022-04-01"),),
        page_key="$skiptoken",
        right="Microsoft.Authorization/permissions/read",
    )
