"""What a caller submits: read leniently, checked against the pipeline's interface."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aml_provider.emulator.errors import bad_request
from aml_provider.emulator.models import DataParameter, DataPath, Datastore, Parameter, Pipeline


@dataclass(frozen=True, slots=True)
class Submission:
    """A ``PipelineSubmissionInfo``."""

    experiment: str
    description: str | None
    run_source: str
    run_type: str
    parameters: Mapping[str, str]
    data_paths: Mapping[str, DataPath]
    datasets: Mapping[str, Any]
    continue_on_step_failure: bool | None
    tags: Mapping[str, str | None]
    properties: Mapping[str, str]

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
            run_source=given.get("runsource") or "Unavailable",
            run_type=given.get("runtype") or "HTTP",
            parameters=_texts(_mapping(given, "parameterassignments")),
            data_paths={name: _data_path(name, value) for name, value in paths.items()},
            datasets=_mapping(given, "datasetdefinitionvalueassignments"),
            continue_on_step_failure=given.get("continuerunonstepfailure"),
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
