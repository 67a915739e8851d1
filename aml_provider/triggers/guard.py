"""Did a person end the task, or is its trigger only moving to another triggerer?

Airflow calls ``on_kill`` for both (3.3.0 to 3.3.2), and cancels ``run()`` for both on versions before that. A moved
trigger's run must go on: cancelling it would end what nobody asked to end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async

if TYPE_CHECKING:
    from airflow.triggers.base import BaseTrigger

#: The XCom that holds a task's pipeline run; written before the task defers, wiped when it is cleared.
RUN_ID_XCOM = "azureml_run_id"

_STILL_WAITING = frozenset({"deferred", "up_for_retry"})


async def was_ended_by_a_person(trigger: BaseTrigger, pipeline_run_id: str) -> bool:
    """Whether the task no longer waits for this run because of what a person did."""
    ti: Any = trigger.task_instance
    if ti is None:
        return False
    return not await sync_to_async(lambda: still_wants(*_look(ti), pipeline_run_id))()


def still_wants(state: str | None, known_run_id: object, pipeline_run_id: str) -> bool:
    """Whether a task instance still wants a run.

    Args:
        state: The task instance's state now; None when it is gone.
        known_run_id: The run that its XCom names.
        pipeline_run_id: The run in question.

    Returns:
        True for a task that is deferred for this very run: its trigger has moved. The state alone is not enough: after
        a clear the next try may be deferred already, for a run of its own. And no person makes a task wait for a retry:
        that retry takes the run up again.
    """
    return state in _STILL_WAITING and known_run_id == pipeline_run_id


def _look(ti: Any) -> tuple[str | None, object]:
    from airflow.providers.common.compat.sdk import XCom

    from aml_provider.state.cursor import Owner
    from aml_provider.state.instances import owner_state

    owner = Owner(dag_id=ti.dag_id, run_id=ti.run_id, task_id=ti.task_id, map_index=ti.map_index)
    state = owner_state(owner)
    if state not in _STILL_WAITING:
        return state, None
    known = XCom.get_one(
        key=RUN_ID_XCOM, dag_id=ti.dag_id, task_id=ti.task_id, run_id=ti.run_id, map_index=ti.map_index
    )
    return state, known
