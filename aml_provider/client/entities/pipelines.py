"""Published pipelines, their interfaces, and the endpoints in front of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from aml_provider.client.arguments import ACTIVE
from aml_provider.client.entities.wire import ENTITY_CODES, enum_name, read_id, read_text, read_time, text_map
from aml_provider.client.models import DataPath
from aml_provider.client.portable import Portable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

_PARAMETER_CODES = ("Int", "Double", "Bool", "String", "Undefined")


@dataclass(frozen=True, slots=True)
class PublishedPipeline(Portable):
    """A published pipeline; ``defaults`` are the parameter values that were published with it."""

    id: str
    name: str
    version: str
    graph_id: str
    status: str
    created: datetime | None
    defaults: Mapping[str, str] = field(default_factory=dict)
    description: str = ""

    @property
    def is_active(self) -> bool:
        """Whether runs can be submitted."""
        return self.status == ACTIVE

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> PublishedPipeline:
        """Read it from the pipelines service's JSON."""
        return cls(
            id=read_id(wire, "Id"),
            name=str(wire.get("Name") or ""),
            version=str(wire.get("Version") or ""),
            graph_id=str(wire.get("GraphId") or ""),
            status=enum_name(wire.get("EntityStatus"), ENTITY_CODES),
            created=read_time(wire.get("CreatedDate")),
            defaults=text_map(wire.get("ParameterAssignments")),
            description=str(wire.get("Description") or ""),
        )


@dataclass(frozen=True, slots=True)
class PipelineSummary(Portable):
    """A published pipeline and its latest run; ``last_run_status`` is the service's text, or empty if it has no run."""

    pipeline: PublishedPipeline
    last_run_id: str
    last_run_created: datetime | None
    last_run_status: str
    total_runs: int | None

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> PipelineSummary:
        """Read it from the pipelines service's JSON."""
        status = wire.get("LastRunStatus")
        if isinstance(status, dict):
            status = status.get("StatusCode")
        total = wire.get("TotalRuns")
        return cls(
            pipeline=PublishedPipeline.from_wire(wire["PipelineEntity"]),
            last_run_id=str(wire.get("LastRunId") or ""),
            last_run_created=read_time(wire.get("LastRunCreatedTime")),
            last_run_status=read_text(status),
            total_runs=total if isinstance(total, int) and not isinstance(total, bool) else None,
        )


@dataclass(frozen=True, slots=True)
class Parameter(Portable):
    """A plain parameter of a pipeline.

    ``type`` is Int, Double, Bool, String or Undefined; ``default`` is None if there is no default.
    """

    name: str
    type: str
    required: bool
    default: str | None = None
    documentation: str = ""


@dataclass(frozen=True, slots=True)
class PipelineInterface(Portable):
    """The interface of a published pipeline: plain parameters, data paths and datasets, by name.

    ``data_path_defaults`` has the defaults of data paths.
    """

    parameters: dict[str, Parameter]
    data_paths: frozenset[str]
    datasets: frozenset[str]
    data_path_defaults: Mapping[str, DataPath] = field(default_factory=dict)

    def with_defaults(self, defaults: Mapping[str, str]) -> PipelineInterface:
        """A copy with these defaults added: the service stores a default in one of two places."""
        parameters = {
            name: replace(item, required=False, default=defaults[name] if item.default is None else item.default)
            if name in defaults
            else item
            for name, item in self.parameters.items()
        }
        return replace(self, parameters=parameters)

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> PipelineInterface:
        """Read it from the graph's interface."""
        parameters = [
            Parameter(
                name=str(item["Name"]),
                type=enum_name(item.get("Type"), _PARAMETER_CODES) or "Undefined",
                required=item.get("DefaultValue") is None and not item.get("IsOptional"),
                default=None if item.get("DefaultValue") is None else str(item["DefaultValue"]),
                documentation=str(item.get("Documentation") or ""),
            )
            for item in wire.get("Parameters") or ()
        ]
        data_paths = {
            str(item["Name"]): _data_path(item.get("DefaultValue")) for item in wire.get("DataPathParameters") or ()
        }
        return cls(
            parameters={item.name: item for item in parameters},
            data_paths=frozenset(data_paths),
            datasets=frozenset(str(item["Name"]) for item in wire.get("DataPathParameterList") or ()),
            data_path_defaults={name: path for name, path in data_paths.items() if path is not None},
        )


def _data_path(wire: Any) -> DataPath | None:
    store = wire.get("DataStoreName") if isinstance(wire, dict) else None
    return DataPath(str(store), str(wire.get("RelativePath") or "")) if store else None


@dataclass(frozen=True, slots=True)
class PipelineEndpoint(Portable):
    """A pipeline endpoint: one address in front of several versions of a pipeline.

    ``versions`` maps each version to its published pipeline's id. ``wire`` is the whole reply of the service,
    because an endpoint can only be written as a whole: a change must send back what others have set.
    """

    id: str
    name: str
    default_version: str
    versions: dict[str, str]
    status: str
    description: str = ""
    created: datetime | None = None
    wire: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def is_active(self) -> bool:
        """Whether runs can be submitted."""
        return self.status == ACTIVE

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> PipelineEndpoint:
        """Read it from the pipelines service's JSON."""
        versions = wire.get("PipelineVersionList") or ()
        return cls(
            id=read_id(wire, "Id"),
            name=str(wire.get("Name") or ""),
            default_version=read_text(wire.get("DefaultVersion")),
            versions={str(item["Version"]): str(item["PipelineId"]) for item in versions},
            status=enum_name(wire.get("EntityStatus"), ENTITY_CODES),
            description=str(wire.get("Description") or ""),
            created=read_time(wire.get("CreatedDate")),
            wire=wire,
        )
