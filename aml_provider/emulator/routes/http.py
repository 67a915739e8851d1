"""What the routes of all services share."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from starlette.responses import Response

from aml_provider.emulator.errors import bad_request

if TYPE_CHECKING:
    from starlette.requests import Request


@dataclass(frozen=True, slots=True)
class Scope:
    """The workspace that a request's path names. The emulator has one and answers for every name."""

    subscription_id: str
    resource_group: str
    workspace: str

    @property
    def path(self) -> str:
        """The workspace's ARM id."""
        return (
            f"/subscriptions/{self.subscription_id}/resourceGroups/{self.resource_group}"
            f"/providers/Microsoft.MachineLearningServices/workspaces/{self.workspace}"
        )


def scope_of(request: Request) -> Scope:
    """The workspace that the request's path names."""
    return cast("Scope", request.scope["azureml"])


def base_url(request: Request) -> str:
    """The emulator's address as this caller wrote it, so that it works from inside a container too."""
    return str(request.base_url).rstrip("/")


async def read_json(request: Request) -> Any:
    """The body, whatever the Content-Type says: the services' callers send JSON as ``json-patch+json``."""
    raw = await request.body()
    if not raw:
        return None
    try:
        return json.loads(raw)
    except ValueError as error:
        raise bad_request(f"The body is not JSON: {error}", "InvalidJson") from error


def reply(content: Any = None) -> Response:
    """200 with JSON, the only success there is; without content the body is ``null``."""
    return Response(json.dumps(content), media_type="application/json; charset=utf-8")


def flag(value: str | None) -> bool:
    """A query's ``true`` or ``false``."""
    return value is not None and value.lower() == "true"
