"""The body of a job: parsed strictly where a client could confuse v1 and v2, and checked against the component."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aml_provider.emulator.workspace.body import Body
from aml_provider.emulator.workspace.component_models import DATA_TYPES, LITERAL_TYPES, Component
from aml_provider.emulator.workspace.errors import bad_request
from aml_provider.emulator.workspace.models import DataPath, Job, Step, stable_id
from aml_provider.emulator.workspace.submission import Submission, check_names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aml_provider.emulator.workspace.components import Components
    from aml_provider.emulator.workspace.models import Datastore

CHANGEABLE = ("description", "tags", "displayName", "properties", "isArchived")
"""The properties that a second PUT may change (azureml-v2-rest 4.3)."""

LITERAL = "literal"
_DEFAULT_EXPERIMENT = "Default"
# The short form, the long form, and that with the datastore's ARM id (azureml-v2-rest 4.2).
_DATASTORE_URI = re.compile(r"(?i)azureml:/.*/?datastores/(?P<store>[^/]+)/paths/(?P<path>.*)")


@dataclass(frozen=True, slots=True)
class JobRequest:
    """A requested job.

    Attributes:
        definition: Those of its properties that never change later, as they were sent.
        submission: Its inputs in the form of a run of a published pipeline: texts and places by name.
        inputs: The text or address of each input.
        component: The component that it runs; None for a job of steps.
    """

    definition: dict[str, Any]
    submission: Submission
    inputs: dict[str, str]
    component: Component | None
    steps: list[Step]
    display_name: str | None
    archived: bool | None

    @classmethod
    def from_wire(cls, properties: object, components: Components, find_job: Callable[[str], Job | None]) -> JobRequest:
        """The job that the ``properties`` of a body describe.

        ``find_job`` finds the job that ``sourceJobId`` names.

        Raises:
            ServiceError: Something in them is missing, wrong or unknown.
        """
        given = Body(properties, "properties")
        if given.text("jobType") != "Pipeline":
            raise bad_request(f"jobType {given.get('jobType')!r} is not supported; only Pipeline is.")
        assert isinstance(properties, dict)
        definition = {key: value for key, value in properties.items() if key not in CHANGEABLE and value is not None}
        source = _source(given, find_job)
        if source is not None:
            definition = source.definition | {key: value for key, value in definition.items() if value}
        merged = Body(definition)
        component = _component(merged, components)
        literals, data = _inputs(merged)
        paths = {name: path for name, item in data.items() if (path := _place(item["uri"])) is not None}
        settings = merged.object("settings") or Body({})
        return cls(
            definition=definition,
            submission=Submission(
                experiment=merged.text("experimentName") or _DEFAULT_EXPERIMENT,
                description=given.text("description"),
                parameters=literals,
                data_paths=paths,
                datasets={name: item for name, item in data.items() if name not in paths},
                continue_on_step_failure=settings.flag("continue_on_step_failure") or False,
                tags=given.tags(),
                properties=given.texts("properties"),
            ),
            inputs=literals | {name: item["uri"] for name, item in data.items()},
            component=component,
            steps=_inline_steps(merged, components) if component is None else list(component.steps),
            display_name=given.text("displayName"),
            archived=given.flag("isArchived"),
        )

    def check(self, datastores: Mapping[str, Datastore]) -> None:
        """Refuse inputs that the component does not have or that do not fit it, and refuse missing inputs."""
        submission = self.submission
        for name, path in submission.data_paths.items():
            if path.datastore not in datastores:
                raise bad_request(f"Datastore {path.datastore} of {name} was not found.", "DatastoreNotFound")
        if self.component is not None:
            _check_inputs(self.component, submission)
        if submission.failure is not None:
            check_names("step", {submission.failure[0]: ""}, [step.name for step in self.steps])


def _source(given: Body, find_job: Callable[[str], Job | None]) -> Job | None:
    reference = given.text("sourceJobId")
    if not reference:
        return None
    job = find_job(reference.rpartition("/")[2])
    if job is None:
        raise bad_request(f"The job {reference} of sourceJobId was not found.", "SourceJobNotFound")
    return job


def _component(given: Body, components: Components) -> Component | None:
    reference = given.text("componentId")
    if not reference:
        return None
    component = components.referred(reference)
    if component is None:
        raise bad_request(f"The component {reference} was not found.", "ComponentNotFound")
    if component.type != "pipeline":
        raise bad_request(f"The component {component.id} is of type {component.type}; a job needs one of pipeline.")
    return component


def _inline_steps(given: Body, components: Components) -> list[Step]:
    """The steps of a job without a component of its own: those of the pipeline components among its ``jobs``."""
    steps: list[Step] = []
    for name, value in given.mapping("jobs").items():
        node = Body(value, f"The job {name}")
        component = components.referred(node.text("componentId") or "")
        if component is not None and component.steps:
            steps += component.steps
        else:
            # The emulator cannot run the code of an unknown component: it takes a second and succeeds.
            steps.append(Step(name, node_id=stable_id(f"node/{name}")[:8]))
    if not steps:
        raise bad_request("componentId is required, or jobs with at least one step.", "ComponentRequired")
    return steps


def _inputs(given: Body) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """The literals, and the data with its type and address, each by the name of the input."""
    literals: dict[str, str] = {}
    data: dict[str, dict[str, str]] = {}
    for name, value in given.mapping("inputs").items():
        if value is None:
            continue
        item = Body(value, f"The input {name}")
        kind = item.text("jobInputType")
        if kind == LITERAL:
            text = item.get("value")
            if not isinstance(text, str):
                raise bad_request(f"The value of the input {name} is {text!r}, not a text.")
            literals[name] = text
        elif kind in DATA_TYPES:
            data[name] = {"jobInputType": str(kind), "uri": item.required("uri")}
        else:
            known = ", ".join((LITERAL, *DATA_TYPES))
            raise bad_request(f"The jobInputType of the input {name} is {kind!r}, not one of {known}.")
    return literals, data


def _place(uri: str) -> DataPath | None:
    """The place in a datastore that an address names; None if it names something else."""
    match = _DATASTORE_URI.fullmatch(uri)
    return DataPath(match["store"], match["path"]) if match else None


def _check_inputs(component: Component, submission: Submission) -> None:
    known = {item.name: item for item in component.inputs}
    data = {**submission.data_paths, **submission.datasets}
    given = {**submission.parameters, **data}
    if unknown := sorted(given.keys() - known.keys()):
        raise bad_request(f"The component {component.id} has no input {', '.join(unknown)}.", "InputUnknown")
    for item in component.inputs:
        if item.required and item.name not in given:
            raise bad_request(f"The required input {item.name} has no value.", "InputMissing")
        if item.name in data and item.type in LITERAL_TYPES:
            raise bad_request(f"The input {item.name} is of type {item.type}, so it needs a literal.", "InputType")
        if item.name in submission.parameters and item.type in DATA_TYPES:
            raise bad_request(f"The input {item.name} is of type {item.type}, so it needs a uri.", "InputType")
