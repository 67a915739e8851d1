"""One try of the operator that creates schedules. It loads on the worker, never with a DAG file."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NoReturn

from aml_provider.client import calls
from aml_provider.client.arguments import IF_EXISTS, TARGET, as_choice, given_once
from aml_provider.client.errors import AzureMLError, ProvisioningUnsettled
from aml_provider.client.flows.schedules import check_provisioned, prepare, wait_for_provisioning
from aml_provider.client.flows.targets import INTERFACES, find_target
from aml_provider.client.specs.run import RunRequest
from aml_provider.client.specs.schedule import ScheduleRequest
from aml_provider.connection import airflow_errors
from aml_provider.deadlines import backstop, clock_ahead, has_passed, was_late
from aml_provider.durable.schedule import Keeper, Upkeep
from aml_provider.hooks.azure_ml import AzureMLHook
from aml_provider.hooks.workspace import lookup_grace
from aml_provider.state.deployment import this_deployment
from aml_provider.state.schedule_intents import open_intents
from aml_provider.triggers.schedule import AzureMLScheduleProvisioningTrigger

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.providers.common.compat.sdk import Context

    from aml_provider.client.entities import Schedule
    from aml_provider.client.http.clients import Client
    from aml_provider.client.http.messages import Flow
    from aml_provider.operators.schedule import AzureMLCreateScheduleOperator

# By graph id: a published graph never changes, so a worker process reads each interface once.

# Seconds for the setting up where the task has no execution_timeout, as Microsoft's SDK has it.
_PATIENCE = 3600.0
_POLL_INTERVAL = 5.0


class ScheduleExecution:
    """What one try does: come to the schedule, wait until the service has set it up.

    Args:
        operator: The operator, rendered.
        context: Airflow's context.
    """

    def __init__(self, operator: AzureMLCreateScheduleOperator, context: Context) -> None:
        self._operator = operator
        self._context = context
        self._ti: Any = context["ti"]
        self._hook = AzureMLHook(operator.azureml_conn_id)
        self._target: dict[str, Any] = {}

    def start(self) -> str:
        """Come to the schedule and wait for it; returns its id."""
        operator = self._operator
        with airflow_errors():
            wanted = self._wanted()
        with self._hook.client() as client:
            schedule = self._settle(client, wanted)
            if not (operator.wait_for_provisioning and schedule.is_provisioning):
                return schedule.id
            if not operator.deferrable:
                return self._conclude(client.run(self._wait(schedule.id)))
        self._defer(schedule.id)
        return None

    def resume(self, event: Mapping[str, Any] | None) -> str:
        """Take up the wait where the trigger left it; returns the schedule's id."""
        if not event or "schedule_id" not in event or event.get("outcome") not in {"settled", "deadline", "unwatched"}:
            raise ValueError(f"Not an event of AzureMLScheduleProvisioningTrigger: {event!r}")
        schedule_id = str(event["schedule_id"])
        with self._hook.client() as client:
            try:
                schedule = client.call(calls.get_schedule(schedule_id))
            except AzureMLError as error:
                raise ProvisioningUnsettled(
                    f"Schedule {schedule_id} is there, but whether the service has set it up could not be read: "
                    f"{event.get('message') if event['outcome'] == 'unwatched' else error} A retry looks on."
                ) from error
            is_late = event["outcome"] == "deadline" and (was_late(event) or has_passed(self._deadline()))
            if is_late or not schedule.is_provisioning:
                return self._conclude(schedule)
        self._defer(schedule_id, clock_ahead(event))
        return None

    def _wanted(self) -> ScheduleRequest:
        """The operator's rendered arguments, checked."""
        operator = self._operator
        as_choice("if_exists", operator.if_exists, IF_EXISTS)
        self._target = given_once(operator, TARGET)
        request = RunRequest.of(
            experiment_name=operator.experiment_name,
            parameters=operator.parameters,
            data_paths=operator.data_paths,
            datasets=operator.datasets,
            description=operator.description,
            continue_on_step_failure=operator.continue_on_step_failure,
        )
        return ScheduleRequest.of(
            name=operator.name,
            request=request,
            recurrence=operator.recurrence,
            datastore=operator.datastore,
            path_on_datastore=operator.path_on_datastore,
            polling_interval=operator.polling_interval,
            data_path_parameter_name=operator.data_path_parameter_name,
            status=operator.status,
        )

    def _settle(self, client: Client, wanted: ScheduleRequest) -> Schedule:
        operator = self._operator
        target = client.run(prepare(wanted, find_target(**self._target), INTERFACES, warn=operator.log.warning))
        upkeep = Upkeep(
            wanted=wanted,
            target=target,
            keeper=Keeper(
                deployment=this_deployment().name,
                dag_id=self._ti.dag_id,
                task_id=self._ti.task_id,
                run_id=self._ti.run_id,
                map_index=self._ti.map_index,
            ),
            if_exists=operator.if_exists,
            intents=open_intents(self._context),
            grace=lookup_grace(),
            say=operator.log.info,
            warn=operator.log.warning,
        )
        return client.run(upkeep.settle())

    def _wait(self, schedule_id: str) -> Flow[Schedule]:
        return wait_for_provisioning(schedule_id, poll_interval=_POLL_INTERVAL, deadline=self._deadline())

    def _conclude(self, schedule: Schedule) -> str:
        check_provisioned(schedule)
        self._operator.log.info("Schedule %s is set up, and %s.", schedule.id, schedule.status)
        return schedule.id

    def _deadline(self) -> float:
        """When the wait has to end, in seconds since the epoch; a deferral does not move it."""
        timeout = self._operator.execution_timeout
        # dag.test() on Airflow 2.11 gives no start date.
        started = self._ti.start_date
        begun = started.timestamp() if started is not None else time.time()
        return float(begun) + (_PATIENCE if timeout is None else timeout.total_seconds())

    def _defer(self, schedule_id: str, ahead: float = 0.0) -> NoReturn:
        """Wait in the triggerer, whose clock is known to be ahead by some seconds."""
        deadline = self._deadline()
        self._operator.defer(
            trigger=AzureMLScheduleProvisioningTrigger(
                schedule_id=schedule_id,
                deadline=deadline + ahead,
                poll_interval=_POLL_INTERVAL,
                azureml_conn_id=self._operator.azureml_conn_id,
            ),
            method_name="execute_complete",
            timeout=backstop(deadline),
        )
        raise AssertionError  # defer() never returns
