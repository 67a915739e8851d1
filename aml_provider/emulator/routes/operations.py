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


def operation_url(request: Request, until: float, kind: str) -> str:
    """The address to poll for an operation that ends at an instant; ``kind`` is ``location`` or ``status``."""
    return f"{base_url(request)}{scope_of(request).path}/operations/{int(until * 1000)}/{kind}"


def _instant(request: Request) -> float:
    text = request.path_params["until"]
    if not text.isdecimal() or len(text) > len("9999999999999"):
        raise not_found(f"Operation {text[:80]}")
    return int(text) / 1000
