"""One try of the operator that creates job schedules. Loaded on the worker only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from aml_provider.client import calls
from aml_provider.client.arguments import IF_EXISTS, as_choice
from aml_provider.client.flows.targets import find_target_for, known_of
from aml_provider.client.specs.job_schedule import JobScheduleRequest
from aml_provider.client.specs.run import RunRequest
from aml_provider.client.specs.target import PipelineReference
from aml_provider.durable.job_schedule import JobScheduleReconciler
from aml_provider.worker.create_schedule import ScheduleTry

if TYPE_CHECKING:
    from datetime import timedelta

    from aml_provider.client.calls import Call
    from aml_provider.client.entities import JobSchedule
    from aml_provider.client.http.clients import Client


class JobScheduleArguments(NamedTuple):
    """The operator's arguments, by their names; a rendered value can be anything."""

    name: Any
    component_name: Any
    component_version: Any
    batch_endpoint_name: Any
    deployment_name: Any
    experiment_name: Any
    compute: Any
    recurrence: Any
    cron: Any
    start_time: Any
    end_time: Any
    time_zone: Any
    parameters: Any
    data_paths: Any
    datasets: Any
    tags: Any
    description: Any
    continue_on_step_failure: bool | None
    status: str
    validate: bool
    wait_for_provisioning: bool
    if_exists: str
    deferrable: bool
    azureml_conn_id: Any
    execution_timeout: timedelta | None

    @classmethod
    def of(cls, operator: object) -> JobScheduleArguments:
        """Read the arguments from an operator's attributes, after rendering."""
        return cls(*(getattr(operator, name) for name in cls._fields))

    def check(self) -> JobScheduleRequest:
        """Check the arguments; returns the schedule.

        Raises:
            InvalidArgument: A value cannot be used; the message names it.
        """
        as_choice("if_exists", self.if_exists, IF_EXISTS)
        return JobScheduleRequest.of(
            name=self.name,
            reference=PipelineReference.of(self),
            request=RunRequest.of_arguments(self),
            recurrence=self.recurrence,
            cron=self.cron,
            start_time=self.start_time,
            end_time=self.end_time,
            time_zone=self.time_zone,
            status=self.status,
        )


class JobScheduleTry(ScheduleTry):
    """One try, with rendered arguments: obtain the job schedule, and wait until the service has set it up."""

    _is_job_schedule = True

    def _read(self, schedule_id: str) -> Call[Any]:
        return calls.get_job_schedule(schedule_id)

    def _obtain(self, client: Client, checked: JobScheduleRequest) -> JobSchedule:
        known = known_of(client.settings.identity, client.settings.arm_id)
        target = client.run(
            find_target_for(checked.request, checked.reference, known, validate=self._arguments.validate)
        )
        reconciler = JobScheduleReconciler(
            wanted=checked,
            target=target,
            workspace=known.workspace,
            owner=self._owner(),
            if_exists=self._arguments.if_exists,
            log=self._log,
        )
        return client.run(reconciler.reconcile())
