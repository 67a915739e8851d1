"""Cancels a task instance's run after a manual state change; Airflow's API server loads it with the first change."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from aml_provider import metrics
from aml_provider.api_server.task_instances import shown
from aml_provider.client.flows.cancel_run import CancelReason, cancel_run, has_cancel_tag
from aml_provider.durable.identity import TaskIdentity
from aml_provider.durable.lost_submission import RunFinder
from aml_provider.hooks.azure_ml import AzureMLHook
from aml_provider.hooks.workspace import lookup_timeout
from aml_provider.state.deployment import this_deployment
from aml_provider.state.task_records import stored_record

if TYPE_CHECKING:
    from aml_provider.api_server.state_change import ManualStateChange

log = logging.getLogger(__name__)


def end_run(change: ManualStateChange) -> bool:
    """Cancel the run of the changed task instance, if it is still active; reads Airflow's database.

    Returns:
        Whether nothing is left to do. False: Airflow does not show the change, or not yet.

    Raises:
        Exception: The connection cannot be read, or the workspace does not answer, or refuses.
    """
    # The submission record is read before the state. If the task is cleared in between, the state shows this, and the
    # next try cancels this run itself. In the other order, the record might be that of the next try.
    record = change.record or stored_record(*change[:4])
    if record is None or not record.cancel_on_kill or record.azureml_conn_id is None:
        return True
    found = shown(change)
    if found is None:
        return False
    max_tries, was_due = found
    # Where the task had ended before the change, its run was left active for a reason, such as on_timeout="leave", or
    # because the task does not wait for its run (unless somebody has cleared the task since).
    was_cleared = record.max_tries != max_tries
    if not (change.was_at_work or was_due) or (record.finished and not was_cleared):
        return True
    deployment = this_deployment(read=_variable)
    identity = TaskIdentity(deployment.name, *change[:4], record.max_tries, record.retries)
    if not identity.wrote(record):
        log.warning(
            "The state of %s was changed manually. The task's run was not cancelled, because it was submitted under "
            "another deployment_id than this Airflow's, %r. Is this database a copy, or do the API server and the "
            "workers have different values of [azureml] deployment_id?",
            change,
            deployment.name,
        )
        return True
    observer = metrics.TaskMetrics(record.azureml_conn_id, change.dag_id, change.task_id)
    with _ServerHook(record.azureml_conn_id).client() as client:
        finder = RunFinder(None, client.settings, lookup_timeout(), log, time.time, time.monotonic)
        run_id = client.run(finder.find_id(record, is_strict=True))
        if run_id is None:
            return True
        # By the task's process or trigger, which has counted it.
        was_cancelled = client.run(has_cancel_tag(run_id, record.experiment))
        run = client.run(
            cancel_run(
                run_id,
                record.experiment,
                reason=CancelReason.STATE_CHANGED,
                timeout=0.0,
                log=log.warning,
                check=deployment.check,
                cancelled=lambda: None if was_cancelled else observer.cancelled(CancelReason.STATE_CHANGED),
            )
        )
    log.info("The state of %s was changed manually; the task's run %s is %s.", change, run_id, run.status)
    return True


def _variable(key: str) -> str | None:
    """Read a Variable as the API server does, also from Airflow's database; a task cannot read that itself."""
    from airflow.models.variable import Variable

    value: str | None = Variable.get(key, None)
    return value


class _ServerHook(AzureMLHook):
    """Finds connections as the API server does, also in Airflow's database; a task cannot read that itself."""

    @classmethod
    def get_connection(cls, conn_id: str) -> Any:
        from airflow.models.connection import Connection

        return Connection.get_connection_from_secrets(conn_id)
