"""What the service answers, as immutable records read from its JSON.

They load at run time only: operators, which a DAG file imports, do without them (25 dataclasses cost 15 ms of import).

The readers are tolerant where the service is known to vary (``workspace-rest`` 7.3): enums come as names, integers or
digit strings, dates with up to seven fractional digits. Keys are matched in the casing that each service uses.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import Enum
from typing import Any


class RunState(Enum):
    """The state of a pipeline run. Only three are final; whatever we do not know is ``UNKNOWN`` and never final."""

    NOT_STARTED = "NotStarted"
    RUNNING = "Running"
    FAILED = "Failed"
    FINISHED = "Finished"
    CANCELED = "Canceled"
    QUEUED = "Queued"
    UNKNOWN = "Unknown"

    @property
    def is_final(self) -> bool:
        """Whether the run has ended."""
        return self in _FINAL


_FINAL = frozenset({RunState.FAILED, RunState.FINISHED, RunState.CANCELED})
_STATE_CODES = ("NotStarted", "Running", "Failed", "Finished", "Canceled")
_ENTITY_CODES = ("Active", "Deprecated", "Disabled")
_PROVISIONING_CODES = ("Completed", "Provisioning", "Failed")
_SCHEDULE_CODES = ("Recurrence", "DataStore")
_PARAMETER_CODES = ("Int", "Double", "Bool", "String", "Undefined")
_STATE_NAMES = {state.value.lower(): state for state in RunState}


def enum_name(value: Any, names: tuple[str, ...]) -> str:
    """An enum as its name, whether the service sent a name, an integer or a string of digits."""
    if isinstance(value, bool) or value is None:
        return ""
    if isinstance(value, int) or (isinstance(value, str) and value.isdecimal()):
        number = int(value)
        return names[number] if 0 <= number < len(names) else str(value)
    return str(value)


def read_time(value: Any) -> datetime | None:
    """A moment as the service writes it: up to seven fractional digits, ``Z``, an offset or none (then it is UTC)."""
    if not isinstance(value, str) or not value:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _id(wire: dict[str, Any], key: str) -> str:
    """An id, which has to be there: everything else about the thing is asked for with it."""
    value = wire[key]
    if not isinstance(value, str) or not value:
        raise ValueError(f"{key} is {value!r}")
    return value


def _text_map(value: Any) -> dict[str, str]:
    items = value.items() if isinstance(value, dict) else ()
    return {str(key): "" if item is None else str(item) for key, item in items}


@dataclass(frozen=True)
class Workspace:
    """The workspace's record in Azure Resource Manager."""

    name: str
    location: str
    workspace_id: str
    discovery_url: str

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Workspace:
        """Read it from Azure Resource Manager's JSON."""
        properties = wire.get("properties") or {}
        return cls(
            name=str(wire.get("name") or ""),
            location=str(wire.get("location") or ""),
            workspace_id=str(properties.get("workspaceId") or ""),
            discovery_url=str(properties.get("discoveryUrl") or ""),
        )


@dataclass(frozen=True)
class PublishedPipeline:
    """A published pipeline; ``defaults`` names the parameters whose defaults were published with it."""

    id: str
    name: str
    version: str
    graph_id: str
    status: str
    created: datetime | None
    defaults: frozenset[str] = frozenset()

    @property
    def is_active(self) -> bool:
        """Whether runs can be submitted."""
        return self.status == "Active"

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> PublishedPipeline:
        """Read it from the pipelines service's JSON."""
        return cls(
            id=_id(wire, "Id"),
            name=str(wire.get("Name") or ""),
            version=str(wire.get("Version") or ""),
            graph_id=str(wire.get("GraphId") or ""),
            status=enum_name(wire.get("EntityStatus"), _ENTITY_CODES),
            created=read_time(wire.get("CreatedDate")),
            defaults=frozenset(_text_map(wire.get("ParameterAssignments"))),
        )


@dataclass(frozen=True)
class Parameter:
    """A plain parameter of a pipeline; ``type`` is Int, Double, Bool, String or Undefined."""

    name: str
    type: str
    required: bool


@dataclass(frozen=True)
class PipelineInterface:
    """What a published pipeline accepts: plain parameters, data paths and datasets, by name."""

    parameters: dict[str, Parameter]
    data_paths: frozenset[str]
    datasets: frozenset[str]

    def with_defaults(self, names: frozenset[str]) -> PipelineInterface:
        """The same, where these parameters have defaults: which of its records holds one is up to the service."""
        parameters = {
            name: replace(item, required=False) if name in names else item for name, item in self.parameters.items()
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
            )
            for item in wire.get("Parameters") or ()
        ]
        return cls(
            parameters={item.name: item for item in parameters},
            data_paths=frozenset(str(item["Name"]) for item in wire.get("DataPathParameters") or ()),
            datasets=frozenset(str(item["Name"]) for item in wire.get("DataPathParameterList") or ()),
        )


@dataclass(frozen=True)
class PipelineEndpoint:
    """A pipeline endpoint: one address in front of several versions of a pipeline."""

    id: str
    name: str
    default_version: str
    versions: dict[str, str]
    status: str

    @property
    def is_active(self) -> bool:
        """Whether runs can be submitted."""
        return self.status == "Active"

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> PipelineEndpoint:
        """Read it from the pipelines service's JSON."""
        return cls(
            id=_id(wire, "Id"),
            name=str(wire.get("Name") or ""),
            default_version=str(wire.get("DefaultVersion") or ""),
            versions={str(item["Version"]): str(item["PipelineId"]) for item in wire.get("PipelineVersionList") or ()},
            status=enum_name(wire.get("EntityStatus"), _ENTITY_CODES),
        )


@dataclass(frozen=True)
class PipelineRun:
    """A pipeline run, as the pipelines service knows it.

    ``state`` is ``UNKNOWN`` for a status that this version does not know; ``status`` keeps its raw text.
    """

    id: str
    state: RunState
    status: str
    detail: str
    experiment_name: str
    pipeline_id: str
    tags: dict[str, str]
    properties: dict[str, str]
    created: datetime | None

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> PipelineRun:
        """Read it from the pipelines service's JSON; no status yet means not started."""
        status = wire.get("Status") or {}
        raw = enum_name(status.get("StatusCode"), _STATE_CODES) or "NotStarted"
        return cls(
            id=_id(wire, "Id"),
            state=_STATE_NAMES.get(raw.lower(), RunState.UNKNOWN),
            status=raw,
            detail=str(status.get("StatusDetail") or ""),
            experiment_name=str(wire.get("RunHistoryExperimentName") or ""),
            pipeline_id=str(wire.get("PipelineId") or ""),
            tags=_text_map(wire.get("tags") or wire.get("Tags")),
            properties=_text_map(wire.get("Properties")),
            created=read_time(status.get("CreationTime")),
        )


@dataclass(frozen=True)
class HistoryRun:
    """A run in the run history: a pipeline run or one of its steps."""

    id: str
    name: str
    status: str
    tags: dict[str, str]
    properties: dict[str, str]
    created: datetime | None
    ended: datetime | None

    @property
    def node_id(self) -> str:
        """The step's node in the pipeline's graph; empty for a pipeline run."""
        return self.tags.get("azureml.nodeid") or self.properties.get("azureml.nodeid") or ""

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> HistoryRun:
        """Read it from the run history's JSON."""
        return cls(
            id=_id(wire, "runId"),
            name=str(wire.get("displayName") or wire.get("name") or wire["runId"]),
            status=str(wire.get("status") or "NotStarted"),
            tags=_text_map(wire.get("tags")),
            properties=_text_map(wire.get("properties")),
            created=read_time(wire.get("createdUtc")),
            ended=read_time(wire.get("endTimeUtc")),
        )


@dataclass(frozen=True)
class RunDetails:
    """A run's error and where its log files are (URLs that carry their own signature)."""

    error: str
    log_files: dict[str, str] = field(repr=False)

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> RunDetails:
        """Read it from the run history's JSON."""
        error = (wire.get("error") or {}).get("error") or {}
        return cls(error=str(error.get("message") or ""), log_files=_text_map(wire.get("logFiles")))


@dataclass(frozen=True)
class Datastore:
    """A datastore of the workspace, its credentials included (never shown).

    ``kind`` is the service's ``dataStoreType``: AzureBlob, AzureDataLakeGen2, AzureFile, …
    """

    name: str
    kind: str
    account: str
    container: str
    protocol: str
    endpoint: str
    credential_type: str
    account_key: str = field(repr=False)
    sas_token: str = field(repr=False)

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Datastore:
        """Read it from the datastore service's JSON."""
        section = wire.get("azureStorageSection") or {}
        return cls(
            name=_id(wire, "name"),
            kind=str(wire.get("dataStoreType") or ""),
            account=str(section.get("accountName") or ""),
            container=str(section.get("containerName") or ""),
            protocol=str(section.get("protocol") or "https"),
            endpoint=str(section.get("endpoint") or "core.windows.net"),
            credential_type=str(section.get("credentialType") or "None"),
            account_key=str(section.get("accountKey") or ""),
            sas_token=str(section.get("sasToken") or ""),
        )


@dataclass(frozen=True)
class Schedule:
    """A native schedule: a recurrence, or a watch over a folder of a datastore, that starts runs by itself.

    ``wire`` is all that the service said, because a schedule can only be written as a whole: whoever changes it has to
    send back what others have set. ``properties`` are those of the runs that it starts.
    """

    id: str
    name: str
    kind: str
    status: str
    provisioning: str
    pipeline_id: str
    endpoint_id: str
    properties: dict[str, str]
    created: datetime | None
    wire: dict[str, Any] = field(repr=False)

    @property
    def is_active(self) -> bool:
        """Whether it starts runs."""
        return self.status == "Active"

    @property
    def is_provisioning(self) -> bool:
        """Whether the service still sets it up; a word that we do not know is not the end of that."""
        return self.provisioning not in {"Completed", "Failed", ""}

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Schedule:
        """Read it from the pipelines service's JSON."""
        kind = enum_name(wire.get("ScheduleType"), _SCHEDULE_CODES)
        submission = wire.get("PipelineSubmissionInfo") or {}
        return cls(
            id=_id(wire, "Id"),
            name=str(wire.get("Name") or ""),
            kind=kind or ("DataStore" if wire.get("DataStoreTriggerInfo") else "Recurrence"),
            status=enum_name(wire.get("EntityStatus"), _ENTITY_CODES),
            provisioning=enum_name(wire.get("ProvisioningStatus"), _PROVISIONING_CODES),
            pipeline_id=str(wire.get("PipelineId") or ""),
            endpoint_id=str(wire.get("PipelineEndpointId") or ""),
            properties=_text_map(submission.get("Properties")),
            created=read_time(wire.get("CreatedDate")),
            wire=wire,
        )
