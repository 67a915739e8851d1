"""Batch endpoints of the v2 API: reading, writing, invoking, and the jobs that invocations started."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

from aml_provider.emulator.routes.arm_paging import link_page
from aml_provider.emulator.routes.http import base_url, read_body, read_json, reply, scope_of
from aml_provider.emulator.routes.operations import deleting, provisioning
from aml_provider.emulator.wire.batch_endpoints import deployment_dto, endpoint_dto, read_deployment, read_endpoint
from aml_provider.emulator.wire.jobs import job_dto

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request

    from aml_provider.emulator.emulation import Emulation
    from aml_provider.emulator.workspace.body import JsonObject
    from aml_provider.emulator.workspace.component_models import BatchEndpoint, Deployment
    from aml_provider.emulator.workspace.models import Run

_ENDPOINT = "/batchEndpoints/{endpoint}"
_DEPLOYMENT = f"{_ENDPOINT}/deployments/{{deployment}}"


class BatchEndpointRoutes:
    """``/batchEndpoints`` of three services: Azure Resource Manager, the scoring address, and the list of jobs."""

    def __init__(self, emulation: Emulation) -> None:
        self._workspace = emulation.workspace

    def routes(self) -> list[Route]:
        """Under Azure Resource Manager."""
        return [
            Route("/batchEndpoints", self.list),
            Route(_ENDPOINT, self.get),
            Route(_ENDPOINT, self.put, methods=["PUT"]),
            Route(_ENDPOINT, self.delete, methods=["DELETE"]),
            Route(f"{_ENDPOINT}/deployments", self.deployments),
            Route(_DEPLOYMENT, self.deployment),
            Route(_DEPLOYMENT, self.put_deployment, methods=["PUT"]),
            Route(_DEPLOYMENT, self.delete_deployment, methods=["DELETE"]),
        ]

    def scoring_routes(self) -> list[Route]:
        """Under the address that an endpoint names as its ``scoringUri``."""
        return [Route(f"{_ENDPOINT}/jobs", self.invoke, methods=["POST"])]

    def job_routes(self) -> list[Route]:
        """Under the management front end, which lists the jobs of endpoints (azureml-v2-rest 3.4)."""
        return [
            Route(f"{_ENDPOINT}/jobs", self.jobs),
            Route(f"{_DEPLOYMENT}/jobs", self.jobs),
        ]

    async def list(self, request: Request) -> Response:
        """The batch endpoints."""
        return self._page(
            request, [self._endpoint_dto(request, item) for item in self._workspace.batch_endpoints.all()]
        )

    async def get(self, request: Request) -> Response:
        """One batch endpoint."""
        return reply(self._endpoint_dto(request, self._endpoint(request)))

    async def put(self, request: Request) -> Response:
        """Create a batch endpoint, or replace everything in it but its deployments."""
        given = read_endpoint(request.path_params["endpoint"], await read_body(request))
        endpoint, created = self._workspace.batch_endpoints.put(given)
        found = self._endpoint_dto(request, endpoint)
        return provisioning(request, self._workspace, endpoint, found, 201 if created else 200)

    async def delete(self, request: Request) -> Response:
        """Delete a batch endpoint with its deployments."""
        if not self._workspace.batch_endpoints.delete(request.path_params["endpoint"]):
            return Response(status_code=204)
        return deleting(request, self._workspace)

    async def deployments(self, request: Request) -> Response:
        """The deployments of an endpoint."""
        endpoint = self._endpoint(request)
        return self._page(request, [self._deployment_dto(request, endpoint, item) for item in endpoint.deployments])

    async def deployment(self, request: Request) -> Response:
        """One deployment."""
        endpoint = self._endpoint(request)
        deployment = self._workspace.batch_endpoints.deployment(endpoint, request.path_params["deployment"])
        return reply(self._deployment_dto(request, endpoint, deployment))

    async def put_deployment(self, request: Request) -> Response:
        """Create a deployment of a component, or replace everything in it."""
        endpoint = self._endpoint(request)
        given = read_deployment(request.path_params["deployment"], await read_body(request))
        deployment, created = self._workspace.batch_endpoints.put_deployment(endpoint.name, given)
        found = self._deployment_dto(request, endpoint, deployment)
        return provisioning(request, self._workspace, deployment, found, 201 if created else 200)

    async def delete_deployment(self, request: Request) -> Response:
        """Delete a deployment that is not the default one."""
        names = request.path_params
        if not self._workspace.batch_endpoints.delete_deployment(names["endpoint"], names["deployment"]):
            return Response(status_code=204)
        return deleting(request, self._workspace)

    async def invoke(self, request: Request) -> Response:
        """Start a job of the component behind a deployment."""
        headers = request.headers.get("azureml-model-deployment"), request.headers.get("repeatability_request-id")
        name, scope = request.path_params["endpoint"], scope_of(request).path
        run = self._workspace.batch_endpoints.invoke(name, await read_json(request), scope, headers)
        assert run.job is not None
        path = f"{scope}/batchEndpoints/{name}/deployments/{run.job.deployment}/jobs/{run.id}"
        kind = "Microsoft.MachineLearningServices/workspaces/batchEndpoints/deployments/jobs"
        return reply({**self._job_dto(request, run), "id": path, "type": kind}, 201)

    async def jobs(self, request: Request) -> Response:
        """The jobs of an endpoint or of a deployment, newest first."""
        endpoint, name = self._endpoint(request), request.path_params.get("deployment")
        if name is not None:
            self._workspace.batch_endpoints.deployment(endpoint, name)
        return self._page(
            request, [self._job_dto(request, run) for run in self._workspace.batch_endpoints.jobs(endpoint, name)]
        )

    def _endpoint(self, request: Request) -> BatchEndpoint:
        return self._workspace.batch_endpoints.get(request.path_params["endpoint"])

    def _page(self, request: Request, found: Sequence[JsonObject]) -> Response:
        return link_page(request, found, self._workspace.quirks.page_size)

    def _endpoint_dto(self, request: Request, endpoint: BatchEndpoint) -> JsonObject:
        state, location = self._workspace.provisioning(endpoint), self._workspace.location
        return endpoint_dto(endpoint, state, scope_of(request).path, base_url(request), location)

    def _deployment_dto(self, request: Request, endpoint: BatchEndpoint, deployment: Deployment) -> JsonObject:
        component = self._workspace.batch_endpoints.component(deployment)
        state, location = self._workspace.provisioning(deployment), self._workspace.location
        path = f"{scope_of(request).path}/batchEndpoints/{endpoint.name}"
        return deployment_dto(deployment, state, component, path, location)

    def _job_dto(self, request: Request, run: Run) -> JsonObject:
        workspace = self._workspace
        return job_dto(run, workspace.view(run), scope_of(request).path, base_url(request), workspace.quirks)
