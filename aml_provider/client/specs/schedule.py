"""The requested form of a native schedule: checked, in the wire's form, and compared with an existing one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from aml_provider.client.arguments import ACTIVE, STATUSES, as_choice, as_name, wrong_type
from aml_provider.client.errors import InvalidArgument, InvalidParameters
from aml_provider.client.specs.recurrence import (
    merge_recurrence,
    park,
    recurrence_to_wire,
    same_recurrence,
    whole_number,
)

if TYPE_CHECKING:
    from datetime import datetime

    from aml_provider.client.entities import PipelineInterface, PublishedPipeline, Schedule
    from aml_provider.client.specs.run import RunRequest
    from aml_provider.client.specs.target import Target

# Numbers are sent, names are received.
_TYPES = {"Recurrence": "0", "DataStore": "1"}
_TRIGGER_KEYS = ("DataStoreName", "PollingInterval", "DataPathParameterName", "PathOnDataStore")
# A day is the longest interval that every version of the service accepts.
_PARKED_POLLING = 1440
_SUBMISSION = "PipelineSubmissionInfo"
_ASSIGNMENTS = ("ParameterAssignments", "DataPathAssignments", "DataSetDefinitionValueAssignments")


class _Aspect(NamedTuple):
    """One requested property of a schedule: whether it holds already, and what to write if not."""

    name: str
    is_so: bool
    key: str
    value: Any
    of_runs: bool = False


@dataclass(frozen=True, kw_only=True)
class ScheduleRequest:
    """A native schedule as its author requested it.

    Build it with :meth:`of`, which checks what a DAG author may write. ``recurrence`` and ``trigger`` are in the wire's
    form; one of them is None.
    """

    name: str
    request: RunRequest
    recurrence: Mapping[str, Any] | None
    trigger: Mapping[str, Any] | None
    status: str

    @classmethod
    def of(
        cls,
        *,
        name: str,
        request: RunRequest,
        recurrence: Any = None,
        datastore: str | None = None,
        path_on_datastore: str | None = None,
        polling_interval: int = 5,
        data_path_parameter_name: str | None = None,
        status: str = ACTIVE,
    ) -> ScheduleRequest:
        """Check an author's values.

        Args:
            name: The schedule's name.
            request: The request for each of the schedule's runs.
            recurrence: When it fires: a :class:`~aml_provider.client.models.Recurrence`; or
            datastore: the blob datastore that it watches.
            path_on_datastore: The folder there; None or empty: the container itself.
            polling_interval: Minutes between two polls of the folder.
            data_path_parameter_name: The DataPath parameter that gets the changed blob.
            status: ``Active`` or ``Disabled``.

        Raises:
            InvalidArgument: A value cannot be sent; the message names it.
        """
        as_name("name", name)
        as_choice("status", status, STATUSES)
        if (recurrence is None) == (datastore is None):
            given = "both are" if datastore is not None else "neither is"
            raise InvalidArgument("recurrence, datastore", f"{given} given after rendering; give one of them")
        if recurrence is not None:
            for argument, value in (
                ("path_on_datastore", path_on_datastore),
                ("data_path_parameter_name", data_path_parameter_name),
            ):
                if value is not None:
                    raise InvalidArgument(argument, "can be used only with datastore, not with recurrence")
            return cls(
                name=name, request=request, recurrence=recurrence_to_wire(recurrence), trigger=None, status=status
            )
        trigger: dict[str, Any] = {
            "DataStoreName": as_name("datastore", datastore),
            "PollingInterval": whole_number("polling_interval", polling_interval, 1, None),
        }
        if data_path_parameter_name is not None:
            trigger["DataPathParameterName"] = as_name("data_path_parameter_name", data_path_parameter_name)
            if data_path_parameter_name in request.data_paths:
                raise InvalidArgument(
                    f"data_paths[{data_path_parameter_name!r}]",
                    "is also data_path_parameter_name: the schedule sets it to the changed blob; leave it out here",
                )
        if path_on_datastore is not None:
            path = as_folder("path_on_datastore", path_on_datastore)
            if path:
                trigger["PathOnDataStore"] = path
        return cls(name=name, request=request, recurrence=None, trigger=trigger, status=status)

    @property
    def kind(self) -> str:
        """The service's name for its kind of trigger."""
        return "Recurrence" if self.recurrence is not None else "DataStore"

    @property
    def datastore(self) -> str | None:
        """The datastore that it watches."""
        return None if self.trigger is None else str(self.trigger["DataStoreName"])

    def check(self, pipeline: PublishedPipeline, interface: PipelineInterface) -> None:
        """Check names and types against the pipeline's interface.

        Raises:
            InvalidParameters: Something does not fit; the message says what the pipeline accepts.
        """
        label = f"published pipeline {pipeline.name!r} ({pipeline.id})"
        self.request.check(interface, label)
        parameter = None if self.trigger is None else self.trigger.get("DataPathParameterName")
        known = interface.data_paths | interface.datasets
        if parameter is not None and parameter not in known:
            raise InvalidParameters(
                f"{label}: data_path_parameter_name: there is no data path {parameter!r}. It accepts data paths: "
                f"{', '.join(sorted(known)) or 'none'}. Nothing was sent."
            )

    def to_wire(self, target: Target, properties: Mapping[str, str]) -> dict[str, Any]:
        """The body of the request that creates the schedule: that of Microsoft's SDK, and properties of our own."""
        submission = self.request.to_wire(own_tags=properties, notification=False)
        for key in ("RunSource", "RunType", "tags"):
            submission.pop(key, None)
        if self.request.description is None:
            del submission["Description"]
        wire: dict[str, Any] = {
            "Name": self.name,
            "PipelineId" if target.kind == "pipeline" else "PipelineEndpointId": target.id,
            _SUBMISSION: submission,
            "ScheduleType": _TYPES[self.kind],
        }
        if self.recurrence is not None:
            wire["Recurrence"] = dict(self.recurrence)
        if self.trigger is not None:
            wire["DataStoreTriggerInfo"] = dict(self.trigger)
        return wire

    def parked(self, wire: Mapping[str, Any], now: datetime) -> dict[str, Any]:
        """A body of :meth:`to_wire`, changed so that the new schedule starts no run before it can be disabled."""
        if self.trigger is not None:
            return {**wire, "DataStoreTriggerInfo": {**self.trigger, "PollingInterval": _PARKED_POLLING}}
        assert self.recurrence is not None
        return {**wire, "Recurrence": park(self.recurrence, now)}

    def fits(self, schedule: Schedule, target: Target) -> bool:
        """Whether a schedule has the requested kind and the requested pipeline or endpoint, which cannot be changed."""
        ids = (schedule.endpoint_id,) if target.kind == "endpoint" else (schedule.pipeline_id, schedule.endpoint_id)
        wanted = (target.id,) if target.kind == "endpoint" else (target.id, "")
        return schedule.kind == self.kind and [item.lower() for item in ids] == [item.lower() for item in wanted]

    def differences(self, schedule: Schedule) -> list[str]:
        """The aspects in which a schedule differs from the request; perhaps none."""
        return [aspect.name for aspect in self._aspects(schedule) if not aspect.is_so]

    def merged(self, schedule: Schedule) -> dict[str, Any]:
        """A copy of a schedule's entity, in which only the differences are changed."""
        wire = dict(schedule.wire)
        wire[_SUBMISSION] = dict(wire.get(_SUBMISSION) or {})
        for aspect in self._aspects(schedule):
            if not aspect.is_so:
                part = wire[_SUBMISSION] if aspect.of_runs else wire
                part[aspect.key] = aspect.value
        return wire

    def _aspects(self, schedule: Schedule) -> list[_Aspect]:
        return [
            _Aspect("name", schedule.name == self.name, "Name", self.name),
            _Aspect("status", schedule.status == self.status, "EntityStatus", self.status),
            self._firing(schedule.wire),
            *self._assignments(schedule.wire.get(_SUBMISSION) or {}),
        ]

    def _firing(self, wire: Mapping[str, Any]) -> _Aspect:
        if self.recurrence is not None:
            recurrence = wire.get("Recurrence") or {}
            merged = merge_recurrence(recurrence, self.recurrence)
            return _Aspect("recurrence", same_recurrence(recurrence, self.recurrence), "Recurrence", merged)
        assert self.trigger is not None
        trigger = wire.get("DataStoreTriggerInfo") or {}
        kept = {key: value for key, value in trigger.items() if key not in _TRIGGER_KEYS}
        same = _trigger(trigger) == _trigger(self.trigger)
        return _Aspect("datastore", same, "DataStoreTriggerInfo", {**kept, **self.trigger})

    def _assignments(self, current: Mapping[str, Any]) -> list[_Aspect]:
        """The aspects of the request for its runs."""
        request = self.request
        asked = request.to_wire(own_tags={}, notification=False)
        parameters, paths, datasets = (asked[key] for key in _ASSIGNMENTS)
        seen = [current.get(key) or {} for key in _ASSIGNMENTS]
        # An author cannot write other forms of a dataset here, so somebody else has set them.
        others = {name: value for name, value in seen[2].items() if _dataset(value) is None}
        experiment, description = request.experiment_name, request.description
        same_description = description is None or current.get("Description") == description
        key, continues = "ContinueRunOnStepFailure", request.continue_on_step_failure
        facts = [
            ("experiment_name", current.get("ExperimentName") == experiment, "ExperimentName", experiment),
            ("description", same_description, "Description", description),
            ("continue_on_step_failure", current.get(key) == continues, key, continues),
            ("parameters", _texts(seen[0]) == parameters, _ASSIGNMENTS[0], parameters),
            ("data_paths", _paths(seen[1]) == _paths(paths), _ASSIGNMENTS[1], paths),
            ("datasets", _datasets(seen[2]) == _datasets(datasets), _ASSIGNMENTS[2], {**others, **datasets}),
        ]
        return [_Aspect(*fact, of_runs=True) for fact in facts]


def with_status(schedule: Schedule, status: str) -> dict[str, Any]:
    """A copy of a schedule's entity, in which only the status is changed."""
    return {**schedule.wire, "EntityStatus": status}


def with_properties(wire: Mapping[str, Any], properties: Mapping[str, str | None]) -> dict[str, Any]:
    """A copy of a schedule's entity, whose runs also get these properties; None as a value removes a property."""
    submission = dict(wire.get(_SUBMISSION) or {})
    merged = {**(submission.get("Properties") or {}), **properties}
    submission["Properties"] = {
        name: value for name, value in merged.items() if value is not None or name not in properties
    }
    return {**wire, _SUBMISSION: submission}


def as_folder(argument: str, value: Any) -> str:
    """Check the path of a folder in a datastore; returns it without slashes at its ends.

    Raises:
        InvalidArgument: It is not a folder; the message names ``argument``.
    """
    if not isinstance(value, str):
        raise wrong_type(argument, value, "text")
    if "\\" in value:
        raise InvalidArgument(argument, f"has a backslash: {value!r}; the service wants '/'")
    return value.strip("/")


def _texts(value: Any) -> dict[str, str]:
    return {str(name): "" if item is None else str(item) for name, item in (value or {}).items()}


def _paths(value: Any) -> dict[str, tuple[str, str]]:
    return {
        str(name): (str(item.get("DataStoreName") or ""), str(item.get("RelativePath") or ""))
        for name, item in (value or {}).items()
        if isinstance(item, Mapping)
    }


def _dataset(value: Any) -> str | None:
    reference = value.get("SavedDataSetReference") if isinstance(value, Mapping) else None
    return str(reference.get("Id")) if isinstance(reference, Mapping) else None


def _datasets(value: Mapping[str, Any]) -> dict[str, str]:
    found = ((str(name), _dataset(item)) for name, item in value.items())
    return {name: dataset for name, dataset in found if dataset is not None}


def _trigger(wire: Mapping[str, Any]) -> tuple[str, str, str, str]:
    return (
        str(wire.get("DataStoreName") or ""),
        str(wire.get("PollingInterval")),
        str(wire.get("DataPathParameterName") or ""),
        str(wire.get("PathOnDataStore") or "").strip("/"),
    )
