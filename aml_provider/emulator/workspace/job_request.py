"""The body of a job: parsed strictly where a client could confuse v1 and v2, and checked against the component."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aml_provider.emulator.workspace.body import Body
from aml_provider.emulator.workspace.component_models import DATA_TYPES, LITERAL_TYPES, Component
from aml_provider.emulator.workspace.errors import bad_request
from aml_provider.emulator.workspace.inline_steps import BoundStep, inline_steps, place_of
from aml_provider.emulator.workspace.submission import Submission, check_names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aml_provider.emulator.workspace.components import Components
    from aml_provider.emulator.workspace.models import Datastore, Job

CHANGEABLE = ("description", "tags", "displayName", "properties", "isArchived")
"""The properties that a second PUT may change (azureml-v2-rest 4.3)."""

# What replies have besides; Microsoft's SDK sends it back.
_READ_ONLY = ("status", "services", "parentJobName")
LITERAL = "literal"
_DEFAULT_EXPERIMENT = "Default"


@dataclass(frozen=True, slots=True)
class JobRequest:
    """A requested job.

    Attributes:
        definition: Its unchangeable properties, as they were sent.
        submission: Its inputs in the form of a run of a published pipeline: texts and places by name.
        inputs: The text or address of each input.
        component: The component that it runs; None for a job without a component.
    """

    definition: dict[str, Any]
    submission: Submission
    inputs: dict[str, str]
    component: Component | None
    steps: list[BoundStep]
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
        ignored = CHANGEABLE + _READ_ONLY
        definition = {key: value for key, value in properties.items() if key not in ignored and value is not None}
        source = _source(given, find_job)
        if source is not None:
            definition = source.definition | {key: value for key, value in definition.items() if value}
        definition = without_copied_steps(definition)
        merged = Body(definition)
        component = _component(merged, components)
        literals, data = _inputs(merged)
        paths = {name: path for name, item in data.items() if (path := place_of(item["uri"])) is not None}
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
            steps=(
                inline_steps(merged.mapping("jobs"), literals, paths, components)
                if component is None
                else [BoundStep(step) for step in component.steps]
            ),
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
            check_names("step", {submission.failure[0]: ""}, [bound.step.name for bound in self.steps])


def without_copied_steps(definition: dict[str, Any]) -> dict[str, Any]:
    """The definition of a job without the steps that Microsoft's SDK copies from the component into ``jobs``.

    Whether the service keeps these steps is not established. The SDK refuses to send a definition that has a component
    and ``jobs``. So if the service kept the steps, the SDK could neither enable nor disable a schedule that the SDK
    itself has created.
    """
    return {**definition, "jobs": {}} if definition.get("componentId") and definition.get("jobs") else definition


def _source(given: Body, find_job: Callable[[str], Job | None]) -> Job | None:
    reference = given.text("sourceJobId")
    if not reference:
        return None
    # An ARM id, or with the prefix of Microsoft's SDK.
    job = find_job(reference.rpartition("/")[2].removeprefix("azureml:"))
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
