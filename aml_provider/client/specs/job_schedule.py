"""The requested form of a job schedule: checked, in the wire's form, and compared with an existing one.

A schedule is written as a whole, so everything that others have set is sent back unchanged, even under keys that are
not known here (``azureml-v2-rest`` 6.2). Only what an author asks for is compared and changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from aml_provider.client.arguments import ACTIVE, STATUSES, as_choice
from aml_provider.client.specs.job import check_order, job_to_wire
from aml_provider.client.specs.job_trigger import merge_trigger, same_trigger, trigger_to_wire
from aml_provider.client.specs.run import as_experiment_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aml_provider.client.entities import JobSchedule
    from aml_provider.client.specs.run import RunRequest
    from aml_provider.client.specs.target import PipelineReference, Target

#: The property and tag with the schedule's name that each of its jobs has, so that its jobs are found.
SCHEDULE = "airflow.job_schedule"
# How Microsoft's SDK marks a job of a registered component; the service need not keep it.
_NOT_COMPARED = frozenset({"_source"})


class _Aspect(NamedTuple):
    """One requested property of a schedule: whether it holds already, and what to write if not.

    Args:
        of_jobs: Whether it belongs to the definition of the schedule's jobs, and not to the schedule.
        is_patch: Whether the value holds entries of a map, whose other entries stay.
    """

    name: str
    is_so: bool
    key: str
    value: Any
    of_jobs: bool = False
    is_patch: bool = False


@dataclass(frozen=True, kw_only=True)
class JobScheduleRequest:
    """A job schedule as its author requested it.

    Build it with :meth:`of`, which checks what a DAG author may write. ``trigger`` is in the wire's form.
    """

    name: str
    reference: PipelineReference
    request: RunRequest
    trigger: Mapping[str, Any]
    status: str

    @classmethod
    def of(
        cls,
        *,
        name: str,
        reference: PipelineReference,
        request: RunRequest,
        recurrence: Any = None,
        cron: str | None = None,
        start_time: Any = None,
        end_time: Any = None,
        time_zone: str | None = None,
        status: str = ACTIVE,
    ) -> JobScheduleRequest:
        """Check an author's values.

        Args:
            name: The schedule's name, which is its identity: 1 to 255 letters, digits, ``-`` and ``_``, the first of
                them a letter or a digit.
            reference: The component, or the batch endpoint that names it.
            request: The request for each of the schedule's jobs. Its description and tags are also those of the
                schedule.
            recurrence: When it starts jobs; see :func:`~aml_provider.client.specs.job_trigger.trigger_to_wire`.
            cron: A cron expression, instead of a recurrence.
            start_time: The first moment at which a job may start.
            end_time: The last moment at which a job may start.
            time_zone: The zone of all times.
            status: ``Active`` or ``Disabled``.

        Raises:
            InvalidArgument: A value cannot be sent; the message names it.
        """
        as_experiment_name("name", name)
        as_choice("status", status, STATUSES)
        check_order(reference, request, None)
        trigger = trigger_to_wire(
            recurrence=recurrence, cron=cron, start_time=start_time, end_time=end_time, time_zone=time_zone
        )
        return cls(name=name, reference=reference, request=request, trigger=trigger, status=status)

    def to_wire(self, target: Target, *, workspace: str, own: Mapping[str, str]) -> dict[str, Any]:
        """The body of the request that creates the schedule.

        Args:
            target: The version of the component that :attr:`reference` names.
            workspace: The workspace's id in Azure Resource Manager.
            own: This provider's own properties, which the schedule and each of its jobs get.

        Raises:
            InvalidArgument: A data path or dataset has a name that no input of the component has.
        """
        own = {**own, SCHEDULE: self.name}
        job = job_to_wire(self.request, target, workspace=workspace, own_tags=own)["properties"]
        properties: dict[str, Any] = {
            "tags": dict(self.request.tags),
            "properties": own,
            "isEnabled": self.status == ACTIVE,
            "action": {"actionType": "CreateJob", "jobDefinition": job},
            "trigger": dict(self.trigger),
        }
        if self.request.description is not None:
            properties["description"] = self.request.description
        return {"properties": properties}


def differences(schedule: JobSchedule, wanted: Mapping[str, Any]) -> list[str]:
    """The aspects in which a schedule differs from a body of :meth:`JobScheduleRequest.to_wire`; perhaps none."""
    return list(dict.fromkeys(aspect.name for aspect in _aspects(schedule, wanted) if not aspect.is_so))


def merged(schedule: JobSchedule, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a schedule's JSON, in which only the differences are changed."""
    properties = dict(schedule.wire["properties"])
    action = {**(properties.get("action") or {}), "actionType": "CreateJob"}
    job = {**(action.get("jobDefinition") or {}), "jobType": "Pipeline"}
    for aspect in _aspects(schedule, wanted):
        if not aspect.is_so:
            part = job if aspect.of_jobs else properties
            part[aspect.key] = {**(part.get(aspect.key) or {}), **aspect.value} if aspect.is_patch else aspect.value
    # With the id of a job to copy, it would not be a job of the component.
    job.pop("sourceJobId", None)
    return {**schedule.wire, "properties": {**properties, "action": {**action, "jobDefinition": job}}}


def with_status(schedule: JobSchedule, status: str) -> dict[str, Any]:
    """A copy of a schedule's JSON, in which only the status is changed."""
    return {**schedule.wire, "properties": {**schedule.wire["properties"], "isEnabled": status == ACTIVE}}


def _aspects(schedule: JobSchedule, wanted: Mapping[str, Any]) -> list[_Aspect]:
    asked, job = wanted["properties"], wanted["properties"]["action"]["jobDefinition"]
    now, current = schedule.wire["properties"], schedule.job
    enabled = asked["isEnabled"]
    component, experiment = job["componentId"], job["experimentName"]
    is_component = (
        schedule.creates_jobs and schedule.component_id.lower() == component.lower() and not current.get("sourceJobId")
    )
    trigger = asked["trigger"]
    aspects = [
        _Aspect("status", schedule.is_active == enabled, "isEnabled", enabled),
        _Aspect(
            "trigger", same_trigger(schedule.trigger, trigger), "trigger", merge_trigger(schedule.trigger, trigger)
        ),
        _map("tags", "tags", now, asked["tags"]),
        _Aspect("component", is_component, "componentId", component, of_jobs=True),
        _Aspect(
            "experiment_name", current.get("experimentName") == experiment, "experimentName", experiment, of_jobs=True
        ),
        _inputs(schedule.inputs, job["inputs"]),
        _map("settings", "settings", current, job["settings"], of_jobs=True),
        _map("tags", "tags", current, asked["tags"], of_jobs=True),
        *_owner(now, current, asked["properties"]),
    ]
    if "description" in asked:
        text = asked["description"]
        aspects.append(_Aspect("description", (now.get("description") or "") == text, "description", text))
    if "description" in job:
        text = job["description"]
        same = (current.get("description") or "") == text
        aspects.append(_Aspect("description", same, "description", text, of_jobs=True))
    return aspects


def _map(
    name: str, key: str, current: Mapping[str, Any], wanted: Mapping[str, Any], *, of_jobs: bool = False
) -> _Aspect:
    """A map of which only the requested entries are ours; the others are kept."""
    seen = current.get(key) or {}
    same = all(_same_value(seen.get(entry), value) for entry, value in wanted.items() if entry not in _NOT_COMPARED)
    return _Aspect(name, same, key, wanted, of_jobs=of_jobs, is_patch=True)


def _owner(now: Mapping[str, Any], current: Mapping[str, Any], own: Mapping[str, str]) -> list[_Aspect]:
    """Our own properties. The jobs need them in their properties or in their tags, whichever the service keeps.

    If something is written, our properties go to all three places.
    """
    places = [_map("owner", "properties", now, own)]
    places += [_map("owner", key, current, own, of_jobs=True) for key in ("properties", "tags")]
    same = any(place.is_so for place in places[1:])
    return [place._replace(is_so=same) for place in places]


def _same_value(one: Any, other: Any) -> bool:
    # Ids in Azure Resource Manager and the words for true and false ignore case; a bool may come back as text.
    if isinstance(other, bool) or (isinstance(other, str) and other.startswith("/")):
        return str(one).lower() == str(other).lower()
    return bool(one == other)


def _inputs(current: Mapping[str, Mapping[str, Any]], wanted: Mapping[str, Any]) -> _Aspect:
    """The inputs. An input that is not requested would change the job, so it is removed.

    In a requested input, the keys that others have added stay.
    """
    same = {name: _meaning(item) for name, item in current.items()} == {
        name: _meaning(item) for name, item in wanted.items()
    }
    value = {
        name: {**(current[name] if name in current and _type(current[name]) == _type(item) else {}), **item}
        for name, item in wanted.items()
    }
    return _Aspect("parameters, data_paths or datasets", same, "inputs", value, of_jobs=True)


def _type(item: Mapping[str, Any]) -> str:
    return str(item.get("jobInputType")).lower()


def _meaning(item: Mapping[str, Any]) -> tuple[str, str, Any]:
    # A literal is sent as text, and may come back as a number or a bool.
    return _type(item), str(item.get("value")), item.get("uri")
