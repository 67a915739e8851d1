"""What a caller submits: read leniently, checked against the pipeline's interface."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aml_provider.emulator.errors import bad_request
from aml_provider.emulator.models import DataParameter, DataPath, Datastore, Parameter, Pipeline

_EXPERIMENT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,254}")


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
        """Read a request's body; its keys in any case, as the service does."""
        given = lower_keys(body)
        experiment = given.get("experimentname")
        if not isinstance(experiment, str) or not experiment:
            raise bad_request("ExperimentName is required.", "ExperimentNameRequired")
        paths = _mapping(given, "datapathassignments")
        return cls(
            experiment=experiment,
            description=given.get("description"),
            run_source=given.get("runsource"),
            run_type=given.get("runtype"),
            parameters=_texts(_mapping(given, "parameterassignments")),
            data_paths={name: _data_path(name, value) for name, value in paths.items()},
            datasets=_mapping(given, "datasetdefinitionvalueassignments"),
            continue_on_step_failure=given.get("continuerunonstepfailure"),
            enable_notification=given.get("enablenotification"),
            # A tag may be there without a value.
            tags={name: None if value is None else str(value) for name, value in _mapping(given, "tags").items()},
            properties=_texts(_mapping(given, "properties")),
        )

    def check(self, pipeline: Pipeline, datastores: Mapping[str, Datastore]) -> None:
        """Refuse names that the pipeline does not have, and a required one that is missing."""
        paths = [item.name for item in pipeline.data_paths]
        datasets = [*(item.name for item in pipeline.datasets), *paths]
        _check_names("parameter", self.parameters, [item.name for item in pipeline.parameters])
        _check_names("data path parameter", self.data_paths, paths)
        _check_names("dataset parameter", self.datasets, datasets)
        given = {*self.parameters, *self.data_paths, *self.datasets}
        declared: list[Parameter | DataParameter] = [*pipeline.parameters, *pipeline.data_paths, *pipeline.datasets]
        for item in declared:
            if item.default is None and not item.optional and item.name not in given:
                raise bad_request(f"The required parameter {item.name} has no value.", "ParameterMissing")
        for name, path in self.data_paths.items():
            if path.datastore not in datastores:
                raise bad_request(f"Datastore {path.datastore} of {name} was not found.", "DatastoreNotFound")


def lower_keys(body: object) -> dict[str, Any]:
    """A JSON object with its keys in lower case.

    Raises:
        ServiceError: The body is no JSON object.
    """
    if not isinstance(body, Mapping):
        raise bad_request("The body must be a JSON object.")
    return {str(key).lower(): value for key, value in body.items()}


def check_experiment_name(name: str) -> None:
    """Refuse what cannot be the name of an experiment."""
    if not _EXPERIMENT_NAME.fullmatch(name):
        raise bad_request(
            f"Invalid experiment name {name!r}: 1 to 255 letters, digits, - and _, the first a letter or a digit."
        )


def entity_status(value: object) -> str:
    """An ``EntityStatus`` by name or by number.

    Raises:
        ServiceError: There is no such status.
    """
    names = {"0": "Active", "1": "Deprecated", "2": "Disabled"}
    status = names.get(str(value), value)
    if status not in names.values():
        raise bad_request(f"{value!r} is no EntityStatus.")
    return str(status)


def _mapping(given: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = given.get(key) or {}
    if not isinstance(value, Mapping):
        raise bad_request(f"{key} must be a JSON object.")
    return dict(value)


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    # Callers of the REST API send numbers too, and the service keeps their text.
    return {name: value if isinstance(value, str) else str(value) for name, value in values.items()}


def _data_path(name: str, value: object) -> DataPath:
    given = lower_keys(value)
    if not given.get("datastorename"):
        raise bad_request(f"DataStoreName of {name} is required.")
    return DataPath(given["datastorename"], given.get("relativepath") or "")


def _check_names(kind: str, given: Mapping[str, Any], known: Iterable[str]) -> None:
    unknown = sorted(given.keys() - set(known))
    if unknown:
        raise bad_request(f"The pipeline has no {kind} {', '.join(unknown)}.", "ParameterUnknown")
