"""Runs, as the pipelines service and the run history know them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from aml_provider.client.entities.wire import enum_name, read_id, read_text, read_time, text_map
from aml_provider.client.models import DataPath
from aml_provider.client.portable import Portable
from aml_provider.client.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


class RunState(Enum):
    """The state of a pipeline run. Only three are final; an unknown status is ``UNKNOWN``, which is never final."""

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

    def serialize(self) -> str:
        """Return the value, for Airflow's XCom."""
        return self.value

    @classmethod
    def deserialize(cls, data: str, _version: int) -> RunState:
        """Read the value from Airflow's XCom; a state that this version does not know is ``UNKNOWN``."""
        return cls(data) if data in _STATE_VALUES else cls.UNKNOWN

    @property
    def history_words(self) -> tuple[str, ...]:
        """The run history's names for the state: they differ from ours, and one state can have several."""
        return tuple(word for word, state in _HISTORY_STATES.items() if state is self)


_FINAL = frozenset({RunState.FAILED, RunState.FINISHED, RunState.CANCELED})
_STATE_CODES = ("NotStarted", "Running", "Failed", "Finished", "Canceled")
_STEP_CODES = ("NotStarted", "Queued", "Running", "Failed", "Finished", "Canceled", "PartiallyExecuted", "Bypassed")
_STATE_VALUES = frozenset(state.value for state in RunState)
_STATE_NAMES = {state.value.lower(): state for state in RunState}
# Success is Finished to the pipelines service and Completed to the run history.
_HISTORY_STATES = {
    "NotStarted": RunState.NOT_STARTED,
    "Unapproved": RunState.NOT_STARTED,
    "Queued": RunState.QUEUED,
    **dict.fromkeys(("Running", "Preparing", "Provisioning", "Starting", "Finalizing"), RunState.RUNNING),
    **dict.fromkeys(("Pausing", "Paused", "NotResponding", "CancelRequested"), RunState.RUNNING),
    "Completed": RunState.FINISHED,
    "Failed": RunState.FAILED,
    "Canceled": RunState.CANCELED,
}
_STORE_CODES = (
    "",
    "AzureBlob",
    "AzureDataLake",
    "AzureFiles",
    "AzureSqlDatabase",
    "AzurePostgresDatabase",
    "AzureDataLakeGen2",
)


@dataclass(frozen=True, slots=True)
class PipelineRun(Portable):
    """A pipeline run, as the pipelines service knows it; or a pipeline job, as Azure Resource Manager does.

    A job's ``pipeline_id`` is the id of its component's version, and it has no ``ended``.
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
    ended: datetime | None = None
    description: str = ""
    schedule_id: str = ""
    parameters: dict[str, str] = field(default_factory=dict)

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> PipelineRun:
        """Read it from the pipelines service's JSON; without a status the run has not started."""
        status = wire.get("Status") or {}
        raw = enum_name(status.get("StatusCode"), _STATE_CODES) or "NotStarted"
        return cls(
            id=read_id(wire, "Id"),
            state=_STATE_NAMES.get(raw.lower(), RunState.UNKNOWN),
            status=raw,
            detail=str(status.get("StatusDetail") or ""),
            experiment_name=str(wire.get("RunHistoryExperimentName") or ""),
            pipeline_id=str(wire.get("PipelineId") or ""),
            tags=text_map(wire.get("tags") or wire.get("Tags")),
            properties=text_map(wire.get("Properties")),
            created=read_time(status.get("CreationTime")),
            ended=read_time(status.get("EndTime")),
            description=str(wire.get("Description") or ""),
            schedule_id=str(wire.get("ScheduleId") or ""),
            parameters=text_map(wire.get("ParameterAssignments")),
        )

    @classmethod
    def from_job(cls, wire: dict[str, Any]) -> PipelineRun:
        """Read it from a job in Azure Resource Manager (azureml-v2-rest 4.2), whose statuses are the run history's.

        Raises:
            TypeError: It has no properties, so it is the step of a job; only the run history knows the run of a step.
        """
        properties = wire["properties"]
        if not isinstance(properties, dict):
            raise TypeError("no properties")
        raw = enum_name(properties.get("status"), ()) or "NotStarted"
        inputs = properties.get("inputs") or {}
        return cls(
            id=read_id(wire, "name"),
            state=_HISTORY_STATES.get(raw, RunState.UNKNOWN),
            status=raw,
            detail="",
            experiment_name=str(properties.get("experimentName") or ""),
            pipeline_id=str(properties.get("componentId") or ""),
            tags=text_map(properties.get("tags")),
            properties=text_map(properties.get("properties")),
            created=read_time((wire.get("systemData") or {}).get("createdAt")),
            description=str(properties.get("description") or ""),
            parameters=text_map({name: item.get("value") for name, item in inputs.items() if _is_literal(item)}),
        )

    @classmethod
    def from_history(cls, run: HistoryRun, experiment_name: str) -> PipelineRun:
        """The run as the run history knows it, without its schedule and parameters."""
        return cls(
            id=run.id,
            state=run.state,
            status=run.status,
            detail="",
            experiment_name=experiment_name,
            pipeline_id=run.properties.get("azureml.pipelineid") or run.tags.get("azureml.pipelineid") or "",
            tags=run.tags,
            properties=run.properties,
            created=run.created,
            ended=run.ended,
            description=run.description,
        )


def _is_literal(wire: Any) -> bool:
    # An optional input that was not given may come as null.
    return isinstance(wire, dict) and str(wire.get("jobInputType")).lower() == "literal"


@dataclass(frozen=True, slots=True)
class StepStatus(Portable):
    """A step's status as the pipelines service knows it; ``run_id`` is its run in the run history."""

    status: str
    detail: str
    run_id: str
    created: datetime | None
    started: datetime | None
    ended: datetime | None

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> StepStatus:
        """Read it from the pipelines service's JSON."""
        return cls(
            status=step_status_code(wire.get("StatusCode")),
            detail=str(wire.get("StatusDetail") or ""),
            run_id=str(wire.get("RunId") or ""),
            created=read_time(wire.get("CreationTime")),
            started=read_time(wire.get("StartTime")),
            ended=read_time(wire.get("EndTime")),
        )


def step_status_code(value: Any) -> str:
    """A step's status by name; the codes of steps differ from those of runs."""
    return enum_name(value, _STEP_CODES) or "NotStarted"


@dataclass(frozen=True, slots=True)
class Output(Portable):
    """An output of a step or a pipeline: its place and, if the service states it, its size.

    ``type`` is the service's kind of storage (AzureBlob, AzureDataLakeGen2, …). ``uri`` may carry a signature, so it
    is a secret. ``size`` is in bytes.
    """

    type: str
    datastore: str
    container: str
    account: str
    path: str
    size: int | None
    sealed_uri: Secret[str]

    @property
    def uri(self) -> str:
        """Its address, which may be signed."""
        return self.sealed_uri.reveal()

    @property
    def secrets(self) -> tuple[Secret[str], ...]:
        """Its address, if it is signed; empty if the output is from another task, which does not pass the address."""
        return () if self.sealed_uri.is_withheld or "sig=" not in self.uri else (self.sealed_uri,)

    @property
    def data_path(self) -> DataPath:
        """The output's place, as the value of another run's DataPath parameter; only for an output in a datastore."""
        return DataPath(self.datastore, self.path)

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Output:
        """Read it from the pipelines service's JSON."""
        location = wire.get("DataLocation") or {}
        reference = location.get("DataReference") or {}
        kind = enum_name(reference.get("Type"), _STORE_CODES)
        # One reference for each kind of storage, all of the same shape; the others are null.
        found = [item for key, item in reference.items() if key.endswith("Reference") and isinstance(item, dict)]
        place = found[0] if found else {}
        size = wire.get("PhysicalSizeInBytes")
        return cls(
            type=kind,
            datastore=str(place.get("AmlDataStoreName") or ""),
            container=str(place.get("Container") or ""),
            account=str(place.get("Account") or ""),
            path=str(place.get("RelativePath") or ""),
            size=size if isinstance(size, int) and not isinstance(size, bool) else None,
            sealed_uri=Secret(read_text(place.get("Uri") or location.get("Uri"))),
        )


@dataclass(frozen=True, slots=True)
class HistoryRun(Portable):
    """A run in the run history: a pipeline run or one of its steps."""

    id: str
    name: str
    status: str
    tags: dict[str, str]
    properties: dict[str, str]
    created: datetime | None
    ended: datetime | None
    started: datetime | None = None
    description: str = ""
    experiment_id: str = ""
    parent_id: str = ""
    container_id: str = ""
    hidden: bool = False

    @property
    def state(self) -> RunState:
        """Its state, in the vocabulary of pipeline runs."""
        return _HISTORY_STATES.get(self.status, RunState.UNKNOWN)

    @property
    def node_id(self) -> str:
        """The step's node in the pipeline's graph; empty for a pipeline run."""
        return self.tags.get("azureml.nodeid") or self.properties.get("azureml.nodeid") or ""

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> HistoryRun:
        """Read it from the run history's JSON."""
        return cls(
            id=read_id(wire, "runId"),
            name=str(wire.get("displayName") or wire.get("name") or wire["runId"]),
            status=enum_name(wire.get("status"), ()) or "NotStarted",
            tags=text_map(wire.get("tags")),
            properties=text_map(wire.get("properties")),
            created=read_time(wire.get("createdUtc")),
            ended=read_time(wire.get("endTimeUtc")),
            started=read_time(wire.get("startTimeUtc")),
            description=str(wire.get("description") or ""),
            experiment_id=str(wire.get("experimentId") or ""),
            parent_id=str(wire.get("parentRunId") or ""),
            container_id=str(wire.get("dataContainerId") or ""),
            hidden=wire.get("hidden") is True,
        )


@dataclass(frozen=True, slots=True)
class RunDetails(Portable):
    """A run's error, and the addresses of its log files (URLs that carry their own signature)."""

    error: str
    sealed_log_files: Mapping[str, str | Secret[str]]

    def __post_init__(self) -> None:
        sealed = {name: Secret(url) for name, url in self.sealed_log_files.items()}
        object.__setattr__(self, "sealed_log_files", sealed)

    @property
    def log_files(self) -> dict[str, str]:
        """The signed addresses of its log files, by name."""
        return {name: Secret(url).reveal() for name, url in self.sealed_log_files.items()}

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> RunDetails:
        """Read it from the run history's JSON."""
        error = (wire.get("error") or {}).get("error") or {}
        return cls(error=str(error.get("message") or ""), sealed_log_files=text_map(wire.get("logFiles")))
