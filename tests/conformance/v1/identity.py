"""The identity of Microsoft's SDK at the local workspace, and the workspace that it requests.

One switch leads the SDK to the local workspace: the cloud of its identity, whose resource manager is the local
workspace. That names the discovery address, and discovery names all services.
"""

from __future__ import annotations

import base64
import json
import time
from types import SimpleNamespace
from typing import Any

WORKSPACE = {"subscription_id": "11111111-2222-3333-4444-555555555555", "resource_group": "rg", "name": "ws"}
TENANT = "72f988bf-0000-0000-0000-000000000000"


def bearer_token() -> str:
    """A token that the SDK can parse; its signature is never checked."""

    def part(claims: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'none'})}.{part({'exp': int(time.time()) + 9999, 'tid': TENANT})}.c2ln"


def authentication(url: str, token: str = "") -> Any:
    """An identity whose cloud is the server at an address.

    Args:
        url: The server.
        token: The bearer token; by default one that the SDK can parse.
    """
    from azure.core.credentials import AccessToken
    from azureml.core.authentication import AbstractAuthentication

    token = token or bearer_token()
    expires = int(time.time()) + 9999
    cloud = SimpleNamespace(
        name="AzureCloud",
        endpoints=SimpleNamespace(
            resource_manager=url,
            management=url,
            aml_resource_id=url,
            active_directory="https://login.microsoftonline.com",
            active_directory_resource_id="https://management.core.windows.net/",
            microsoft_graph_resource_id="https://graph.windows.net/",
        ),
        suffixes=SimpleNamespace(storage_endpoint="core.windows.net"),
    )

    class Local(AbstractAuthentication):
        def __init__(self) -> None:
            self._cloud_type = cloud

        def _get_cloud_type(self) -> Any:
            return cloud

        def get_authentication_header(self) -> dict[str, str]:
            return {"Authorization": f"Bearer {token}"}

        def get_token(self, *_: Any, **__: Any) -> AccessToken:
            return AccessToken(token, expires)

        def _get_arm_token(self) -> str:
            return token

        _get_graph_token = _get_arm_token

        def _get_all_subscription_ids(self) -> Any:
            return [], token

        def _check_if_subscription_exists(self, *_: Any, **__: Any) -> bool:
            return True

        def _get_arm_end_point(self) -> str:
            return url

        def signed_session(self, session: Any = None) -> Any:
            import requests

            session = session or requests.Session()
            session.headers.update(self.get_authentication_header())
            return session

    return Local()
