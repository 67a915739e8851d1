"""The hook's methods for job schedules (Azure ML v2)."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aml_provider.client.arguments import ACTIVE, DISABLED
from aml_provider.hooks.operation import in_event_loop, operation
from aml_provider.hooks.workspace import WorkspaceHook

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aml_provider.client.arguments import IfExists, Status
    from aml_provider.client.calls import Call
    from aml_provider.client.entities import JobSchedule, PipelineRun
    from aml_provider.client.http.messages import Flow
    from aml_provider.client.models import Recurrence


class JobScheduleMethods(WorkspaceHook):
    """Methods for job schedules. A schedule's name is its identity."""

    @operation
    def list_job_schedules(self, *, active_only: bool = True) -> Call[tuple[JobSchedule, ...]]:
        """List the workspace's job schedules.

        Args:
            active_only: Leave out disabled schedules.
        """
        from aml_provider.client import calls

        return calls.list_job_schedules(active_only=active_only)

    async_list_job_schedules = in_event_loop(list_job_schedules)

    @operation
    def get_job_schedule(self, name: str) -> Flow[JobSchedule]:
        """Read one job schedule.

        Raises:
            ScheduleError: It does not exist; the message suggests similar names.
        """
        from aml_provider.client.flows.job_schedules import read_job_schedule

        return read_job_schedule(name)

    async_get_job_schedule = in_event_loop(get_job_schedule)

    @operation
    def create_job_schedule(
        self,
        name: str,
        *,
        experiment_name: str,
        component_name: str | None = None,
        component_version: str | None = None,
        batch_endpoint_name: str | None = None,
        deployment_name: str | None = None,
        compute: str | None = None,
        recurrence: Recurrence | Mapping[str, Any] | None = None,
        cron: str | None = None,
        start_time: datetime | str | None = None,
        end_time: datetime | str | None = None,
        time_zone: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        data_paths: Mapping[str, Any] | None = None,
        datasets: Mapping[str, str] | None = None,
        tags: Mapping[str, Any] | None = None,
        description: str | None = None,
        continue_on_step_failure: bool | None = None,
        status: Status = "Active",
        if_exists: IfExists = "fail",
        wait_for_provisioning: bool = True,
        timeout: float = 3600.0,
    ) -> Flow[JobSchedule]:
        """Create a job schedule, which starts jobs of a pipeline component by itself.

        The call is safe to repeat. A schedule that a DAG manages with ``AzureMLCreateJobScheduleOperator`` is not
        changed.

        Args:
            name: Its name: 1 to 255 letters, digits, ``-`` and ``_``.
            experiment_name: The experiment of the schedule's jobs.
            component_name: The registered pipeline component; give this or ``batch_endpoint_name``.
            component_version: The component's version; None: the version that is newest now.
            batch_endpoint_name: The batch endpoint whose deployment names the component.
            deployment_name: The endpoint's deployment; None: its default deployment.
            compute: The compute for the steps that name no compute.
            recurrence: The times at which it starts jobs: a :class:`~aml_provider.client.models.Recurrence`; or
            cron: a cron expression, with ``*`` for day of month and month.
            start_time: The first moment at which a job may start, without an offset.
            end_time: The last moment at which a job may start, without an offset.
            time_zone: The zone of all times; None: UTC.
            parameters: Literal inputs of its jobs, by name.
            data_paths: Inputs that take data, by name.
            datasets: Data assets as ``name:version``, by input.
            tags: Tags of the schedule and of its jobs.
            description: The description of the schedule and of its jobs.
            continue_on_step_failure: Whether other steps continue when one fails.
            status: ``Active`` or ``Disabled``.
            if_exists: What to do if a schedule has the name: ``fail``, ``reuse`` or ``update``.
            wait_for_provisioning: Wait until the service has set it up.
            timeout: Seconds for this wait.

        Raises:
            InvalidArgument: A value cannot be used.
            PipelineError: There is no such component or batch endpoint, or it does not accept the inputs.
            ScheduleExists: A schedule has the name (``fail``), or a task of a DAG owns it.
            ProvisioningFailed: The service could not set it up.
            ProvisioningUnsettled: The timeout has passed.
        """
        from aml_provider.client.specs.job_schedule import JobScheduleRequest
        from aml_provider.client.specs.run import RunRequest
        from aml_provider.client.specs.target import PipelineReference
        from aml_provider.durable.job_schedule_once import create_job_schedule

        reference = PipelineReference(
            component_name=component_name,
            component_version=component_version,
            batch_endpoint_name=batch_endpoint_name,
            deployment_name=deployment_name,
        )
        request = RunRequest.of(
            experiment_name=experiment_name,
            parameters=parameters,
            data_paths=data_paths,
            datasets=datasets,
            tags=tags,
            description=description,
            continue_on_step_failure=continue_on_step_failure,
            compute=compute,
        )
        wanted = JobScheduleRequest.of(
            name=name,
            reference=reference.check(),
            request=request,
            recurrence=recurrence,
            cron=cron,
            start_time=start_time,
            end_time=end_time,
            time_zone=time_zone,
            status=status,
        )
        return create_job_schedule(
            wanted,
            if_exists=if_exists,
            deadline=time.time() + timeout if wait_for_provisioning else None,
            log=self.log,
        )

    async_create_job_schedule = in_event_loop(create_job_schedule)

    @operation
    def disable_job_schedule(self, name: str) -> Flow[JobSchedule]:
        """Disable a job schedule, and change nothing else.

        Raises:
            ScheduleError: It does not exist.
        """
        from aml_provider.client.flows.job_schedules import set_job_schedule_status

        schedule, _ = yield from set_job_schedule_status(name, DISABLED)
        return schedule

    async_disable_job_schedule = in_event_loop(disable_job_schedule)

    @operation
    def enable_job_schedule(self, name: str) -> Flow[JobSchedule]:
        """Enable a job schedule, and change nothing else.

        Raises:
            ScheduleError: It does not exist.
        """
        from aml_provider.client.flows.job_schedules import set_job_schedule_status

        schedule, _ = yield from set_job_schedule_status(name, ACTIVE)
        return schedule

    async_enable_job_schedule = in_event_loop(enable_job_schedule)

    @operation
    def delete_job_schedule(self, name: str, *, timeout: float = 600.0) -> Flow[bool]:
        """Disable and delete a job schedule, and wait until it is gone; jobs that it has started continue.

        Args:
            name: The schedule.
            timeout: Seconds to wait.

        Returns:
            Whether the schedule existed.

        Raises:
            ProvisioningUnsettled: It still existed when the timeout had passed.
        """
        from aml_provider.client.flows.job_schedules import delete_job_schedule

        return delete_job_schedule(name, deadline=time.time() + timeout)

    async_delete_job_schedule = in_event_loop(delete_job_schedule)

    @operation
    def trigger_job_schedule(self, name: str) -> Call[str]:
        """Start a job of a schedule now; returns the job's id. Only preview versions of the service can do this."""
        from aml_provider.client import calls

        return calls.trigger_job_schedule(name, datetime.now(UTC))

    async_trigger_job_schedule = in_event_loop(trigger_job_schedule)

    @operation
    def list_jobs_of_job_schedule(self, name: str) -> Flow[tuple[PipelineRun, ...]]:
        """List the jobs that a schedule has started, in any order.

        Raises:
            ScheduleError: It does not exist; or the service has no way to find its jobs.
        """
        from aml_provider.client.flows.scheduled_jobs import list_jobs_of_schedule

        return list_jobs_of_schedule(name)

    async_list_jobs_of_job_schedule = in_event_loop(list_jobs_of_job_schedule)
