"""The request for a run: checked, and in the form of the wire."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from aml_provider.client.arguments import as_name, as_plain, shown, wrong_type
from aml_provider.client.errors import InvalidArgument, InvalidParameters
from aml_provider.client.models import DataPath

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aml_provider.client.entities import PipelineInterface

# The SDK's rule; the service's own is not documented.
_EXPERIMENT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,254}")
#: The forms of literals, by their v1 types.
# Narrower than Python's own parsers, which accept 1_000 and the digits of other scripts.
FORMS = {
    "Int": re.compile(r"\s*[+-]?[0-9]+\s*"),
    "Double": re.compile(r"\s*[+-]?(([0-9]+(\.[0-9]*)?|\.[0-9]+)(e[+-]?[0-9]+)?|inf(inity)?|nan)\s*", re.IGNORECASE),
    "Bool": re.compile(r"\s*(true|false)\s*", re.IGNORECASE),
}
# Microsoft's rule for a datastore's name, and the hyphen; it distinguishes a name from an address.
_DATASTORE = re.compile(r"[A-Za-z0-9_-]+")
_OURS = "airflow."
SUBMITTED_BY = "airflow.submitted_by"
"""This provider's own tag with the submitter of a run that no task of Airflow submitted."""


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """The request for a run of a published pipeline or of a component.

    Build it with :meth:`of`, which checks and normalises the values that a DAG author may write.
    """

    experiment_name: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    data_paths: Mapping[str, DataPath] = field(default_factory=dict)
    datasets: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    description: str | None = None
    continue_on_step_failure: bool | None = None
    compute: str | None = None

    @classmethod
    def of(
        cls,
        *,
        experiment_name: str,
        parameters: Mapping[str, Any] | None = None,
        data_paths: Mapping[str, Any] | None = None,
        datasets: Mapping[str, str] | None = None,
        tags: Mapping[str, Any] | None = None,
        description: str | None = None,
        continue_on_step_failure: bool | None = None,
        compute: str | None = None,
    ) -> RunRequest:
        """Build a request from an author's values.

        Args:
            experiment_name: 1 to 255 letters, digits, ``-`` and ``_``, a letter or digit first.
            parameters: Plain values, by name. They are sent as text in Python's ``str`` form, as Microsoft's SDK does.
            data_paths: By name: a :class:`DataPath`, a mapping with ``datastore`` and ``path``, or ``"store/path"``.
            datasets: By name: the id of a saved dataset; for a component the ``name:version`` of a data asset.
            tags: Tags of the run.
            description: The run's description; if it is None, it says which task submitted the run.
            continue_on_step_failure: Overrides the pipeline's own setting.
            compute: For a component: the compute for the steps that name no compute, by its name or its id in Azure
                Resource Manager.

        Raises:
            InvalidArgument: A value cannot be sent; the message names it.
        """
        return cls(
            experiment_name=as_experiment_name("experiment_name", experiment_name),
            parameters={
                name: as_plain(f"parameters[{name!r}]", value) for name, value in _items("parameters", parameters)
            },
            data_paths={
                name: as_data_path(f"data_paths[{name!r}]", value) for name, value in _items("data_paths", data_paths)
            },
            datasets={name: as_name(f"datasets[{name!r}]", value) for name, value in _items("datasets", datasets)},
            tags=as_tags(tags),
            description=None if description is None else as_plain("description", description),
            continue_on_step_failure=continue_on_step_failure,
            compute=None if compute is None else as_name("compute", compute),
        )

    @classmethod
    def of_arguments(cls, arguments: object) -> RunRequest:
        """Build a request from the attributes of an object with the names of the fields; a missing one is not given.

        Raises:
            InvalidArgument: A value cannot be sent; the message names it.
        """
        given: dict[str, Any] = {item.name: getattr(arguments, item.name, None) for item in fields(cls)}
        return cls.of(**given)

    def to_wire(self, *, own_tags: Mapping[str, str], notification: bool) -> dict[str, Any]:
        """The body of a published pipeline's submission, as Microsoft's SDK sends it; that of a job is in ``job.py``.

        Args:
            own_tags: This provider's own tags. They go into the tags and into the properties, because which of the two
                reaches the run history is not established for every workspace.
            notification: Whether the target accepts ``EnableNotification`` (published pipelines do, endpoints do not).
        """
        body: dict[str, Any] = {
            "ExperimentName": self.experiment_name,
            "Description": self.description or submitter_of(own_tags) or self.experiment_name,
            "RunSource": "SDK",
            "RunType": "SDK",
            "ParameterAssignments": dict(self.parameters),
            "DataPathAssignments": {name: _data_path_to_wire(path) for name, path in self.data_paths.items()},
            "DataSetDefinitionValueAssignments": {
                name: {"SavedDataSetReference": {"Id": dataset}} for name, dataset in self.datasets.items()
            },
        }
        if self.continue_on_step_failure is not None:
            body["ContinueRunOnStepFailure"] = self.continue_on_step_failure
        if notification:
            body["EnableNotification"] = False
        tags = {**self.tags, **own_tags}
        if tags:
            body["tags"] = tags
        body["Properties"] = dict(own_tags)
        return body

    def fingerprint(self, target: str) -> str:
        """Sixteen hexadecimal digits that differ for different rendered requests; ``target`` names what is run."""
        parts: list[Any] = [target, self.to_wire(own_tags={}, notification=False)]
        if self.compute is not None:
            parts.append(self.compute)
        text = json.dumps(parts, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def datastores(self) -> list[tuple[str, str]]:
        """The datastores that its data paths name, each with the argument that names it."""
        return [(f"data_paths[{name!r}]", path.datastore) for name, path in self.data_paths.items()]

    def check(self, interface: PipelineInterface, pipeline: str) -> None:
        """Compare names and types with the pipeline's interface.

        Raises:
            InvalidParameters: Something does not fit; the message lists all mistakes, and what the pipeline accepts.
        """
        problems = [
            *_unknown("parameter", self.parameters, interface.parameters),
            *_unknown("data path", self.data_paths, interface.data_paths),
            *_unknown("dataset", self.datasets, interface.datasets | interface.data_paths),
        ]
        for name, text in self.parameters.items():
            kind = interface.parameters[name].type if name in interface.parameters else "Undefined"
            if not _fits(kind, text):
                problems.append(f"parameter {name!r} is {text!r}, but its type is {kind}")
        problems += [
            f"parameter {parameter.name!r} has no default and is not given"
            for parameter in interface.parameters.values()
            if parameter.required and parameter.name not in self.parameters
        ]
        if problems:
            accepted = [f"{item.name} ({item.type})" for item in interface.parameters.values()]
            raise InvalidParameters(
                f"{pipeline}: {'; '.join(problems)}. It accepts parameters: {_listed(accepted)}; data paths: "
                f"{_listed(interface.data_paths)}; datasets: {_listed(interface.datasets)}. Nothing was submitted."
            )


def submitter_of(own_tags: Mapping[str, str]) -> str | None:
    """Describe who submits a run, by this provider's own tags: a task of Airflow, or the command line."""
    if SUBMITTED_BY in own_tags:
        return f"Submitted by {own_tags[SUBMITTED_BY]}"
    dag, task = own_tags.get("airflow.dag_id"), own_tags.get("airflow.task_id")
    if dag is None or task is None:
        return None
    index = own_tags.get("airflow.map_index", "-1")
    return f"Submitted by DAG {dag}, task {task}{'' if index == '-1' else f' [{index}]'}"


def as_experiment_name(argument: str, value: Any) -> str:
    """Check an experiment's name, by the rule of Microsoft's SDK.

    Raises:
        InvalidArgument: The name breaks the rule; the message names ``argument``.
    """
    if not isinstance(value, str):
        raise wrong_type(argument, value, "text")
    if not _EXPERIMENT_NAME.fullmatch(value):
        raise InvalidArgument(
            argument, f"is {value!r}; use 1 to 255 letters, digits, '-' and '_', a letter or digit first"
        )
    return value


def as_tags(value: Mapping[str, Any] | None) -> dict[str, str]:
    """Check an author's tags; returns them with their values as text.

    Raises:
        InvalidArgument: A tag cannot be sent, or is this provider's own; the message names it.
    """
    tags = {name: as_plain(f"tags[{name!r}]", item) for name, item in _items("tags", value)}
    as_tag_names("tags", tags)
    return tags


def as_tag_names(argument: str, names: Iterable[str]) -> list[str]:
    """Check the names of tags that an author sets or removes.

    Raises:
        InvalidArgument: A name is not text, or this provider's own; the message names ``argument``.
    """
    if isinstance(names, str):
        raise InvalidArgument(argument, f"is the text {names!r}; use a list of names")
    found = list(names)
    for name in found:
        if not isinstance(name, str) or not name:
            raise InvalidArgument(argument, f"has the name {shown(name)}; use text")
        if name.startswith(_OURS):
            raise InvalidArgument(f"{argument}[{name!r}]", f"tags that begin with {_OURS!r} are this provider's own")
    return found


def as_data_path(argument: str, value: Any) -> DataPath:
    """Read a data path from any of the forms that an author may write.

    Raises:
        InvalidArgument: It has another form, or names no datastore; the message names ``argument``.
    """
    if isinstance(value, DataPath):
        store, path = value
    elif isinstance(value, Mapping):
        if "datastore" not in value:
            keys = ", ".join(sorted(map(shown, value)))
            raise InvalidArgument(argument, f"has the keys [{keys}]; it needs 'datastore' and 'path'")
        store, path = value["datastore"], value.get("path", "")
    elif isinstance(value, str):
        store, slash, path = value.partition("/")
        if store and not slash:
            # It is more often a folder, whose datastore was forgotten, than a whole datastore.
            raise InvalidArgument(
                argument, f"is {shown(value)}; write 'store/path', and {shown(f'{value}/')} for a whole datastore"
            )
    elif isinstance(value, (list, tuple)) and len(value) == 2:
        # Airflow's serialisation turns a named tuple into a plain one.
        store, path = value
    else:
        raise wrong_type(argument, value, "DataPath, a mapping or 'store/path'")
    if store is not None and not isinstance(store, str):
        raise wrong_type(argument, store, "text", verb="its datastore is")
    if not store:
        raise InvalidArgument(
            argument,
            "has no datastore. The service can read a blob only through a datastore of the workspace. Give the sensor "
            "datastore= instead of container_url=, or set a datastore here",
        )
    if not _DATASTORE.fullmatch(store):
        raise InvalidArgument(
            argument, f"names the datastore {store!r}; write a datastore's name, not an address: 'store/path'"
        )
    if not isinstance(path, str):
        raise wrong_type(argument, path, "text", verb="its path is")
    if "\\" in path:
        raise InvalidArgument(argument, f"has a backslash in its path {path!r}; use '/'")
    return DataPath(store, path.lstrip("/"))


def _items(argument: str, value: Mapping[str, Any] | None) -> list[tuple[str, Any]]:
    if value is None:
        return []
    if not isinstance(value, Mapping):
        raise wrong_type(argument, value, "a mapping from names to values")
    for name in value:
        if not isinstance(name, str) or not name:
            raise InvalidArgument(argument, f"has the name {shown(name)}; use text")
    return list(value.items())


def _data_path_to_wire(path: DataPath) -> dict[str, str]:
    wire = {"DataStoreName": path.datastore}
    if path.path:
        wire["RelativePath"] = path.path
    return wire


def _unknown(kind: str, given: Mapping[str, Any], known: Mapping[str, Any] | frozenset[str]) -> list[str]:
    return [f"there is no {kind} {name!r}" for name in given if name not in known]


def _fits(kind: str, text: str) -> bool:
    form = FORMS.get(kind)
    return form is None or form.fullmatch(text) is not None


def _listed(names: Any) -> str:
    return ", ".join(sorted(names)) or "none"
