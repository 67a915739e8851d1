"""The JSON of batch endpoints and their deployments, written and read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aml_provider.emulator.wire.arm import resource
from aml_provider.emulator.wire.components import version_path
from aml_provider.emulator.workspace.body import Body
from aml_provider.emulator.workspace.component_models import BatchEndpoint, Deployment
from aml_provider.emulator.workspace.errors import bad_request

if TYPE_CHECKING:
    from aml_provider.emulator.workspace.body import JsonObject
    from aml_provider.emulator.workspace.component_models import Component

_KIND = "batchEndpoints"


def endpoint_dto(endpoint: BatchEndpoint, state: str, scope: str, base: str, location: str) -> JsonObject:
    """A batch endpoint with its provisioning state; ``base`` is the emulator's address, for the address to invoke."""
    default = endpoint.default_deployment
    properties = {
        "authMode": "AADToken",
        "description": endpoint.description,
        "properties": endpoint.properties,
        "scoringUri": f"{base}/inference/v1.0{scope}/{_KIND}/{endpoint.name}/jobs",
        "swaggerUri": None,
        "provisioningState": state,
        "defaults": None if default is None else {"deploymentName": default},
    }
    more = {"location": location, "tags": endpoint.tags, "kind": None, "identity": None}
    return resource(scope, _KIND, f"{_KIND}/{endpoint.name}", properties, endpoint.created, **more)


def deployment_dto(
    deployment: Deployment, state: str, component: Component, endpoint_path: str, location: str
) -> JsonObject:
    """A deployment of a component; ``endpoint_path`` is the ARM id of its endpoint.

    Microsoft's SDK cannot read a deployment whose ``settings`` are null.
    """
    scope, _, path = endpoint_path.rpartition(f"/{_KIND}/")
    properties = {
        # Fields of deployments of models.
        **dict.fromkeys(("compute", "miniBatchSize", "retrySettings", "outputAction", "outputFileName")),
        **dict.fromkeys(("model", "resources")),
        "environmentVariables": {},
        "errorThreshold": -1,
        "loggingLevel": "Info",
        "maxConcurrencyPerInstance": 1,
        "description": deployment.description,
        "properties": deployment.properties
        | {
            f"componentDeployment.Settings.{name}": value
            for name, value in deployment.settings.items()
            if name == "continue_on_step_failure"
        },
        "deploymentConfiguration": {
            "deploymentConfigurationType": "PipelineComponent",
            "componentId": {"referenceType": "Id", "assetId": f"{scope}/{version_path(component)}"},
            "description": deployment.job_description,
            "settings": deployment.settings,
            "tags": deployment.job_tags or None,
        },
        "provisioningState": state,
    }
    path = f"{_KIND}/{path}/deployments/{deployment.name}"
    more = {"location": location, "tags": deployment.tags, "kind": None, "identity": None}
    return resource(scope, f"{_KIND}/deployments", path, properties, deployment.created, **more)


def read_endpoint(name: str, body: Body) -> BatchEndpoint:
    """The batch endpoint that a body describes.

    Raises:
        ServiceError: Something in it is missing or wrong.
    """
    properties = _properties(body)
    # Microsoft's SDK sends aadToken, and the service accepts it.
    mode = properties.text("authMode")
    if (mode or "").lower() != "aadtoken":
        raise bad_request(f"The authMode {mode!r} is not supported; only AADToken is.", "AuthMode")
    defaults = properties.object("defaults") or Body({})
    return BatchEndpoint(
        name=name,
        # An empty name is no default either.
        default_deployment=defaults.text("deploymentName") or None,
        description=properties.text("description"),
        tags=_tags(body),
        properties=properties.texts("properties"),
    )


def read_deployment(name: str, body: Body) -> Deployment:
    """The deployment of a component that a body describes.

    Raises:
        ServiceError: Something in it is missing or wrong, or it is a deployment of a model.
    """
    properties = _properties(body)
    configuration = properties.object("deploymentConfiguration") or Body({})
    kind = configuration.text("deploymentConfigurationType") or "Model"
    if kind != "PipelineComponent":
        raise bad_request(
            f"A deployment of the kind {kind!r} is not emulated; only PipelineComponent is. A deployment of a model "
            "needs the registered model and its scoring code, which the local workspace does not have.",
            "DeploymentKind",
        )
    reference = configuration.object("componentId") or Body({})
    if (how := reference.text("referenceType")) != "Id":
        raise bad_request(f"The referenceType of componentId is {how!r}; only Id is supported.")
    return Deployment(
        name=name,
        component=reference.required("assetId"),
        description=properties.text("description"),
        settings=configuration.texts("settings"),
        tags=_tags(body),
        properties=properties.texts("properties"),
        job_description=configuration.text("description"),
        job_tags=configuration.tags(),
    )


def _properties(body: Body) -> Body:
    # Of every resource that has a location; where it is makes no difference here.
    body.required("location", "LocationRequired")
    properties = body.object("properties")
    if properties is None:
        raise bad_request("properties is required.")
    return properties


def _tags(body: Body) -> dict[str, str | None]:
    """The tags, whose values the service wants neither null nor empty."""
    tags = body.tags()
    if empty := sorted(name for name, value in tags.items() if not value):
        raise bad_request(f"Tag values must not be null or empty: {', '.join(empty)}.", "TagValue")
    return tags
