"""Native schedules."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aml_provider.client.arguments import ACTIVE
from aml_provider.client.entities.wire import ENTITY_CODES, enum_name, read_id, read_time, text_map
from aml_provider.client.portable import Portable

if TYPE_CHECKING:
    from datetime import datetime

_PROVISIONING_CODES = ("Completed", "Provisioning", "Failed")
_SCHEDULE_CODES = ("Recurrence", "DataStore")
_PARTS = ("PipelineSubmissionInfo", "Recurrence", "DataStoreTriggerInfo")


@dataclass(frozen=True, slots=True)
class Schedule(Portable):
    """A native schedule: the service starts runs on a recurrence, or on changes in a folder of a datastore.

    ``wire`` is the whole reply of the service, because a schedule can only be written as a whole: a change must send
    back what others have set. ``properties`` are those of the runs that it starts.
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
    def label(self) -> str:
        """Its name and id, for messages."""
        return f"{self.name!r} ({self.id})"

    @property
    def is_active(self) -> bool:
        """Whether it starts runs."""
        return self.status == ACTIVE

    @property
    def is_provisioning(self) -> bool:
        """Whether the service is still setting it up, or its status is unknown."""
        return self.provisioning not in {"Completed", "Failed", ""}

    @property
    def experiment_name(self) -> str:
        """The experiment of the runs that it starts."""
        return str((self.wire.get("PipelineSubmissionInfo") or {}).get("ExperimentName") or "")

    @property
    def description(self) -> str:
        """The description from its author, which the service stores in the request for its runs."""
        return str((self.wire.get("PipelineSubmissionInfo") or {}).get("Description") or "")

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Schedule:
        """Read it from the pipelines service's JSON."""
        for key in _PARTS:
            if wire.get(key) is not None and not isinstance(wire[key], dict):
                raise TypeError(f"{key} is not an object")
        kind = enum_name(wire.get("ScheduleType"), _SCHEDULE_CODES)
        submission = wire.get("PipelineSubmissionInfo") or {}
        return cls(
            id=read_id(wire, "Id"),
            name=str(wire.get("Name") or ""),
            kind=kind or ("DataStore" if wire.get("DataStoreTriggerInfo") else "Recurrence"),
            status=enum_name(wire.get("EntityStatus"), ENTITY_CODES),
            provisioning=enum_name(wire.get("ProvisioningStatus"), _PROVISIONING_CODES),
            pipeline_id=str(wire.get("PipelineId") or ""),
            endpoint_id=str(wire.get("PipelineEndpointId") or ""),
            properties=text_map(submission.get("Properties")),
            created=read_time(wire.get("CreatedDate")),
            wire=wire,
        )
