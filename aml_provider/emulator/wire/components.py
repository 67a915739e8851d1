"""The JSON of components and their versions. The inside of ``componentSpec`` is snake_case (azureml-v2-rest 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aml_provider.emulator.wire.arm import resource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aml_provider.emulator.workspace.body import JsonObject
    from aml_provider.emulator.workspace.component_models import Component, ComponentInput

_SCHEMA = "https://azuremlschemas.azureedge.net/latest/{}Component.schema.json"


def container_dto(versions: Sequence[Component], scope: str) -> JsonObject:
    """A component with the names of its newest and next version; ``versions`` are all its versions, oldest first."""
    newest = versions[-1]
    numbers = [int(item.version) for item in versions if item.version.isdecimal()]
    properties: JsonObject = {
        "description": newest.description,
        "tags": {},
        "properties": {},
        "isArchived": all(item.archived for item in versions),
        "latestVersion": newest.version,
        "nextVersion": str(max(numbers, default=0) + 1),
    }
    return resource(scope, "components", f"components/{newest.name}", properties, versions[0].created)


def component_dto(component: Component, scope: str) -> JsonObject:
    """A version of a component."""
    properties = {
        "description": component.description,
        "tags": component.tags,
        "properties": component.properties,
        "isArchived": component.archived,
        "isAnonymous": False,
        "provisioningState": "Succeeded",
        "componentSpec": _spec(component, scope),
    }
    return resource(scope, "components", version_path(component), properties, component.created)


def version_path(component: Component) -> str:
    """The path of a version below the workspace."""
    return f"components/{component.name}/versions/{component.version}"


def _spec(component: Component, scope: str) -> JsonObject:
    spec: JsonObject = {
        "$schema": _SCHEMA.format(component.type),
        "name": component.name,
        "version": component.version,
        "display_name": component.display_name or component.name,
        "type": component.type,
        "is_deterministic": True,
        "inputs": {item.name: _input(item) for item in component.inputs},
        "outputs": {name: {"type": kind} for name, kind in component.outputs.items()},
    }
    if component.description is not None:
        spec["description"] = component.description
    if component.type == "pipeline":
        spec["jobs"] = {
            step.name: {
                "type": "command",
                # With azureml: in front Microsoft's SDK cannot build a job from the component.
                "component": f"{scope}/components/{component.name}_{step.name}/versions/{component.version}",
                "compute": f"{scope}/computes/{step.target}",
                "inputs": {},
                "outputs": {},
                "_source": "REMOTE.WORKSPACE.COMPONENT",
            }
            for step in component.steps
        }
    return spec


def _input(item: ComponentInput) -> JsonObject:
    given = {"default": item.default, "min": item.min, "max": item.max, "description": item.description}
    return {
        "type": item.type,
        "optional": item.optional,
        **{key: value for key, value in given.items() if value is not None},
        **({"enum": item.enum} if item.enum else {}),
    }
