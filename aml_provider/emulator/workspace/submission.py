"""Submissions: parsed leniently, checked against the pipeline's interface."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aml_provider.emulator.workspace.body import Body, named
from aml_provider.emulator.workspace.errors import bad_request
from aml_provider.emulator.workspace.models import DataParameter, DataPath, Datastore, Parameter, Pipeline

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

RUN_TYPES = ("HTTP", "SDK", "Schedule", "Portal")
ENTITY_STATUSES = ("Active", "Deprecated", "Disabled")
FAIL_AT = "emulator.fail_at"
"""A tag or property of a run: the step that should fail."""
FAIL_WITH = "emulator.fail_with"
"""A tag or property of a run: the message of that failure, which is also the last line of the step's log."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,254}")


@dataclass(frozen=True, slots=True)
class Submission:
    """A ``PipelineSubmissionInfo``."""

    experiment: str
    description: str | None = None
    run_source: str | None = None
    run_type: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    data_paths: Mapping[str, DataPath] = field(default_factory=dict)
    datasets: Mapping[str, Any] = field(default_factory=dict)
    continue_on_step_failure: bool | None = None
    enable_notification: bool | None = None
    tags: Mapping[str, str | None] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_wire(cls, body: object) -> Submission:
        """Parse the body of a request; the case of its keys does not matter, as in the service."""
        given = Body(body)
        return cls(
            experiment=given.required("ExperimentName", "ExperimentNameRequired"),
            description=given.text("Description"),
            run_source=given.text("RunSource"),
            run_type=given.choice("RunType", RUN_TYPES),
            parameters=given.texts("ParameterAssignments"),
            data_paths=data_paths(given),
            datasets=dataset_values(given),
            continue_on_step_failure=given.flag("ContinueRunOnStepFailure"),
            enable_notification=given.flag("EnableNotification"),
            tags=given.tags(),
            properties=given.texts("Properties"),
        )

    @property
    def failure(self) -> tuple[str, str] | None:
        """The step that should fail, and the message of its failure; None if no step should fail."""
        given = {**self.properties, **self.tags}
        step = given.get(FAIL_AT)
        return (step, given.get(FAIL_WITH) or f"Requested by {FAIL_AT}.") if step else None

    def check(self, pipeline: Pipeline, datastores: Mapping[str, Datastore]) -> None:
        """Refuse unknown names, and missing values of required parameters."""
        paths = [item.name for item in pipeline.data_paths]
        datasets = [*(item.name for item in pipeline.datasets), *paths]
        check_names("parameter", self.parameters, [item.name for item in pipeline.parameters])
        check_names("data path parameter", self.data_paths, paths)
        check_names("dataset parameter", self.datasets, datasets)
        given = {*self.parameters, *self.data_paths, *self.datasets}
        declared: list[Parameter | DataParameter] = [*pipeline.parameters, *pipeline.data_paths, *pipeline.datasets]
        for item in declared:
            if item.required and item.name not in given:
                raise bad_request(f"The required parameter {item.name} has no value.", "ParameterMissing")
        for name, path in self.data_paths.items():
            if path.datastore not in datastores:
                raise bad_request(f"Datastore {path.datastore} of {name} was not found.", "DatastoreNotFound")
        if self.failure is not None:
            check_names("step", {self.failure[0]: ""}, [step.name for step in pipeline.steps])


def data_paths(given: Body) -> dict[str, DataPath]:
    """The ``DataPathAssignments`` of a body."""
    return {name: data_path(name, value) for name, value in given.mapping("DataPathAssignments").items()}


def data_path(name: str, value: object) -> DataPath:
    """A data path from its two keys; ``name`` is for error messages."""
    given = Body(value, f"The data path {name}")
    store = given.text("DataStoreName")
    if not store:
        raise bad_request(f"DataStoreName of {name} is required.")
    return DataPath(store, given.text("RelativePath") or "")


def dataset_values(given: Body) -> dict[str, Any]:
    """The ``DataSetDefinitionValueAssignments`` of a body, unchanged."""
    values = given.mapping("DataSetDefinitionValueAssignments")
    for name, value in values.items():
        Body(value, f"The dataset {name}")
    return values


def check_name(kind: str, name: str) -> None:
    """Refuse an invalid name of an experiment, a job or a job schedule (azureml-v2-rest 4.1)."""
    if not _NAME.fullmatch(name):
        raise bad_request(
            f"Invalid {kind} name {name[:80]!r}: 1 to 255 letters, digits, - and _, the first a letter or a digit."
        )


def entity_status(value: object) -> str:
    """An ``EntityStatus`` by name or by number.

    Raises:
        ServiceError: The status does not exist.
    """
    status = named(value, ENTITY_STATUSES)
    if status not in ENTITY_STATUSES:
        raise bad_request(f"{value!r} is not an EntityStatus; use {', '.join(ENTITY_STATUSES)}.")
    return str(status)


def check_names(kind: str, given: Mapping[str, Any], known: Iterable[str]) -> None:
    """Refuse names that the pipeline does not have."""
    unknown = sorted(given.keys() - set(known))
    if unknown:
        raise bad_request(f"The pipeline has no {kind} {', '.join(unknown)}.", "ParameterUnknown")
