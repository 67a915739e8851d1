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


async def was_ended_by_a_person(trigger: BaseTrigger, pipeline_run_id: str) -> bool:
    """Whether the task no longer waits for this run.

    It still does while its state is *deferred* and its XCom names this run. The state alone is not enough: after a
    clear the next try may be deferred already, for a run of its own.
    """
    ti: Any = trigger.task_instance
    if ti is None:
        return False
    return not await sync_to_async(_still_waits)(ti, pipeline_run_id)


def _still_waits(ti: Any, pipeline_run_id: str) -> bool:
    from airflow.providers.common.compat.sdk import XCom

    from aml_provider.state.cursor import Owner
    from aml_provider.state.instances import owner_state

    owner = Owner(dag_id=ti.dag_id, run_id=ti.run_id, task_id=ti.task_id, map_index=ti.map_index)
    if owner_state(owner) != "deferred":
        return False
    known = XCom.get_one(
        key=RUN_ID_XCOM, dag_id=ti.dag_id, task_id=ti.task_id, run_id=ti.run_id, map_index=ti.map_index
    )
    return bool(known == pipeline_run_id)
