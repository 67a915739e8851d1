"""The state of another task instance, on every supported Airflow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aml_provider.durable.handover import BEHIND

if TYPE_CHECKING:
    from collections.abc import Callable

    from aml_provider.compat import BaseOperator
    from aml_provider.durable.handover import Owner

NO_STATUS = "no_status"
"""Airflow's UI name for the state of a task instance that was not scheduled yet, or was just cleared."""


def owner_state(owner: Owner) -> str | None:
    """Look up a task instance's state, from a worker.

    Returns:
        The state; :data:`NO_STATUS` if the task instance has none; None if there is no such task instance or DAG run.

    Raises:
        Exception: Airflow's error when the look-up fails; a failure never counts as absence.
    """
    try:
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
    except ImportError:
        return _state_in_database(owner)
    runs = RuntimeTaskInstance.get_task_states(
        dag_id=owner.dag_id, task_ids=[owner.task_id], run_ids=[owner.run_id], map_index=owner.map_index
    )
    name = f"{owner.task_id}_{owner.map_index}" if owner.map_index >= 0 else owner.task_id
    tasks = runs.get(owner.run_id, {})
    return _text(tasks[name]) if name in tasks else None


def other_task_failed(owner: Owner) -> bool:
    """Whether another task of the same DAG run has failed; works on workers of Airflow 3 only.

    Raises:
        Exception: Airflow's error when the look-up fails.
    """
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    runs = RuntimeTaskInstance.get_task_states(dag_id=owner.dag_id, run_ids=[owner.run_id])
    return any(
        _text(state) == "failed" and not _is_of_task(name, owner) for name, state in runs.get(owner.run_id, {}).items()
    )


def _is_of_task(name: str, owner: Owner) -> bool:
    """Whether a task instance, by its name in Airflow's answer, is of the owner's task: that of no other task stops it.

    An instance of a mapped task has the name TASK_INDEX. So may another task, if this one is not mapped.
    """
    task_id, _, index = name.rpartition("_")
    return name == owner.task_id or (owner.map_index >= 0 and task_id == owner.task_id and index.isdecimal())


def states_for(task: BaseOperator, me: Owner, state_of: Callable[[Owner], str | None]) -> Callable[[Owner], str | None]:
    """Extend a look-up of states by :data:`BEHIND`: a task that cannot begin before the caller has ended.

    If the caller waited for such a task, it would wait for ever. There are two kinds of them, both cleared: with
    ``max_active_runs=1``, a task of another DAG run, which is queued until the active one has ended; and a task of the
    same DAG run that comes after the caller.
    """

    def state(owner: Owner) -> str | None:
        found = state_of(owner)
        if found != NO_STATUS or owner.dag_id != me.dag_id or not task.has_dag():
            return found
        if owner.run_id == me.run_id:
            is_behind = owner.task_id in task.get_flat_relative_ids(upstream=False)
        else:
            is_behind = task.dag.max_active_runs == 1
        return BEHIND if is_behind else found

    return state


def _state_in_database(owner: Owner) -> str | None:
    # Airflow 2.11 lets tasks use the database.
    from airflow.models import DagRun

    for run in DagRun.find(dag_id=owner.dag_id, run_id=owner.run_id):  # type: ignore[call-overload, unused-ignore]
        instance = run.get_task_instance(owner.task_id, map_index=owner.map_index)
        if instance is not None:
            return _text(instance.state)
    return None


def _text(state: object) -> str:
    return str(getattr(state, "value", state)) if state else NO_STATUS
