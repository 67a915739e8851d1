"""The metric service: numbers, texts and tables that runs and steps logged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from aml_provider.emulator.routes.http import read_body, read_json, reply
from aml_provider.emulator.routes.paging import cut
from aml_provider.emulator.workspace import metrics
from aml_provider.emulator.workspace.body import Body
from aml_provider.emulator.workspace.errors import ServiceError, camel_envelope, not_found
from aml_provider.emulator.workspace.files import container_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from aml_provider.emulator.emulation import Emulation
    from aml_provider.emulator.workspace.models import Metric


class MetricRoutes:
    """``/runs/{id}/list``, ``/full`` and ``/batch``."""

    def __init__(self, emulation: Emulation) -> None:
        self._workspace = emulation.workspace

    def routes(self) -> list[Route]:
        """Under the metric service."""
        return [
            Route("/runs/{run_id}/list", self.list, methods=["POST"]),
            Route("/runs/{run_id}/full", self.full, methods=["POST"]),
            Route("/runs/{run_id}/batch", self.add, methods=["POST"]),
        ]

    async def list(self, request: Request) -> Response:
        """The names of a run's metrics."""
        given = Body(await read_json(request) or {})
        found = [metrics.definition_dto(metric) for metric in self._metrics(request).values()]
        page = cut(found, given.text("continuationToken"), None, self._workspace.quirks.page_size)
        return reply({**page, "nextLink": None})

    async def full(self, request: Request) -> Response:
        """All values of one metric."""
        name = (await read_body(request)).required("metricName")
        found = self._metrics(request).get(name)
        if found is None:
            raise not_found(f"Metric {name} of run {request.path_params['run_id']}")
        return reply(metrics.metric_dto(found, container_of(request.path_params["run_id"])))

    async def add(self, request: Request) -> Response:
        """Log values; the reply has an error for each value that cannot be logged."""
        found = self._metrics(request)
        errors = []
        now = self._workspace.clock.now()
        body = await read_body(request)
        with self._workspace.changing():
            for given, sent in zip(body.objects("values"), body.array("values"), strict=True):
                try:
                    metrics.add(found, given, now)
                except ServiceError as error:
                    errors.append({"metric": sent, "errorResponse": camel_envelope(error, now)})
        return reply({"errors": errors})

    def _metrics(self, request: Request) -> dict[str, Metric]:
        run, index = self._workspace.stored(request.path_params["run_id"])
        return run.metrics if index is None else run.steps[index].metrics
