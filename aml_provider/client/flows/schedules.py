"""Flows for native schedules; each may be repeated after a crash at any point."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeVar

from aml_provider.client import calls
from aml_provider.client.arguments import ACTIVE, DISABLED
from aml_provider.client.errors import InvalidArgument, ProvisioningFailed, ProvisioningUnsettled
from aml_provider.client.flows.datastores import check_datastores, find_datastore
from aml_provider.client.flows.finding import (
    ENDPOINT,
    PIPELINE,
    SCHEDULE,
    advised,
    no_such_name,
    only_named,
    read_by_id,
)
from aml_provider.client.flows.read_modify_write import rewrite
from aml_provider.client.flows.targets import Known, find_pipeline_of_id, find_target, inspect_target
from aml_provider.client.http.messages import Flow, Pause
from aml_provider.client.specs.schedule import with_status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from aml_provider.client.calls import Call
    from aml_provider.client.entities import JobSchedule, Schedule
    from aml_provider.client.specs.schedule import ScheduleRequest
    from aml_provider.client.specs.target import PipelineReference, Target

S = TypeVar("S", "Schedule", "JobSchedule")

#: The property with our state of a schedule: still being created, or replaced by another one.
STATE = "airflow.schedule_state"
CREATING = "creating"
RETIRED = "retired"

_WATCHABLE = "AzureBlob"
_KEYED = "AccountKey"


def list_schedules(
    *, active_only: bool = True, pipeline_id: str | None = None, endpoint_id: str | None = None
) -> Flow[tuple[Schedule, ...]]:
    """List schedules: all, or those of one published pipeline or pipeline endpoint."""
    if pipeline_id is not None:
        found = yield from advised(calls.list_schedules_of_pipeline(pipeline_id), PIPELINE, pipeline_id)
    elif endpoint_id is not None:
        found = yield from advised(calls.list_schedules_of_endpoint(endpoint_id), ENDPOINT, endpoint_id)
    else:
        found = yield calls.list_schedules(active_only=active_only)
    # For a pipeline, the service also lists disabled schedules.
    return tuple(schedule for schedule in found if schedule.is_active or not active_only)


def find_schedule(name: str) -> Flow[Schedule]:
    """Find the schedule of this name: the active one, or the disabled one if none is active.

    Schedules that this provider has replaced do not count.

    Raises:
        AmbiguousSchedule: Several are active, or none is active and several are disabled; the message lists them.
        ScheduleError: It does not exist; the message suggests similar names.
    """
    return _named(name, (yield calls.list_schedules(active_only=False)))


def _named(name: str, listed: tuple[Schedule, ...]) -> Schedule:
    found = only_one("schedule_name", name, listed)
    if found is None:
        raise no_such_name(SCHEDULE, name, listed, "schedule_name")
    return found


def is_replaced(schedule: Schedule) -> bool:
    """Whether this provider has replaced it by another schedule; a replaced schedule stays disabled."""
    return schedule.properties.get(STATE) == RETIRED


def only_one(argument: str, name: str, listed: Iterable[Schedule]) -> Schedule | None:
    """Find the only active schedule of a name, else the only disabled one; None if no schedule has the name.

    The service cannot delete schedules, so disabled ones of the same name accumulate over the years. Those that we have
    replaced do not count.

    Raises:
        AmbiguousSchedule: Several are active, or none is active and several are disabled.
    """
    return only_named(SCHEDULE, name, (item for item in listed if not is_replaced(item)), argument)


def change(schedule_id: str, edit: Callable[[Schedule], dict[str, Any] | None]) -> Flow[tuple[Schedule, bool]]:
    """Read a schedule, change it and write it back whole; ``edit`` is the argument of :func:`rewrite`.

    Returns:
        The schedule, and whether it was written.

    Raises:
        ScheduleError: There is no such schedule.
        ProvisioningFailed: The service replies that it cannot set the schedule up.
    """
    schedule, written = yield from rewrite(
        lambda: read_schedule(schedule_id), edit, lambda wire: calls.update_schedule(schedule_id, wire)
    )
    if written:
        check_provisioning(schedule)
    return schedule, written


def read_schedule(schedule_id: str) -> Flow[Schedule]:
    """Read the schedule of this id, active or not.

    Raises:
        ScheduleError: It does not exist; the message suggests similar ids, or says that a name was given.
    """
    return read_by_id(SCHEDULE, calls.get_schedule(schedule_id), schedule_id)


def set_status(schedule_id: str, status: str) -> Flow[tuple[Schedule, bool]]:
    """Enable or disable a schedule; everything else is left unchanged.

    Returns:
        The schedule, and whether it was changed.
    """
    return change(schedule_id, lambda schedule: None if schedule.status == status else with_status(schedule, status))


def set_status_of_all(pipeline_id: str, status: str, log: Callable[[str], None]) -> Flow[tuple[Schedule, ...]]:
    """Enable or disable all schedules of a published pipeline, and log a line about each change.

    Returns:
        The pipeline's schedules that have this status now, without replaced ones.
    """
    # For a pipeline that does not exist, the service may answer 404 or an empty list.
    listed = yield from advised(calls.list_schedules_of_pipeline(pipeline_id), PIPELINE, pipeline_id)
    settled = []
    for schedule in listed:
        if status == ACTIVE and is_replaced(schedule):
            log(f"Schedule {schedule.name!r} ({schedule.id}) was replaced by another one and stays disabled.")
            continue
        if schedule.status == status:
            settled.append(schedule)
            continue
        changed, _ = yield from set_status(schedule.id, status)
        settled.append(changed)
        log(f"Schedule {schedule.name!r} ({schedule.id}) was {schedule.status}, and is {status} now.")
    return tuple(settled)


def settle_status(
    status: str,
    *,
    schedule_id: str | None = None,
    schedule_name: str | None = None,
    pipeline_id: str | None = None,
    log: Callable[[str], None] = lambda _: None,
) -> Flow[tuple[Schedule, ...]]:
    """Enable or disable the schedule with an id or a name, or all schedules of a pipeline.

    Returns:
        The schedules that have this status now.

    Raises:
        AmbiguousSchedule: Several have the name.
        ScheduleError: There is no such schedule.
        PipelineError: There is no such pipeline.
    """
    if pipeline_id is not None:
        settled = yield from set_status_of_all(pipeline_id, status, log)
        if not settled:
            yield from find_pipeline_of_id(pipeline_id)
        return settled
    if schedule_id is None:
        assert schedule_name is not None
        listed: tuple[Schedule, ...] = yield calls.list_schedules(active_only=False)
        named = tuple(item for item in listed if item.name == schedule_name)
        if status == DISABLED and named and not any(item.is_active for item in named):
            log(f"Schedule {schedule_name!r} is disabled already: {', '.join(item.id for item in named)}.")
            return named
        schedule_id = _named(schedule_name, listed).id
    schedule, changed = yield from set_status(schedule_id, status)
    done = f"is {status} now" if changed else f"is {status} already; nothing was changed"
    log(f"Schedule {schedule.name!r} ({schedule.id}) {done}.")
    return (schedule,)


def prepare(
    wanted: ScheduleRequest,
    reference: PipelineReference,
    known: Known,
    *,
    warn: Callable[[str], None] = lambda _: None,
) -> Flow[Target]:
    """Find the pipeline or endpoint of a schedule, and check that it fits the schedule, before anything is written.

    Args:
        wanted: The schedule.
        reference: Its pipeline or endpoint.
        known: The parts of the workspace that have been read; new ones are added.
        warn: Called with a line about something that may not work.

    Raises:
        PipelineError: There is no such pipeline or endpoint, it is not active, or it rejects the parameters.
        InvalidArgument: The service cannot watch the datastore.
    """
    target = yield from find_target(reference, known)
    target, pipeline, interface = yield from inspect_target(target, known)
    wanted.check(pipeline, interface)
    yield from check_datastores(wanted.request.datastores(), known.datastores, of_job=False)
    if wanted.datastore is None:
        return target
    datastore = yield from find_datastore(wanted.datastore)
    if datastore.kind != _WATCHABLE:
        raise InvalidArgument(
            "datastore",
            f"{datastore.name!r} is of the kind {datastore.kind}; a native schedule can watch {_WATCHABLE} only. "
            "Consider AzureBlobChangeSensor instead",
        )
    if datastore.credential_type != _KEYED:
        warn(
            f"Datastore {datastore.name!r} has the credential {datastore.credential_type}; Microsoft documents native "
            "schedules for account keys only. If no run starts, use AzureBlobChangeSensor."
        )
    return target


def check_provisioning(schedule: Schedule | JobSchedule) -> None:
    """Check that the service has not failed to set a schedule up.

    Raises:
        ProvisioningFailed: It failed; the message has the service's explanation.
    """
    if schedule.provisioning in {"Failed", "Canceled"}:
        said = "; ".join(_sayings({**(schedule.wire.get("properties") or {}), **schedule.wire}))
        raise ProvisioningFailed(
            f"The service could not set up schedule {schedule.label}: ProvisioningStatus {schedule.provisioning}"
            f"{f'; {said}' if said else ', without an explanation'}. A retry writes it again."
        )


def _sayings(wire: dict[str, Any]) -> list[str]:
    """Texts that may explain a failure. The key is not documented, so all keys with a fitting name count."""
    return [
        f"{key}: {value}"
        for key, value in wire.items()
        if value and any(word in key.lower() for word in ("error", "detail", "message", "reason", "warning"))
    ]


def wait_for_provisioning(
    read: Callable[[], Call[S]], *, poll_interval: float = 5.0, deadline: float, now: Callable[[], float] = time.time
) -> Flow[S]:
    """Poll a schedule until its provisioning has ended, or until ``deadline`` has passed.

    Args:
        read: Reads the schedule.
        poll_interval: Seconds between two polls.
        deadline: Seconds since the epoch.
        now: The wall clock.

    Returns:
        The schedule as it was read last; :func:`check_provisioned` shows whether it is set up.
    """
    while True:
        schedule: S = yield read()
        pause = Pause.before(deadline, poll_interval, now())
        if not schedule.is_provisioning or pause is None:
            return schedule
        yield pause


def check_provisioned(schedule: Schedule | JobSchedule) -> None:
    """Check that a schedule is set up.

    Raises:
        ProvisioningFailed: The service could not set it up.
        ProvisioningUnsettled: It is not set up yet.
    """
    check_provisioning(schedule)
    if schedule.is_provisioning:
        raise ProvisioningUnsettled(
            f"Schedule {schedule.label} exists, but was still {schedule.provisioning} when the "
            "deadline passed. A retry continues the wait."
        )
