"""The envelope of Azure Resource Manager's resources: camelCase, their own fields below ``properties``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aml_provider.emulator.workspace.times import wire_time

if TYPE_CHECKING:
    from aml_provider.emulator.workspace.body import JsonObject

_TYPE = "Microsoft.MachineLearningServices/workspaces"


def resource(
    scope: str, kind: str, path: str, properties: JsonObject | None, created: float, /, **more: Any
) -> JsonObject:
    """A resource of the workspace.

    Args:
        scope: The workspace's ARM id, as the caller wrote it.
        kind: The last part of its type, such as ``jobs``.
        path: Its path below the workspace; the last part is its name.
        properties: Its own fields.
        created: The instant of its creation.
        more: Fields besides the properties.
    """
    instant = wire_time(created)
    return {
        "id": f"{scope}/{path}",
        "name": path.rpartition("/")[2],
        "type": f"{_TYPE}/{kind}",
        "properties": properties,
        "systemData": {
            "createdAt": instant,
            "createdBy": "Local User",
            "createdByType": "User",
            "lastModifiedAt": instant,
            "lastModifiedBy": "Local User",
            "lastModifiedByType": "User",
        },
        **more,
    }


def tracking_uri(scope: str) -> str:
    """The address for MLflow of a workspace; nothing is served at this address."""
    return f"azureml://local/mlflow/v1.0{scope}"
