"""The identity of Microsoft's v2 SDK at the local workspace, and the clouds in which the SDK finds it."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlsplit

import jwt
from azure.ai.ml import MLClient
from azure.core.credentials import AccessToken

WORKSPACE = {
    "subscription_id": "11111111-2222-3333-4444-555555555555",
    "resource_group_name": "rg",
    "workspace_name": "ws",
}
SCOPE = (
    f"/subscriptions/{WORKSPACE['subscription_id']}/resourceGroups/{WORKSPACE['resource_group_name']}"
    f"/providers/Microsoft.MachineLearningServices/workspaces/{WORKSPACE['workspace_name']}"
)
AUDIENCE = "https://ml.azure.com"
"""The audience of the tokens for invoking, which the SDK checks before it submits a job."""


class Identity:
    """A credential that issues tokens for every audience; nobody checks their signatures."""

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        """A token for the first of the scopes."""
        expires = int(time.time()) + 9999
        claims = {"aud": scopes[0].removesuffix("/.default"), "tid": "72f988bf-0000-0000-0000-000000000000"}
        return AccessToken(jwt.encode(claims | {"exp": expires}, "k" * 32), expires)


def client_of(url: str) -> MLClient:
    """The SDK's client for the workspace at an address, which is a cloud of its own.

    The SDK never forgets a cloud, so each address has another name.
    """
    metadata = {
        "azure_portal": "https://portal.azure.com",
        "resource_manager": url,
        "active_directory": "https://login.microsoftonline.com",
        "aml_resource_id": AUDIENCE,
        "storage_endpoint": "core.windows.net",
        "registry_discovery_endpoint": url,
    }
    cloud = {"cloud": f"Local{urlsplit(url).port}", "cloud_metadata": metadata}
    return MLClient(Identity(), **WORKSPACE, **cloud, enable_telemetry=False)
