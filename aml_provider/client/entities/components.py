"""Components, and the batch endpoints whose deployments name them, as Azure Resource Manager has them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aml_provider.client.entities.wire import enum_name, read_id, read_text, read_time, text_map
from aml_provider.client.portable import Portable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

#: The types of inputs that take data; a job has to name one of them with its data (azureml-v2-rest 4.2). So an input of
#: any other type, also of one that this version does not know, can only be given a literal.
DATA_TYPES = frozenset({"uri_file", "uri_folder", "mltable", "custom_model", "mlflow_model", "triton_model"})


@dataclass(frozen=True, slots=True)
class Component(Portable):
    """A registered component: the name that its versions share."""

    id: str
    name: str
    latest_version: str
    is_archived: bool
    created: datetime | None
    description: str = ""

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Component:
        """Read it from a container in Azure Resource Manager."""
        properties = wire["properties"]
        return cls(
            id=read_id(wire, "id"),
            name=read_id(wire, "name"),
            latest_version=read_text(properties.get("latestVersion")),
            is_archived=properties.get("isArchived") is True,
            created=_created(wire),
            description=read_text(properties.get("description")),
        )


@dataclass(frozen=True, slots=True)
class ComponentInput(Portable):
    """An input of a component.

    ``type`` is one of the types of data (uri_file, uri_folder, mltable, custom_model, mlflow_model, triton_model) or of
    literals (string, number, integer, boolean); it is empty if the component names none. ``default`` is None if there
    is no default; ``minimum``, ``maximum`` and ``choices`` are empty if the component has no such rule. ``default``,
    ``minimum``, ``maximum`` and each of the ``choices`` are texts.
    """

    name: str
    type: str
    required: bool
    default: str | None = None
    minimum: str = ""
    maximum: str = ""
    choices: tuple[str, ...] = ()
    description: str = ""

    @property
    def takes_data(self) -> bool:
        """Whether it takes a data path or a dataset rather than a literal."""
        return self.type in DATA_TYPES

    @classmethod
    def from_wire(cls, name: str, wire: dict[str, Any]) -> ComponentInput:
        """Read it from ``componentSpec.inputs``, where everything may be text, or missing."""
        default = wire.get("default")
        return cls(
            name=name,
            type=read_text(wire.get("type")).lower(),
            required=default is None and read_text(wire.get("optional")).lower() != "true",
            default=None if default is None else str(default),
            minimum=read_text(wire.get("min")),
            maximum=read_text(wire.get("max")),
            choices=tuple(map(str, wire.get("enum") or ())),
            description=read_text(wire.get("description")),
        )


@dataclass(frozen=True, slots=True)
class ComponentVersion(Portable):
    """A version of a component and its interface. A version never changes."""

    id: str
    name: str
    version: str
    type: str
    inputs: dict[str, ComponentInput]
    is_archived: bool
    created: datetime | None
    display_name: str = ""
    description: str = ""

    @property
    def is_pipeline(self) -> bool:
        """Whether a pipeline job can run it alone; a component of another type can only be a step."""
        return self.type.lower() == "pipeline"

    @property
    def data_inputs(self) -> tuple[tuple[str, str], ...]:
        """The inputs that take data, each with its type."""
        return tuple((item.name, item.type) for item in self.inputs.values() if item.takes_data)

    def __str__(self) -> str:
        return f"component {self.name!r} version {self.version}"

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> ComponentVersion:
        """Read it from Azure Resource Manager, where its ``name`` is the version."""
        properties = wire["properties"]
        spec = properties["componentSpec"]
        inputs = spec.get("inputs") or {}
        version_id = read_id(wire, "id")
        return cls(
            id=version_id,
            name=_name_in(version_id),
            version=read_id(wire, "name"),
            type=read_text(spec.get("type")),
            inputs={name: ComponentInput.from_wire(name, item or {}) for name, item in inputs.items()},
            is_archived=properties.get("isArchived") is True,
            created=_created(wire),
            display_name=read_text(spec.get("display_name")),
            description=read_text(properties.get("description") or spec.get("description")),
        )


@dataclass(frozen=True, slots=True)
class BatchEndpoint(Portable):
    """A batch endpoint; ``default_deployment`` is empty if it has none."""

    id: str
    name: str
    default_deployment: str
    status: str
    created: datetime | None
    description: str = ""

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> BatchEndpoint:
        """Read it from Azure Resource Manager."""
        properties = wire["properties"]
        return cls(
            id=read_id(wire, "id"),
            name=read_id(wire, "name"),
            default_deployment=read_text((properties.get("defaults") or {}).get("deploymentName")),
            status=enum_name(properties.get("provisioningState"), ()),
            created=_created(wire),
            description=read_text(properties.get("description")),
        )


@dataclass(frozen=True, slots=True)
class BatchDeployment(Portable):
    """A deployment of a batch endpoint: the version of a component that it runs, and the settings of its jobs.

    ``component_id`` is empty for a deployment of a model. ``settings`` are texts by name, such as ``default_compute``,
    without empty ones.
    """

    id: str
    name: str
    component_id: str
    status: str
    created: datetime | None
    settings: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> BatchDeployment:
        """Read it from Azure Resource Manager."""
        properties = wire["properties"]
        configuration = properties.get("deploymentConfiguration") or {}
        is_pipeline = read_text(configuration.get("deploymentConfigurationType")).lower() == "pipelinecomponent"
        component = configuration.get("componentId") or {}
        return cls(
            id=read_id(wire, "id"),
            name=read_id(wire, "name"),
            component_id=read_text(component.get("assetId")) if is_pipeline else "",
            status=enum_name(properties.get("provisioningState"), ()),
            created=_created(wire),
            settings={name: text for name, text in text_map(configuration.get("settings")).items() if text},
        )


def _created(wire: dict[str, Any]) -> datetime | None:
    return read_time((wire.get("systemData") or {}).get("createdAt"))


def _name_in(version_id: str) -> str:
    """The component's name in the id of one of its versions: ``…/components/{name}/versions/{version}``."""
    return version_id.rsplit("/", 3)[1]
