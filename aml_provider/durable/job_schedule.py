"""Reconciles one job schedule with its author's arguments: one read and at most one write.

The name is the schedule's identity, so two schedules cannot have the same name, and a repeated request makes no second
schedule. No intent is stored: a try after a crash reads the schedule, and sees whether the earlier try has written it.

Two writers: there is no ETag, so if both have read the same state, the later write replaces the earlier one completely.
The owner's properties keep tasks of this Airflow and of others apart. What people and other tools write between our
read and our write is lost; usually, only one request lies between the two. A lost request of an interrupted try may be
carried out up to ``ON_ITS_WAY`` seconds later, and undo what was written meanwhile; the next run of the DAG corrects
that.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from aml_provider.client import calls
from aml_provider.client.arguments import DISABLED
from aml_provider.client.errors import ScheduleExists, ScheduleStartedRun
from aml_provider.client.flows.finding import describe
from aml_provider.client.flows.job_schedules import find_job_schedule
from aml_provider.client.flows.read_modify_write import rewrite
from aml_provider.client.flows.scheduled_jobs import ScheduledJobs
from aml_provider.client.flows.schedules import check_provisioning
from aml_provider.client.specs.job_schedule import differences, merged

if TYPE_CHECKING:
    from collections.abc import Callable

    from aml_provider.client.calls import Call
    from aml_provider.client.entities import JobSchedule
    from aml_provider.client.http.messages import Flow
    from aml_provider.client.specs.job_schedule import JobScheduleRequest
    from aml_provider.client.specs.target import Target
    from aml_provider.durable.log import Log
    from aml_provider.durable.schedule_owner import ScheduleOwner


class JobScheduleReconciler:
    """Makes one job schedule match what is wanted.

    Args:
        target: The version of the component that the schedule should run.
        workspace: The workspace's id in Azure Resource Manager.
        if_exists: What to do if the schedule exists already: ``update``, ``reuse`` or ``fail``.
    """

    def __init__(
        self,
        *,
        wanted: JobScheduleRequest,
        target: Target,
        workspace: str,
        owner: ScheduleOwner,
        if_exists: str,
        log: Log,
    ) -> None:
        self._wanted = wanted
        self._target = target
        self._owner = owner
        self._key = owner.key(wanted.name)
        self._if_exists = if_exists
        self._log = log
        own = owner.owner_properties(wanted.name)
        self._body = wanted.to_wire(target, workspace=workspace, own=own)
        self._new_body = wanted.to_wire(target, workspace=workspace, own=own | owner.created_by_properties())
        # What the last read found, and whether a creation has been sent.
        self._found: JobSchedule | None = None
        self._was_missing = False

    def reconcile(self) -> Flow[JobSchedule]:
        """Create the schedule or make it match what is wanted.

        Raises:
            ScheduleExists: It exists although it must not (``fail``), another Airflow or task owns it, or it does not
                start jobs of a pipeline.
            ScheduleStartedRun: It should have been created as disabled, but it has started a job.
            ProvisioningFailed: The service replies that it cannot set it up.
            AzureMLError: The service refused, or could not be reached.
        """
        schedule = yield from self._write()
        if self._was_missing and schedule.is_active and self._wanted.status == DISABLED:
            # Only a service that ignores isEnabled in a creation gets here.
            self._log.warning(f"The service made job schedule {schedule.label} active, although it should be disabled.")
            schedule = yield from self._write()
            yield from self._check_nothing_started(schedule)
        return schedule

    def _write(self) -> Flow[JobSchedule]:
        name = self._wanted.name
        schedule: JobSchedule | None
        put: Callable[[dict[str, Any]], Call[Any]] = partial(calls.put_job_schedule, name)
        schedule, written = yield from rewrite(partial(find_job_schedule, name), self._edit, put)
        assert schedule is not None  # without one, _edit() always asks for one
        if written:
            check_provisioning(schedule)
            if self._found is None:
                done = f"was created, for {self._target}"
            else:
                done = f"was updated: {', '.join(differences(self._found, self._body)) or 'written again'}"
            self._log.info(f"Job schedule {schedule.label} {done}; it is {schedule.status}.")
        return schedule

    def _edit(self, found: JobSchedule | None) -> dict[str, Any] | None:
        """The schedule as it is wanted; None if it needs no change."""
        if found is None:
            self._was_missing = True
            return self._new_body
        if not self._is_ours(found):
            if self._if_exists == "fail":
                raise ScheduleExists(
                    f"Job schedule {found.name!r} exists already: {describe(found)} (if_exists='fail')."
                )
            if self._if_exists == "reuse":
                self._log.info(
                    f"Job schedule {found.label} exists, is {found.status} and is not changed (if_exists='reuse')."
                )
                return None
            self._check_owner(found)
        if not differences(found, self._body) and found.provisioning not in {"Failed", "Canceled"}:
            if self._found is None and not self._was_missing:
                self._log.info(f"Job schedule {found.label} needs no change; it is {found.status}.")
            return None
        self._found = found
        return merged(found, self._body)

    def _is_ours(self, found: JobSchedule) -> bool:
        """Whether this very task instance, or this call, has created the schedule."""
        if self._owner.has_created(found.properties, self._key, describe(found)):
            return True
        # Without an owner, our own creation is recognised by its content, even if the service ignored its status.
        return self._was_missing and differences(found, self._body) in ([], ["status"])

    def _check_owner(self, found: JobSchedule) -> None:
        """Refuse a schedule that another Airflow or task owns, or that does not start jobs.

        Raises:
            ScheduleExists: It is such a schedule.
        """
        if not found.creates_jobs:
            raise ScheduleExists(
                f"Job schedule {found.label} does not start pipeline jobs: its action is {found.action!r}. Give the "
                "new schedule another name."
            )
        same = _component(found.component_id) == _component(self._target.id)
        self._owner.check(
            found.properties,
            self._key,
            described=describe(found),
            other_target=None if same else str(self._target),
            warn=self._log.warning,
        )

    def _check_nothing_started(self, schedule: JobSchedule) -> Flow[None]:
        """Check that a new schedule, which the service had made active, has not started a job.

        Raises:
            ScheduleStartedRun: It has started a job.
        """
        created = schedule.created
        jobs = yield from ScheduledJobs(schedule.name).read()
        # Jobs of an earlier schedule of this name, which was deleted, do not count.
        started = [job for job in jobs if created and job.created and job.created >= created]
        if started:
            raise ScheduleStartedRun(
                f"Job schedule {schedule.label} is disabled, as requested, but the service has started job "
                f"{started[0].id} of it ({started[0].status}). Cancel that job in the studio if it does harm, then "
                "clear this task."
            )


def _component(component_id: str) -> str:
    """A component's id without its version; ids in Azure Resource Manager ignore case."""
    return component_id.lower().partition("/versions/")[0]
