"""Flows for job schedules; each may be repeated after a crash at any point.

A schedule is written as a whole, and the service has no ETag for it (azureml-v2-rest 6.2). Each write here follows a
read, and keeps everything that is not to be changed. A change that somebody else writes between that read and our write
is lost. If the other write arrives after ours, our change is lost until the next reconciliation. A write whose reply
was lost is repeated only after a read, for as long as the lost request may still be on its way (``rewrite``).
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from aml_provider.client import calls
from aml_provider.client.arguments import DISABLED
from aml_provider.client.errors import NotFound, ProvisioningUnsettled
from aml_provider.client.flows.finding import JOB_SCHEDULE, read_by_id
from aml_provider.client.flows.read_modify_write import rewrite
from aml_provider.client.flows.schedules import check_provisioning, wait_for_provisioning
from aml_provider.client.http.messages import Flow, Pause
from aml_provider.client.specs.job_schedule import with_status

if TYPE_CHECKING:
    from collections.abc import Callable

    from aml_provider.client.entities import JobSchedule

# Seconds between two polls of a schedule that is being deleted.
_POLL_INTERVAL = 5.0


def read_job_schedule(name: str, argument: str = "name") -> Flow[JobSchedule]:
    """Read the job schedule of this name, which the argument has given.

    Raises:
        ScheduleError: It does not exist; the message suggests similar names.
    """
    return read_by_id(JOB_SCHEDULE, calls.get_job_schedule(name), name, argument)


def find_job_schedule(name: str) -> Flow[JobSchedule | None]:
    """Read the job schedule of this name; None: it does not exist."""
    try:
        found: JobSchedule = yield calls.get_job_schedule(name)
    except NotFound:
        return None
    return found


def set_job_schedule_status(name: str, status: str) -> Flow[tuple[JobSchedule, bool]]:
    """Enable or disable a job schedule; everything else is left unchanged.

    Returns:
        The schedule, and whether it was changed.

    Raises:
        ScheduleError: It does not exist.
        ProvisioningFailed: The service replies that it cannot set the schedule up.
    """

    def edit(schedule: JobSchedule) -> dict[str, Any] | None:
        return None if schedule.status == status else with_status(schedule, status)

    schedule, written = yield from rewrite(
        partial(read_job_schedule, name), edit, partial(calls.put_job_schedule, name)
    )
    if written:
        check_provisioning(schedule)
    return schedule, written


def delete_job_schedule(
    name: str,
    *,
    deadline: float,
    check: Callable[[JobSchedule], None] = lambda _: None,
    now: Callable[[], float] = time.time,
) -> Flow[bool]:
    """Disable a job schedule, delete it, and wait until it cannot be read any more.

    The service deletes only disabled schedules.

    Args:
        name: The schedule. If it does not exist, it is deleted already, perhaps by a request whose reply was lost.
        deadline: When to stop waiting, in seconds since the epoch.
        check: Called with the schedule before anything is changed; raises an error if the schedule must not be deleted.
        now: The wall clock.

    Returns:
        Whether the schedule existed.

    Raises:
        ProvisioningUnsettled: The schedule still existed at the deadline.
    """
    schedule = yield from find_job_schedule(name)
    if schedule is None:
        return False
    check(schedule)
    read = partial(calls.get_job_schedule, name)
    if schedule.is_active:
        schedule, _ = yield from set_job_schedule_status(name, DISABLED)
        if schedule.is_provisioning:
            # While one change is carried out, the service may refuse another one.
            yield from wait_for_provisioning(read, deadline=deadline, now=now)
    try:
        yield calls.delete_job_schedule(name)
    except NotFound:
        return True
    while (yield from find_job_schedule(name)) is not None:
        pause = Pause.before(deadline, _POLL_INTERVAL, now())
        if pause is None:
            raise ProvisioningUnsettled(
                f"Job schedule {name!r} is disabled, and its deletion was requested, but it still existed when the "
                "deadline passed. A retry continues the wait."
            )
        yield pause
    return True
