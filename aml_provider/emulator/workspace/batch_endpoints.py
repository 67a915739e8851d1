"""The batch endpoints of the v2 API with their deployments, and the jobs that their invocation starts."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any

from aml_provider.emulator.workspace.body import Body, JsonObject
from aml_provider.emulator.workspace.component_models import DATA_TYPES
from aml_provider.emulator.workspace.core import find
from aml_provider.emulator.workspace.errors import bad_request, not_found
from aml_provider.emulator.workspace.models import Job

if TYPE_CHECKING:
    from aml_provider.emulator.workspace.component_models import BatchEndpoint, Component, Deployment
    from aml_provider.emulator.workspace.components import Components
    from aml_provider.emulator.workspace.core import Core
    from aml_provider.emulator.workspace.jobs import Jobs
    from aml_provider.emulator.workspace.models import Run

# In an invocation the types are in PascalCase (azureml-v2-rest 3.2): UriFolder, MLTable, CustomModel.
_TYPES = {re.sub("_", "", name): name for name in ("literal", *DATA_TYPES)}
# For endpoints and deployments alike; Microsoft's SDK checks the same.
_NAME = re.compile(r"(?=.{3,32}\Z)[A-Za-z][A-Za-z0-9-]*[A-Za-z0-9]")

InvocationHeaders = tuple[str | None, str | None]
"""The deployment and the request id of an invocation, each None if it is not given."""


class BatchEndpoints:
    """All batch endpoints."""

    def __init__(self, core: Core, components: Components, jobs: Jobs) -> None:
        self._core = core
        self._components = components
        self._jobs = jobs
        self._endpoints: dict[str, BatchEndpoint] = {}

    def all(self) -> list[BatchEndpoint]:
        """All batch endpoints, oldest first."""
        return list(self._endpoints.values())

    def load(self, endpoint: BatchEndpoint) -> None:
        """Add a batch endpoint from a file."""
        self._endpoints[endpoint.name] = endpoint

    def get(self, name: str) -> BatchEndpoint:
        """A batch endpoint by name."""
        return find(self._endpoints, name, "BatchEndpoint")

    def deployment(self, endpoint: BatchEndpoint, name: str) -> Deployment:
        """A deployment of a batch endpoint."""
        found = next((item for item in endpoint.deployments if item.name == name), None)
        if found is None:
            raise not_found(f"Deployment {name} of BatchEndpoint {endpoint.name}")
        return found

    def component(self, deployment: Deployment) -> Component:
        """The component that a deployment runs."""
        component = self._components.referred(deployment.component)
        # Checked when it was written, or read from a seed; and components cannot be deleted.
        assert component is not None
        return component

    def default_component(self, endpoint: BatchEndpoint) -> Component | None:
        """The component behind an endpoint's default deployment, if it has one."""
        name = endpoint.default_deployment
        return None if name is None else self.component(self.deployment(endpoint, name))

    def put(self, new: BatchEndpoint) -> tuple[BatchEndpoint, bool]:
        """Create a batch endpoint, or replace all of an existing one but its deployments; also whether it is new.

        Raises:
            ServiceError: The name is not valid, or the default deployment does not exist.
        """
        _check_name("endpoint", new.name)
        with self._core.changing():
            current = self._endpoints.get(new.name)
            new.deployments = current.deployments if current is not None else []
            if new.default_deployment not in (None, *(item.name for item in new.deployments)):
                raise bad_request(
                    f"The default deployment {new.default_deployment} of BatchEndpoint {new.name} does not exist.",
                    "DeploymentNotFound",
                )
            now = self._core.instant()
            new.created = now if current is None else current.created
            self._core.provision(new, now)
            # A new mapping, as other threads may still be reading the old one.
            self._endpoints = {**self._endpoints, new.name: new}
        return new, current is None

    def put_deployment(self, name: str, new: Deployment) -> tuple[Deployment, bool]:
        """Create a deployment of an endpoint, or replace an existing one; also whether it is new.

        Raises:
            ServiceError: There is no such endpoint, the name is not valid, or the component cannot be deployed.
        """
        _check_name("deployment", new.name)
        component = self._components.referred(new.component)
        if component is None:
            raise bad_request(f"Component {new.component} was not found.", "ComponentNotFound")
        if component.type != "pipeline":
            raise bad_request(
                f"Component {component.id} is a {component.type}; only a pipeline can be deployed.", "ComponentType"
            )
        new.component = component.id
        with self._core.changing():
            endpoint = self.get(name)
            current = next((item for item in endpoint.deployments if item.name == new.name), None)
            now = self._core.instant()
            new.created = now if current is None else current.created
            self._core.provision(new, now)
            endpoint.deployments = [new if item is current else item for item in endpoint.deployments]
            if current is None:
                endpoint.deployments.append(new)
        return new, current is None

    def delete(self, name: str) -> bool:
        """Delete an endpoint with its deployments; False if it does not exist. Its jobs remain."""
        with self._core.changing():
            found = name in self._endpoints
            self._endpoints = {key: item for key, item in self._endpoints.items() if key != name}
        return found

    def delete_deployment(self, name: str, deployment: str) -> bool:
        """Delete a deployment that is not the default one; False if it or its endpoint does not exist."""
        with self._core.changing():
            endpoint = self._endpoints.get(name)
            if endpoint is None or deployment not in {item.name for item in endpoint.deployments}:
                return False
            if endpoint.default_deployment == deployment:
                raise bad_request(
                    f"Deployment {deployment} is the default of BatchEndpoint {name}. Set another default first.",
                    "IsDefault",
                )
            endpoint.deployments = [item for item in endpoint.deployments if item.name != deployment]
        return True

    def invoke(self, name: str, body: object, component_scope: str, headers: InvocationHeaders) -> Run:
        """Start a job of the endpoint. For a repeated request, return the job of the first request.

        Args:
            name: The endpoint.
            body: The body of the request; the case of its keys does not matter, as in the service.
            component_scope: The ARM id of the workspace, which begins the component's id.
            headers: The request's headers, which name the deployment and the request.

        Raises:
            ServiceError: The endpoint or deployment does not exist, or the body does not fit the component.
        """
        endpoint = self.get(name)
        deployment_name, request_id = headers
        if deployment_name is None and endpoint.default_deployment is None:
            raise bad_request(f"BatchEndpoint {name} has no default deployment.", "NoDefaultDeployment")
        deployment = self.deployment(endpoint, deployment_name or endpoint.default_deployment or "")
        if request_id and (repeated := self._repeated(name, request_id)):
            return repeated
        if (state := self._core.provisioning(deployment)) in ("Creating", "Failed"):
            raise bad_request(f"Deployment {deployment.name} of BatchEndpoint {name} is {state}.", "DeploymentNotReady")
        component = self.component(deployment)
        given = Body(body).object("properties") or Body({})
        more = given.object("properties") or Body({})
        marks = {
            "azureml.endpointname": name,
            "azureml.deploymentname": deployment.name,
            "azureml.runLineageType": "batchDeployment",
        }
        properties = {
            "jobType": "Pipeline",
            "componentId": f"{component_scope}/components/{component.name}/versions/{component.version}",
            "experimentName": more.text("experimentName") or name,
            "inputs": {key: _input(key, value) for key, value in given.mapping("inputData").items()},
            "outputs": {key: _output(key, value) for key, value in given.mapping("outputData").items()},
            "jobs": {},
            "settings": dict(deployment.settings),
            "description": deployment.job_description,
            "tags": {**deployment.job_tags, "azureml.batchrun": "true", "azureml.deploymentname": deployment.name},
            "properties": marks,
        }
        request = self._jobs.read(properties)
        job = Job(request.definition, endpoint=name, deployment=deployment.name, request_id=request_id)
        return self._jobs.start(f"pipelinejob-{uuid.uuid4()}", request, job)

    def jobs(self, endpoint: BatchEndpoint, deployment: str | None = None) -> list[Run]:
        """The jobs that were started by invoking an endpoint, or one of its deployments; newest first."""
        return [
            run
            for run in self._jobs.listed()
            if run.job is not None and run.job.endpoint == endpoint.name and deployment in (None, run.job.deployment)
        ]

    def _repeated(self, endpoint: str, request_id: str) -> Run | None:
        return next(
            (
                run
                for run in self._jobs.all()
                if run.job is not None and (run.job.endpoint, run.job.request_id) == (endpoint, request_id)
            ),
            None,
        )


def _check_name(kind: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise bad_request(
            f"Invalid {kind} name {name[:80]!r}: 3 to 32 letters, digits and -, the first a letter, the last not -."
        )


def _input(name: str, value: object) -> JsonObject:
    """A job's input, made from an invocation's input, in which literals keep their JSON type."""
    item = Body(value, f"The input {name}")
    kind = _type(name, item.text("jobInputType"))
    if kind == "literal":
        return {"jobInputType": kind, "value": item.scalar("value") or ""}
    return {"jobInputType": kind, "uri": item.required("uri")}


def _output(name: str, value: object) -> JsonObject:
    item = Body(value, f"The output {name}")
    kind = _type(name, item.text("jobOutputType"))
    found: dict[str, Any] = {"jobOutputType": kind, "uri": item.text("uri"), "mode": item.text("mode")}
    return {key: text for key, text in found.items() if text is not None}


def _type(name: str, text: str | None) -> str:
    kind = _TYPES.get((text or "").lower())
    if kind is None:
        raise bad_request(f"The type of {name} is {text!r}, not one of Literal, UriFile, UriFolder, MLTable, …")
    return kind
