"""Makes a job schedule that no task owns, for the hook."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from aml_provider.client import calls
from aml_provider.client.arguments import IF_EXISTS, as_choice
from aml_provider.client.flows.schedules import check_provisioned, wait_for_provisioning
from aml_provider.client.flows.targets import Known, find_target_for
from aml_provider.durable.job_schedule import JobScheduleReconciler
from aml_provider.durable.schedule_owner import NO_OWNER

if TYPE_CHECKING:
    from aml_provider.client.entities import JobSchedule, Workspace
    from aml_provider.client.http.messages import Flow
    from aml_provider.client.specs.job_schedule import JobScheduleRequest
    from aml_provider.durable.log import Log


def create_job_schedule(
    wanted: JobScheduleRequest, *, if_exists: str, deadline: float | None, log: Log
) -> Flow[JobSchedule]:
    """Create a job schedule, or find the one that has its name.

    The service must have set it up by the ``deadline``, in seconds since the epoch; None: do not wait for that.

    Raises:
        InvalidArgument: A value cannot be used.
        PipelineError: There is no such component or batch endpoint, or it does not accept the inputs.
        ScheduleError: The schedule cannot be managed as requested.
    """
    as_choice("if_exists", if_exists, IF_EXISTS)
    workspace: Workspace = yield calls.get_workspace()
    target = yield from find_target_for(wanted.request, wanted.reference, Known(workspace=workspace.id))
    reconciler = JobScheduleReconciler(
        wanted=wanted,
        target=target,
        workspace=workspace.id,
        owner=NO_OWNER,
        if_exists=if_exists,
        log=log,
    )
    schedule = yield from reconciler.reconcile()
    if deadline is None:
        return schedule
    schedule = yield from wait_for_provisioning(partial(calls.get_job_schedule, wanted.name), deadline=deadline)
    check_provisioned(schedule)
    return schedule
