"""Job schedules: the native schedules of Azure ML v2, as Azure Resource Manager has them (azureml-v2-rest 6)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aml_provider.client.arguments import ACTIVE, DISABLED
from aml_provider.client.entities.wire import enum_name, read_id, read_time, text_map
from aml_provider.client.portable import Portable

if TYPE_CHECKING:
    from datetime import datetime

_SET_UP = frozenset({"Succeeded", "Failed", "Canceled", ""})
# The action of a schedule that starts jobs, in small letters; the other kinds are not ours (azureml-v2-rest 6.1).
_CREATES_JOBS = "createjob"


@dataclass(frozen=True, slots=True)
class JobSchedule(Portable):
    """A job schedule: the service starts jobs of a pipeline component at its times.

    Its name is its identity: requests name it in their path, so two schedules cannot have the same name.

    ``wire`` is the whole reply of the service, because a schedule can only be written as a whole: a change must send
    back what others have set, also under keys that this version does not know.
    """

    name: str
    kind: str
    status: str
    provisioning: str
    component_id: str
    description: str
    properties: dict[str, str]
    created: datetime | None
    wire: dict[str, Any] = field(repr=False)

    @property
    def id(self) -> str:
        """Its name, by which it is requested."""
        return self.name

    @property
    def label(self) -> str:
        """Its name, for messages."""
        return repr(self.name)

    @property
    def is_active(self) -> bool:
        """Whether it starts jobs."""
        return self.status == ACTIVE

    @property
    def is_provisioning(self) -> bool:
        """Whether the service is still setting it up, or its state is unknown."""
        return self.provisioning not in _SET_UP

    @property
    def action(self) -> str:
        """The kind of its action, such as ``CreateJob``."""
        return str(self._action.get("actionType") or "")

    @property
    def creates_jobs(self) -> bool:
        """Whether it starts pipeline jobs; a schedule may also invoke an endpoint, import data or start a monitor."""
        kind = str(self.job.get("jobType") or "").lower()
        return self.action.lower() == _CREATES_JOBS and kind in {"pipeline", ""}

    @property
    def job(self) -> dict[str, Any]:
        """The definition of the jobs that it starts, as the service wrote it."""
        return self._action.get("jobDefinition") or {}

    @property
    def inputs(self) -> dict[str, dict[str, Any]]:
        """The inputs of the jobs that it starts, as the service has them, by name."""
        inputs = self.job.get("inputs")
        items = inputs.items() if isinstance(inputs, dict) else ()
        return {name: item for name, item in items if isinstance(item, dict)}

    @property
    def trigger(self) -> dict[str, Any]:
        """When it starts jobs, as the service wrote it."""
        return self.wire["properties"].get("trigger") or {}

    @property
    def experiment_name(self) -> str:
        """The experiment of the jobs that it starts."""
        return str(self.job.get("experimentName") or "")

    @property
    def _action(self) -> dict[str, Any]:
        return self.wire["properties"].get("action") or {}

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> JobSchedule:
        """Read it from Azure Resource Manager's JSON. Any kind of trigger or action is accepted.

        ``properties`` are those of the schedule, and the properties and tags of its jobs. This provider gives the same
        properties to a schedule and to its jobs.
        """
        properties = wire["properties"]
        action = properties.get("action") or {}
        job = action.get("jobDefinition") or {}
        for name, part in (("properties", properties), ("jobDefinition", job), ("trigger", properties.get("trigger"))):
            if not isinstance(part, dict) and part is not None:
                raise TypeError(f"{name} is not an object")
        # Absent, as Microsoft's SDK sends it, means enabled.
        disabled = str(properties.get("isEnabled", True)).lower() == "false"
        return cls(
            name=read_id(wire, "name"),
            kind=enum_name((properties.get("trigger") or {}).get("triggerType"), ()),
            status=DISABLED if disabled else ACTIVE,
            provisioning=enum_name(properties.get("provisioningState"), ()),
            component_id=str(job.get("componentId") or ""),
            description=str(properties.get("description") or ""),
            properties={
                **text_map(job.get("tags")),
                **text_map(job.get("properties")),
                **text_map(properties.get("properties")),
            },
            created=read_time((wire.get("systemData") or {}).get("createdAt")),
            wire=wire,
        )
