"""Did a person end the task, or is its trigger only moving to another triggerer?

Airflow calls ``on_kill`` for both (3.3.0 to 3.3.2), and cancels ``run()`` for both on versions before that. A moved
trigger's run must go on: cancelling it would end what nobody asked to end.
"""

from __future__ import annotations

from typing import Any

#: The XCom that holds a task's pipeline run; written before the task defers, wiped when it is cleared.
RUN_ID_XCOM = "azureml_run_id"

_STILL_WAITING = frozenset({"deferred", "up_for_retry"})


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


def look(ti: Any) -> tuple[str | None, object]:
    """The state of a task instance now, and the run that its XCom names; asks Airflow, so not in an event loop."""
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
