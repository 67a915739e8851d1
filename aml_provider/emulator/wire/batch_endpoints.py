"""The JSON of batch endpoints and their deployments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aml_provider.emulator.wire.arm import resource
from aml_provider.emulator.wire.components import version_path

if TYPE_CHECKING:
    from aml_provider.emulator.workspace.body import JsonObject
    from aml_provider.emulator.workspace.component_models import BatchEndpoint, Component, Deployment

_KIND = "batchEndpoints"


def endpoint_dto(endpoint: BatchEndpoint, scope: str, base: str, location: str) -> JsonObject:
    """A batch endpoint; ``base`` is the emulator's address, for the address to invoke."""
    default = endpoint.default_deployment
    properties = {
        "authMode": "AADToken",
        "description": endpoint.description,
        "properties": endpoint.properties,
        "scoringUri": f"{base}/inference/v1.0{scope}/{_KIND}/{endpoint.name}/jobs",
        "swaggerUri": None,
        "provisioningState": "Succeeded",
        "defaults": None if default is None else {"deploymentName": default},
    }
    more = {"location": location, "tags": endpoint.tags, "kind": None, "identity": None}
    return resource(scope, _KIND, f"{_KIND}/{endpoint.name}", properties, endpoint.created, **more)


def deployment_dto(
    endpoint: BatchEndpoint, deployment: Deployment, component: Component, scope: str, location: str
) -> JsonObject:
    """A deployment of a component. Microsoft's SDK cannot read a deployment whose ``settings`` are null."""
    properties = {
        # Fields of deployments of models.
        **dict.fromkeys(("compute", "miniBatchSize", "retrySettings", "outputAction", "outputFileName")),
        **dict.fromkeys(("model", "resources")),
        "environmentVariables": {},
        "errorThreshold": -1,
        "loggingLevel": "Info",
        "maxConcurrencyPerInstance": 1,
        "description": deployment.description,
        "properties": {
            f"componentDeployment.Settings.{name}": value
            for name, value in deployment.settings.items()
            if name == "continue_on_step_failure"
        },
        "deploymentConfiguration": {
            "deploymentConfigurationType": "PipelineComponent",
            "componentId": {"referenceType": "Id", "assetId": f"{scope}/{version_path(component)}"},
            "description": None,
            "settings": deployment.settings,
            "tags": None,
        },
        "provisioningState": "Succeeded",
    }
    path = f"{_KIND}/{endpoint.name}/deployments/{deployment.name}"
    more = {"location": location, "tags": deployment.tags, "kind": None, "identity": None}
    return resource(scope, f"{_KIND}/deployments", path, properties, endpoint.created, **more)
