"""Enables, disables and deletes job schedules. Loaded on the worker only."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from aml_provider.client.arguments import as_name
from aml_provider.client.flows.job_schedules import delete_job_schedule, set_job_schedule_status
from aml_provider.connection import airflow_errors
from aml_provider.deadlines import LONGEST_TIMEOUT, deadline_of
from aml_provider.durable.schedule_owner import check_deployment
from aml_provider.hooks.azure_ml import AzureMLHook
from aml_provider.state.deployment import this_deployment

if TYPE_CHECKING:
    from aml_provider.client.entities import JobSchedule
    from aml_provider.compat import Context

_DELETION_TIMEOUT = timedelta(minutes=10)


def set_status(name: str, status: str, *, azureml_conn_id: str, log: Any) -> str:
    """Make a job schedule ``Active`` or ``Disabled``; returns its name.

    Raises:
        AirflowFailException: There is no such schedule.
    """
    with airflow_errors():
        as_name("name", name)
    schedule, changed = AzureMLHook(azureml_conn_id).run(set_job_schedule_status(name, status))
    done = f"is {status} now" if changed else f"is {status} already; nothing was changed"
    log.info("Job schedule %s %s.", schedule.label, done)
    return schedule.name


def delete(name: str, timeout: timedelta | None, context: Context, *, azureml_conn_id: str, log: Any) -> None:
    """Delete a job schedule and wait until it is gone.

    Raises:
        AirflowFailException: Another Airflow owns the schedule.
        ProvisioningUnsettled: The schedule still existed when the timeout had passed.
    """
    with airflow_errors():
        as_name("name", name)

    def check(schedule: JobSchedule) -> None:
        way_out = "Let its task delete it, or delete it with the command `job-schedules delete`"
        check_deployment(schedule.properties, this_deployment().name, schedule.label, way_out)

    ti: Any = context["ti"]
    deadline = deadline_of(ti.start_date, _DELETION_TIMEOUT if timeout is None else min(timeout, LONGEST_TIMEOUT))
    assert deadline is not None
    existed = AzureMLHook(azureml_conn_id).run(delete_job_schedule(name, deadline=deadline, check=check))
    if existed:
        log.info("Job schedule %r was deleted.", name)
    else:
        log.warning("Job schedule %r does not exist; there is nothing to delete.", name)
