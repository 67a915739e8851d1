"""The hook's methods for native schedules."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from aml_provider.client.arguments import ACTIVE, DISABLED
from aml_provider.hooks.operation import in_event_loop, operation
from aml_provider.hooks.workspace import WorkspaceHook, lookup_timeout

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aml_provider.client.arguments import IfExists, Status
    from aml_provider.client.calls import Call
    from aml_provider.client.entities import PipelineRun, Schedule
    from aml_provider.client.http.messages import Flow
    from aml_provider.client.models import Recurrence


class ScheduleMethods(WorkspaceHook):
    """Methods for native schedules. The service cannot delete them, only disable them."""

    @operation
    def list_schedules(
        self, *, active_only: bool = True, pipeline_id: str | None = None, endpoint_id: str | None = None
    ) -> Flow[tuple[Schedule, ...]]:
        """List native schedules: all, or those of one published pipeline or pipeline endpoint.

        Args:
            active_only: Leave out disabled schedules.
            pipeline_id: The published pipeline.
            endpoint_id: The pipeline endpoint.
        """
        from aml_provider.client.flows.schedules import list_schedules

        return list_schedules(active_only=active_only, pipeline_id=pipeline_id, endpoint_id=endpoint_id)

    async_list_schedules = in_event_loop(list_schedules)

    @operation
    def get_schedule(self, schedule_id: str) -> Flow[Schedule]:
        """Read one native schedule by its id."""
        from aml_provider.client import calls
        from aml_provider.client.flows.finding import SCHEDULE, advised

        return advised(calls.get_schedule(schedule_id), SCHEDULE, schedule_id)

    async_get_schedule = in_event_loop(get_schedule)

    @operation
    def find_schedule(self, name: str) -> Flow[Schedule]:
        """Find the native schedule of this name: the active one, or the disabled one if none is active.

        Schedules that this provider has replaced do not count.

        Raises:
            AmbiguousSchedule: Several are active, or none is active and several are disabled; the message lists them.
            ScheduleError: It does not exist.
        """
        from aml_provider.client.flows.schedules import find_schedule

        return find_schedule(name)

    async_find_schedule = in_event_loop(find_schedule)

    @operation
    def create_schedule(
        self,
        name: str,
        *,
        experiment_name: str,
        pipeline_id: str | None = None,
        endpoint_id: str | None = None,
        recurrence: Recurrence | Mapping[str, Any] | None = None,
        datastore: str | None = None,
        path_on_datastore: str | None = None,
        polling_interval: int = 5,
        data_path_parameter_name: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        data_paths: Mapping[str, Any] | None = None,
        datasets: Mapping[str, str] | None = None,
        description: str | None = None,
        continue_on_step_failure: bool | None = None,
        status: Status = "Active",
        if_exists: IfExists = "fail",
        wait_for_provisioning: bool = True,
        timeout: float = 3600.0,
    ) -> Flow[Schedule]:
        """Create a native schedule that starts runs by itself.

        The service does not require unique names. Here the name makes the call safe to repeat. A schedule that a DAG
        manages with ``AzureMLCreateScheduleOperator`` is not changed.

        Args:
            name: Its name.
            experiment_name: The experiment of the schedule's runs.
            pipeline_id: The published pipeline that it runs; or
            endpoint_id: the pipeline endpoint.
            recurrence: When it fires: a :class:`~aml_provider.client.models.Recurrence`; or
            datastore: the blob datastore that it watches.
            path_on_datastore: The folder in that datastore, without its sub-folders; None: the container itself.
            polling_interval: Minutes between two polls of the folder.
            data_path_parameter_name: The DataPath parameter that gets the changed blob.
            parameters: Plain parameters of its runs.
            data_paths: DataPath parameters of its runs.
            datasets: Ids of saved datasets, by parameter.
            description: The description of the schedule.
            continue_on_step_failure: Whether other steps continue when one fails; None: as the pipeline was published.
            status: ``Active`` or ``Disabled``. The service makes every new schedule active; with ``Disabled`` it is
                then disabled.
            if_exists: What to do if a schedule has the name: ``fail``, ``reuse`` or ``update``.
            wait_for_provisioning: Wait until the service has set it up.
            timeout: Seconds for this wait.

        Raises:
            InvalidArgument: A value cannot be used.
            PipelineError: There is no such pipeline or endpoint, it is not active, or it does not accept the arguments.
            ScheduleExists: A schedule has the name (``fail``), or a task of a DAG owns it.
            AmbiguousSchedule: Several have the name.
            ProvisioningFailed: The service could not set it up.
            ProvisioningUnsettled: The timeout has passed.
        """
        from aml_provider.client.specs.run import RunRequest
        from aml_provider.client.specs.schedule import ScheduleRequest
        from aml_provider.durable.schedule_once import create_schedule

        request = RunRequest.of(
            experiment_name=experiment_name,
            parameters=parameters,
            data_paths=data_paths,
            datasets=datasets,
            description=description,
            continue_on_step_failure=continue_on_step_failure,
        )
        wanted = ScheduleRequest.of(
            name=name,
            request=request,
            recurrence=recurrence,
            datastore=datastore,
            path_on_datastore=path_on_datastore,
            polling_interval=polling_interval,
            data_path_parameter_name=data_path_parameter_name,
            status=status,
        )
        return create_schedule(
            wanted,
            pipeline_id=pipeline_id,
            endpoint_id=endpoint_id,
            if_exists=if_exists,
            deadline=time.time() + timeout if wait_for_provisioning else None,
            lookup_timeout=lookup_timeout(),
            log=self.log,
        )

    async_create_schedule = in_event_loop(create_schedule)

    @operation
    def disable_schedule(self, schedule_id: str) -> Flow[Schedule]:
        """Disable a native schedule, and change nothing else.

        Raises:
            ScheduleError: It does not exist.
        """
        from aml_provider.client.flows.schedules import set_status

        schedule, _ = yield from set_status(schedule_id, DISABLED)
        return schedule

    async_disable_schedule = in_event_loop(disable_schedule)

    @operation
    def enable_schedule(self, schedule_id: str) -> Flow[Schedule]:
        """Enable a native schedule, and change nothing else.

        Raises:
            ScheduleError: It does not exist.
        """
        from aml_provider.client.flows.schedules import set_status

        schedule, _ = yield from set_status(schedule_id, ACTIVE)
        return schedule

    async_enable_schedule = in_event_loop(enable_schedule)

    @operation
    def get_last_run_of_schedule(self, schedule_id: str) -> Call[PipelineRun | None]:
        """Read the run that a native schedule started last; None if it has started none."""
        from aml_provider.client import calls

        return calls.get_last_run_of_schedule(schedule_id)

    async_get_last_run_of_schedule = in_event_loop(get_last_run_of_schedule)
