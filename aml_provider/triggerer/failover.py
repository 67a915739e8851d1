"""Did a person end the task, or does Airflow only interrupt what watches its run?

Airflow tells both alike. A process gets the same signal when its task is cleared or marked and when heartbeats fail or
its worker is shut down. A trigger is cancelled when its task has ended, when it moves to another triggerer, and when a
triggerer wakes up late. Only the task instance's state tells which. Where the task is tried again the next try decides:
it takes the run over after a retry and cancels it after a clear. To cancel earlier might end what nobody asked to end.
"""

from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.sdk import conf
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS, AIRFLOW_V_3_3_PLUS

#: The XCom that holds a task's pipeline run; written before the task defers, wiped when it is cleared.
RUN_ID_XCOM = "azureml_run_id"

_STILL_WAITING = frozenset({"deferred", "up_for_retry"})
_ENDED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
# Not a state of Airflow's: Airflow itself has ended the wait, and the task resumes to see to its run.
_WAIT_ENDED = "wait_ended"


def leaves_failed(*, durable: bool) -> bool:
    """Whether the run of a failed task is left to Airflow's API server, which hears of marks and can read its record.

    Airflow fails a task not only where a person marks it so, but also where it has given up its worker for the last
    time, and where somebody tests it (``airflow tasks test``).
    """
    return AIRFLOW_V_3_3_PLUS and durable and not conf.get("workers", "state_store_backend", fallback="")


def was_ended(state: str | None, *, leaves_failed: bool) -> bool:
    """Whether a person, or a deadline of the DAG run, has ended a task whose process Airflow interrupts.

    Args:
        state: The task instance's state now; None when it is gone.
        leaves_failed: What :func:`leaves_failed` says.

    Returns:
        True also for one that was cleared while it ran ("restarting"): to Airflow 2 the next try may be no more than a
        retry.
    """
    if state == "failed":
        return not leaves_failed
    return state is None or state == "restarting" or state in _ENDED


def still_wants(
    state: str | None, known_run_id: object, pipeline_run_id: str, *, durable: bool, leaves_failed: bool
) -> bool:
    """Whether a task instance still wants a run whose trigger Airflow cancels.

    Args:
        state: The task instance's state now; None when it is gone.
        known_run_id: The run that its XCom names.
        pipeline_run_id: The run in question.
        durable: The task's next try knows of the run.
        leaves_failed: What :func:`leaves_failed` says.

    Returns:
        True as long as the task has not ended, because then the next try decides. Of a task that is not durable only
        if it is deferred for this very run, or waits for a retry, or resumes since Airflow itself has ended the wait.
    """
    if state == "failed":
        return leaves_failed
    if state is None or state in _ENDED:
        return False
    return durable or state == _WAIT_ENDED or (state in _STILL_WAITING and known_run_id == pipeline_run_id)


def look(ti: Any) -> tuple[str | None, object]:
    """The state of a task instance now, and the run that its XCom names; asks Airflow, so not in an event loop."""
    from airflow.providers.common.compat.sdk import XCom

    from aml_provider.durable.handover import Owner
    from aml_provider.state.task_states import owner_state

    owner = Owner(dag_id=ti.dag_id, run_id=ti.run_id, task_id=ti.task_id, map_index=ti.map_index)
    state = owner_state(owner)
    if state is None or state in _ENDED:
        return state, None
    if state not in _STILL_WAITING:
        return (_WAIT_ENDED if _airflow_ended_the_wait(ti) else state), None
    known = XCom.get_one(
        key=RUN_ID_XCOM, dag_id=ti.dag_id, task_id=ti.task_id, run_id=ti.run_id, map_index=ti.map_index
    )
    return state, known


def _airflow_ended_the_wait(ti: Any) -> bool:
    """Whether Airflow has ended the deferral at ``execution_timeout``, by its scheduler's clock.

    Airflow 2 does so, and shows it in its database, which its triggers may read; Airflow 3 leaves that to the trigger.
    """
    if AIRFLOW_V_3_0_PLUS:
        return False
    from airflow.models import DagRun

    for run in DagRun.find(dag_id=ti.dag_id, run_id=ti.run_id):  # type: ignore[call-overload, unused-ignore]
        instance: Any = run.get_task_instance(ti.task_id, map_index=ti.map_index)
        return instance is not None and instance.next_method == "__fail__"
    return False
