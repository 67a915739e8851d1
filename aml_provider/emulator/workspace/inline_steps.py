"""The steps of a job that has ``jobs`` of its own instead of a component, with the inputs of each."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aml_provider.emulator.workspace.body import Body
from aml_provider.emulator.workspace.errors import bad_request
from aml_provider.emulator.workspace.models import DataPath, Step, stable_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aml_provider.emulator.workspace.component_models import Component
    from aml_provider.emulator.workspace.components import Components

# The short form, the long form, and that with the datastore's ARM id (azureml-v2-rest 4.2).
_DATASTORE_URI = re.compile(r"(?i)azureml:/.*/?datastores/(?P<store>[^/]+)/paths/(?P<path>.*)")
_BINDING = re.compile(r"\$\{\{\s*parent\.inputs\.(?P<name>[^\s}]+)\s*\}\}")


@dataclass(frozen=True, slots=True)
class BoundStep:
    """A step, with the inputs of its node; if they are None, the step has the inputs of its job.

    Attributes:
        parameters: The texts by the names of the component's inputs, with its defaults.
        data_paths: The places by the names of the component's inputs.
    """

    step: Step
    parameters: dict[str, str] | None = None
    data_paths: dict[str, DataPath] | None = None


@dataclass(slots=True)
class _NodeInputs:
    names: set[str] = field(default_factory=set)
    parameters: dict[str, str] = field(default_factory=dict)
    data_paths: dict[str, DataPath] = field(default_factory=dict)


def inline_steps(
    nodes: Mapping[str, object], literals: Mapping[str, str], places: Mapping[str, DataPath], components: Components
) -> list[BoundStep]:
    """The steps of the pipeline components among some ``jobs``, one node after another.

    The emulator cannot run the code of any other node: such a node takes a second and succeeds.

    Args:
        nodes: The ``jobs``, whose inner keys are in snake_case (azureml-v2-rest 4.2).
        literals: The texts of the job's inputs.
        places: The places of the job's inputs.
        components: The registered components.

    Raises:
        ServiceError: There are no steps, or an input of a node is wrong, unknown or missing.
    """
    steps: list[BoundStep] = []
    for name, value in nodes.items():
        node = Body(value, f"The job {name}")
        component = components.referred(node.text("componentId") or "")
        if component is None or not component.steps:
            steps.append(BoundStep(Step(name, node_id=stable_id(f"node/{name}")[:8])))
            continue
        given = _inputs(name, node, literals, places)
        _check(name, component, given.names)
        parameters = components.defaults(component.id) | given.parameters
        steps += [BoundStep(step, parameters, given.data_paths) for step in component.steps]
    if not steps:
        raise bad_request("componentId is required, or jobs with at least one step.", "ComponentRequired")
    return steps


def place_of(uri: str) -> DataPath | None:
    """The place in a datastore that an address names; None if it names something else."""
    match = _DATASTORE_URI.fullmatch(uri)
    return DataPath(match["store"], match["path"]) if match else None


def _inputs(name: str, node: Body, literals: Mapping[str, str], places: Mapping[str, DataPath]) -> _NodeInputs:
    """The inputs of a node. One that is bound to an output of another node has a name but no value here."""
    found = _NodeInputs()
    for key, value in node.mapping("inputs").items():
        if value is None:
            continue
        found.names.add(key)
        item = Body(value, f"The input {key} of the job {name}")
        text = item.text("uri") or item.scalar("value") or ""
        bound = _BINDING.fullmatch(text)
        if bound is not None and bound["name"] in places:
            found.data_paths[key] = places[bound["name"]]
        elif "uri" in item:
            if (place := place_of(text)) is not None:
                found.data_paths[key] = place
        elif bound is None or bound["name"] in literals:
            found.parameters[key] = _BINDING.sub(lambda match: literals.get(match["name"], match[0]), text)
    return found


def _check(name: str, component: Component, given: set[str]) -> None:
    known = {item.name for item in component.inputs}
    if unknown := sorted(given - known):
        raise bad_request(f"The component {component.id} of {name} has no input {', '.join(unknown)}.", "InputUnknown")
    for item in component.inputs:
        if item.required and item.name not in given:
            raise bad_request(f"The required input {item.name} of {name} has no value.", "InputMissing")
