"""Operations that take time: the address to poll, and its answers (azureml-v2-rest 2.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

from aml_provider.emulator.routes.http import base_url, reply, scope_of
from aml_provider.emulator.workspace.errors import not_found

if TYPE_CHECKING:
    from starlette.requests import Request

    from aml_provider.emulator.clock import Clock
    from aml_provider.emulator.emulation import Emulation
    from aml_provider.emulator.workspace.body import JsonObject
    from aml_provider.emulator.workspace.core import Provisioned
    from aml_provider.emulator.workspace.workspace import Workspace

_RETRY_AFTER = "1"


class OperationRoutes:
    """``/operations``. An address contains the instant at which its operation ends, in milliseconds."""

    def __init__(self, emulation: Emulation) -> None:
        self._workspace = emulation.workspace

    def routes(self) -> list[Route]:
        """Under Azure Resource Manager."""
        return [Route("/operations/{until}/location", self.location), Route("/operations/{until}/status", self.status)]

    async def location(self, request: Request) -> Response:
        """The target of a ``Location``: 202 until the operation ends, then 204."""
        return finishing(request, self._workspace.clock, _instant(request), 204)

    async def status(self, request: Request) -> Response:
        """The target of an ``Azure-AsyncOperation``."""
        if self._workspace.clock.now() < _instant(request):
            return reply({"status": "InProgress"}, headers={"Retry-After": _RETRY_AFTER})
        if problem := self._workspace.quirks.provisioning_fails:
            return reply({"status": "Failed", "error": {"code": "UserError", "message": problem}})
        return reply({"status": "Succeeded", "percentComplete": 100.0})


def finishing(request: Request, clock: Clock, until: float | None, finished: int = 200) -> Response:
    """The reply, without a body, to a request whose operation ends at an instant: 202 before it, else ``finished``."""
    if until is None or until <= clock.now():
        return Response(status_code=finished)
    headers = {"Location": operation_url(request, until, "location"), "Retry-After": _RETRY_AFTER}
    return Response(status_code=202, headers=headers)


def deleting(request: Request, workspace: Workspace) -> Response:
    """The reply to the DELETE of a resource that existed."""
    return finishing(request, workspace.clock, workspace.clock.now() + workspace.quirks.slow_delete)


def provisioning(
    request: Request, workspace: Workspace, thing: Provisioned, found: JsonObject, status: int
) -> Response:
    """The reply to a PUT of a resource; with an address to poll while it is provisioned.

    Without the header a client takes the state of the reply as it is (azureml-v2-rest 2.6).
    """
    headers = {}
    if thing.provisioned > workspace.clock.now():
        headers["Azure-AsyncOperation"] = operation_url(request, thing.provisioned, "status")
        headers["Retry-After"] = _RETRY_AFTER
    return reply(found, status, headers)


def operation_url(request: Request, until: float, kind: str) -> str:
    """The address to poll for an operation that ends at an instant; ``kind`` is ``location`` or ``status``."""
    return f"{base_url(request)}{scope_of(request).path}/operations/{int(until * 1000)}/{kind}"


def _instant(request: Request) -> float:
    text = request.path_params["until"]
    if not text.isdecimal() or len(text) > len("9999999999999"):
        raise not_found(f"Operation {text[:80]}")
    return int(text) / 1000
