"""The state of another task instance, on every supported Airflow."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aml_provider.state.cursor import Owner

__all__ = ["NO_STATUS", "owner_state"]

NO_STATUS = "no_status"
"""What Airflow's UI calls a task instance that was not scheduled yet, or was just cleared."""


def owner_state(owner: Owner) -> str | None:
    """Look a task instance's state up, from a worker.

    Returns:
        The state, :data:`NO_STATUS` for one without, None when there is no such task instance or run.

    Raises:
        Exception: Whatever Airflow raises when the look-up fails; never taken for absence.
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
