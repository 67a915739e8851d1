"""Finds out whether a person has ended the task, or Airflow only interrupts the wait for its run.

Airflow signals both in the same way. A process gets the same signal when a person changes its task's state and when
heartbeats fail or its worker is shut down. A trigger is cancelled when its task has ended, when it moves to another
triggerer, and when a triggerer wakes up late. Only the task instance's state shows the difference. If the task is tried
again, the next try decides: it takes the run over after a retry and cancels it after a clear. If this try cancelled
the run, it might end a run that nobody wanted to end.
"""

from __future__ import annotations

from typing import Any

from aml_provider.compat import AIRFLOW_V_3_0_PLUS, AIRFLOW_V_3_3_PLUS, conf

#: The XCom that holds a task's pipeline run; written before the task defers, deleted when it is cleared.
RUN_ID_XCOM = "azureml_run_id"

_STILL_WAITING = frozenset({"deferred", "up_for_retry"})
_ENDED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
# Not one of Airflow's states: Airflow itself has ended the wait, and the task resumes to handle its run.
_WAIT_ENDED = "wait_ended"


def leaves_failed(*, durable: bool) -> bool:
    """Whether Airflow's API server handles the run of a failed task.

    The API server is notified of manual state changes, and can read the submission record. A task fails not only if a
    person sets its state, but also if Airflow gives up its worker and no retries are left, or under ``airflow tasks
    test``.
    """
    return AIRFLOW_V_3_3_PLUS and durable and not conf.get("workers", "state_store_backend", fallback="")


def was_ended(state: str | None, *, leaves_failed: bool) -> bool:
    """Whether a person, or a deadline of the DAG run, has ended a task whose process Airflow interrupts.

    Args:
        state: The task instance's state now; None if it no longer exists.
        leaves_failed: The result of :func:`leaves_failed`.

    Returns:
        True also for a task that was cleared while it ran ("restarting"). On Airflow 2 the next try may take the clear
        for a retry, and would then take the run over.
    """
    if state == "failed":
        return not leaves_failed
    return state is None or state == "restarting" or state in _ENDED


def still_wants(
    state: str | None, known_run_id: object, pipeline_run_id: str, *, durable: bool, leaves_failed: bool
) -> bool:
    """Whether a task instance still wants a run whose trigger Airflow cancels.

    Args:
        state: The task instance's state now; None if it no longer exists.
        known_run_id: The run that its XCom names.
        pipeline_run_id: The run in question.
        durable: Whether the task's next try knows of the run.
        leaves_failed: The result of :func:`leaves_failed`.

    Returns:
        True as long as the task has not ended, because then the next try decides. For a task that is not durable, True
        only if it is deferred for this very run, waits for a retry, or resumes because Airflow itself has ended the
        wait.
    """
    if state == "failed":
        return leaves_failed
    if state is None or state in _ENDED:
        return False
    return durable or state == _WAIT_ENDED or (state in _STILL_WAITING and known_run_id == pipeline_run_id)


def task_state(ti: Any) -> tuple[str | None, object]:
    """Read the state of a task instance, and the run that its XCom names.

    An event loop must not call this, because it waits for Airflow.
    """
    from aml_provider.compat import XCom
    from aml_provider.durable.handover import Owner
    from aml_provider.state.other_tasks import owner_state

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

    Airflow 2 does so, and its triggers can see it in the database; Airflow 3 leaves the deadline to the trigger.
    """
    if AIRFLOW_V_3_0_PLUS:
        return False
    from airflow.models import DagRun

    for run in DagRun.find(dag_id=ti.dag_id, run_id=ti.run_id):  # type: ignore[call-overload, unused-ignore]
        instance: Any = run.get_task_instance(ti.task_id, map_index=ti.map_index)
        return instance is not None and instance.next_method == "__fail__"
    return False
