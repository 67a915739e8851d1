"""Compute targets of the v2 API, which Microsoft's SDK reads before it submits a job that names a compute."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from aml_provider.emulator.routes.arm_paging import link_page
from aml_provider.emulator.routes.http import reply, scope_of
from aml_provider.emulator.wire.arm import resource

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from aml_provider.emulator.emulation import Emulation
    from aml_provider.emulator.workspace.body import JsonObject


class ComputeRoutes:
    """``/computes``. Jobs can name any compute here, so each name can be read; the list has those of components."""

    def __init__(self, emulation: Emulation) -> None:
        self._workspace = emulation.workspace

    def routes(self) -> list[Route]:
        """Under Azure Resource Manager."""
        return [Route("/computes", self.list), Route("/computes/{name}", self.get)]

    async def list(self, request: Request) -> Response:
        """The computes of the steps of components."""
        steps = (step for component in self._workspace.components.all() for step in component.steps)
        names = sorted({step.target for step in steps})
        found = [self._dto(request, name) for name in names]
        return link_page(request, found, self._workspace.quirks.page_size)

    async def get(self, request: Request) -> Response:
        """One compute."""
        return reply(self._dto(request, request.path_params["name"]))

    def _dto(self, request: Request, name: str) -> JsonObject:
        location = self._workspace.location
        properties = {
            "computeType": "AmlCompute",
            "computeLocation": location,
            "provisioningState": "Succeeded",
            "description": None,
            "isAttachedCompute": False,
            "properties": {
                "vmSize": "STANDARD_DS3_V2",
                "vmPriority": "Dedicated",
                "scaleSettings": {"minNodeCount": 0, "maxNodeCount": 1, "nodeIdleTimeBeforeScaleDown": "PT2M"},
                "allocationState": "Steady",
                "remoteLoginPortPublicAccess": "NotSpecified",
                "enableNodePublicIp": True,
            },
        }
        created = self._workspace.created
        return resource(
            scope_of(request).path, "computes", f"computes/{name}", properties, created, location=location, tags={}
        )
