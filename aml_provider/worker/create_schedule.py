"""One try of the operator that creates schedules. Loaded on the worker only."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from aml_provider.client import calls
from aml_provider.client.arguments import IF_EXISTS, as_choice
from aml_provider.client.errors import AzureMLError, ProvisioningUnsettled
from aml_provider.client.flows.schedules import check_provisioned, prepare, wait_for_provisioning
from aml_provider.client.flows.targets import known_of
from aml_provider.client.help import sentence, text_of
from aml_provider.client.specs.run import RunRequest
from aml_provider.client.specs.schedule import ScheduleRequest
from aml_provider.client.specs.target import PipelineReference
from aml_provider.connection import airflow_errors
from aml_provider.deadlines import LONGEST_TIMEOUT, clock_ahead, deadline_of, deferral_timeout, in_words, is_late
from aml_provider.durable.schedule import ScheduleReconciler
from aml_provider.durable.schedule_owner import ScheduleOwner
from aml_provider.hooks.azure_ml import AzureMLHook
from aml_provider.hooks.workspace import lookup_timeout
from aml_provider.state.deployment import this_deployment
from aml_provider.state.slots import intent_slot
from aml_provider.triggers.schedule import AzureMLScheduleProvisioningTrigger
from aml_provider.worker.wait import Wait

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from aml_provider.client.calls import Call
    from aml_provider.client.entities import JobSchedule, Schedule
    from aml_provider.client.http.clients import Client
    from aml_provider.compat import Context

# The timeout of the wait if the task has no execution_timeout; the same as in Microsoft's SDK.
_PROVISIONING_TIMEOUT = timedelta(hours=1)
_POLL_INTERVAL = 5.0


class ScheduleArguments(NamedTuple):
    """The operator's arguments, by their names; a rendered value can be anything."""

    name: Any
    pipeline_id: Any
    pipeline_name: Any
    endpoint_id: Any
    endpoint_name: Any
    experiment_name: Any
    recurrence: Any
    datastore: Any
    path_on_datastore: Any
    polling_interval: int
    data_path_parameter_name: Any
    parameters: Any
    data_paths: Any
    datasets: Any
    description: Any
    continue_on_step_failure: bool | None
    status: str
    wait_for_provisioning: bool
    if_exists: str
    deferrable: bool
    azureml_conn_id: Any
    execution_timeout: timedelta | None

    @classmethod
    def of(cls, operator: object) -> ScheduleArguments:
        """Read the arguments from an operator's attributes, after rendering."""
        return cls(*(getattr(operator, name) for name in cls._fields))

    def check(self) -> tuple[PipelineReference, ScheduleRequest]:
        """Check the arguments; returns the pipeline that the schedule runs, and the schedule.

        Raises:
            InvalidArgument: A value cannot be used; the message names it.
        """
        as_choice("if_exists", self.if_exists, IF_EXISTS)
        reference = PipelineReference.of(self)
        return reference, ScheduleRequest.of(
            name=self.name,
            request=RunRequest.of_arguments(self),
            recurrence=self.recurrence,
            datastore=self.datastore,
            path_on_datastore=self.path_on_datastore,
            polling_interval=self.polling_interval,
            data_path_parameter_name=self.data_path_parameter_name,
            status=self.status,
        )


class ScheduleTry:
    """One try, with rendered arguments: obtain the schedule, and wait until the service has set it up."""

    _is_job_schedule = False

    def __init__(self, arguments: Any, context: Context, log: Any) -> None:
        self._arguments = arguments
        self._context = context
        self._ti: Any = context["ti"]
        self._log = log
        self._hook = AzureMLHook(arguments.azureml_conn_id)

    def start(self) -> str | Wait:
        """Obtain the schedule, and wait until it is set up.

        Returns:
            Its id; if the task defers and the schedule is not set up yet, the wait for the triggerer.
        """
        arguments = self._arguments
        with airflow_errors():
            checked = arguments.check()
        with self._hook.client() as client:
            schedule = self._obtain(client, checked)
            if not (arguments.wait_for_provisioning and schedule.is_provisioning):
                return schedule.id
            self._log.info(
                "Waiting until schedule %s, which is %s, is set up. Polls every %g s%s, until %s at the latest.",
                schedule.label,
                schedule.provisioning,
                _POLL_INTERVAL,
                " in the triggerer" if arguments.deferrable else "",
                in_words(self._deadline()),
            )
            if arguments.deferrable:
                return self._wait(schedule.id)
            with _reading(schedule.id):
                schedule = client.run(
                    wait_for_provisioning(
                        partial(self._read, schedule.id), poll_interval=_POLL_INTERVAL, deadline=self._deadline()
                    )
                )
            return self._conclude(schedule)

    def resume(self, event: Mapping[str, Any] | None) -> str | Wait:
        """Continue after the trigger fired; returns the schedule's id, or another wait.

        Raises:
            ValueError: The event does not come from the operator's trigger.
            ProvisioningUnsettled: The triggerer or this worker could not read the schedule.
        """
        if not event or "schedule_id" not in event or event.get("outcome") not in {"settled", "deadline", "unwatched"}:
            raise ValueError(f"Not an event of AzureMLScheduleProvisioningTrigger: {event!r}")
        schedule_id = str(event["schedule_id"])
        if event["outcome"] == "unwatched":
            with airflow_errors(self._arguments.azureml_conn_id):
                raise _unread(schedule_id, event.get("message"), event.get("retry_after"))
        with self._hook.client() as client:
            with _reading(schedule_id):
                schedule = client.call(self._read(schedule_id))
            late = event["outcome"] == "deadline" and is_late(event, self._ti.start_date, self._deadline())
            if late or not schedule.is_provisioning:
                return self._conclude(schedule)
        return self._wait(schedule_id, clock_ahead(event))

    def _read(self, schedule_id: str) -> Call[Any]:
        return calls.get_schedule(schedule_id)

    def _owner(self) -> ScheduleOwner:
        return ScheduleOwner(
            deployment=this_deployment().name,
            dag_id=self._ti.dag_id,
            task_id=self._ti.task_id,
            run_id=self._ti.run_id,
            map_index=self._ti.map_index,
        )

    def _obtain(self, client: Client, checked: Any) -> Schedule | JobSchedule:
        """Make the schedule match what is wanted; ``checked`` is the result of the arguments' ``check``."""
        reference, wanted = checked
        known = known_of(client.settings.identity, client.settings.arm_id)
        target = client.run(prepare(wanted, reference, known, warn=self._log.warning))
        reconciler = ScheduleReconciler(
            wanted=wanted,
            target=target,
            owner=self._owner(),
            if_exists=self._arguments.if_exists,
            intent_slot=intent_slot(self._context),
            lookup_timeout=lookup_timeout(),
            log=self._log,
        )
        return client.run(reconciler.reconcile())

    def _conclude(self, schedule: Schedule | JobSchedule) -> str:
        check_provisioned(schedule)
        self._log.info("Schedule %s is set up and %s.", schedule.id, schedule.status)
        return schedule.id

    def _deadline(self) -> float:
        """The instant at which the wait ends, in seconds since the epoch; a deferral does not move it."""
        timeout = self._arguments.execution_timeout
        limited = _PROVISIONING_TIMEOUT if timeout is None else min(timeout, LONGEST_TIMEOUT)
        deadline = deadline_of(self._ti.start_date, limited)
        assert deadline is not None
        return deadline

    def _wait(self, schedule_id: str, ahead: float = 0.0) -> Wait:
        """The wait for the triggerer, whose clock is known to be ahead by this many seconds."""
        deadline = self._deadline()
        trigger = AzureMLScheduleProvisioningTrigger(
            schedule_id=schedule_id,
            deadline=deadline + ahead,
            poll_interval=_POLL_INTERVAL,
            azureml_conn_id=self._arguments.azureml_conn_id,
            is_job_schedule=self._is_job_schedule,
        )
        return Wait(trigger, deferral_timeout(deadline))


def _unread(schedule_id: str, why: object, retry_after: float | None) -> ProvisioningUnsettled:
    error = ProvisioningUnsettled(
        f"Schedule {schedule_id} exists, but its provisioning status could not be read: {sentence(text_of(why))} A "
        "retry continues the wait."
    )
    error.retry_after = retry_after
    return error


@contextmanager
def _reading(schedule_id: str) -> Iterator[None]:
    """Turn each error into one that keeps the task's retries: the schedule exists, even if it cannot be read."""
    try:
        yield
    except AzureMLError as error:
        raise _unread(schedule_id, error, error.retry_after) from None
