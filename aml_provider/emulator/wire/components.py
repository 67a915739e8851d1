"""The JSON of components and their versions. The keys in ``componentSpec`` are in snake_case (azureml-v2-rest 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aml_provider.emulator.wire.arm import resource
from aml_provider.emulator.workspace.body import Body
from aml_provider.emulator.workspace.component_models import COMPONENT_TYPES, INPUT_TYPES, Component, ComponentInput
from aml_provider.emulator.workspace.errors import bad_request
from aml_provider.emulator.workspace.models import Step, stable_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aml_provider.emulator.workspace.body import JsonObject

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
        "componentSpec": component.spec or _spec(component, scope),
    }
    return resource(scope, "components", version_path(component), properties, component.created)


def read_version(name: str, version: str, body: Body, created: float) -> Component:
    """The version of a component that a body registers.

    The emulator cannot run the code behind the steps of a pipeline: each takes a second and succeeds.

    Raises:
        ServiceError: Something in it is missing or wrong, or its type is not emulated.
    """
    given = body.object("properties") or Body({})
    spec = given.mapping("componentSpec")
    if not spec:
        raise bad_request("componentSpec is required.")
    fields = Body(spec, "componentSpec")
    kind = fields.text("type")
    if kind not in COMPONENT_TYPES:
        raise bad_request(f"The type {kind!r} is not supported; only {' and '.join(COMPONENT_TYPES)} are.")
    outputs = {
        key: Body(value, f"The output {key}").required("type") for key, value in fields.mapping("outputs").items()
    }
    nodes = fields.mapping("jobs") if kind == "pipeline" else {}
    return Component(
        name=name,
        version=version,
        type=kind,
        display_name=fields.text("display_name"),
        description=given.text("description") or fields.text("description"),
        inputs=[_read_input(key, value) for key, value in fields.mapping("inputs").items()],
        outputs=outputs,
        steps=[Step(key, node_id=stable_id(f"node/{name}/{version}/{key}")[:8]) for key in nodes],
        tags=given.tags(),
        properties=given.texts("properties"),
        archived=given.flag("isArchived") or False,
        spec={**spec, "name": name, "version": version},
        created=created,
    )


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
    # Microsoft's SDK reads them here.
    if component.description is not None:
        spec["description"] = component.description
    if component.tags:
        spec["tags"] = component.tags
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
    else:
        spec["command"] = f"echo {component.name}"
        spec["environment"] = f"azureml:{scope}/environments/{component.name}/versions/{component.version}"
    return spec


def _input(item: ComponentInput) -> JsonObject:
    given = {"default": item.default, "min": item.min, "max": item.max, "description": item.description}
    return {
        "type": item.type,
        "optional": item.optional,
        **{key: value for key, value in given.items() if value is not None},
        **({"enum": item.enum} if item.enum else {}),
    }


def _read_input(name: str, value: object) -> ComponentInput:
    given = Body(value, f"The input {name}")
    if given.text("type") not in INPUT_TYPES:
        raise bad_request(
            f"The type of the input {name} is {given.get('type')!r}, not one of {', '.join(INPUT_TYPES)}."
        )
    return ComponentInput(
        name=name,
        type=given.required("type"),
        default=given.scalar("default"),
        optional=given.flag("optional") or False,
        description=given.text("description"),
        enum=[str(item) for item in given.array("enum")],
        min=given.scalar("min"),
        max=given.scalar("max"),
    )
