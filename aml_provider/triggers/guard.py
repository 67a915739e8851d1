"""Did a person end the task, or is its trigger only moving to another triggerer?

Airflow calls ``on_kill`` for both (3.3.0 to 3.3.2), and cancels ``run()`` for both on versions before that. A moved
trigger's run must go on: cancelling it would end what nobody asked to end.
"""

from __future__ import annotations

from typing import Any

#: The XCom that holds a task's pipeline run; written before the task defers, wiped when it is cleared.
RUN_ID_XCOM = "azureml_run_id"

_STILL_WAITING = frozenset({"deferred", "up_for_retry"})
# Not a state of Airflow's: Airflow itself has ended the wait, and the task resumes to see to its run.
_WAIT_ENDED = "wait_ended"


def still_wants(state: str | None, known_run_id: object, pipeline_run_id: str) -> bool:
    """Whether a task instance still wants a run.

    Args:
        state: The task instance's state now; None when it is gone.
        known_run_id: The run that its XCom names.
        pipeline_run_id: The run in question.

    Returns:
        True for a task that is deferred for this very run: its trigger has moved. The state alone is not enough: after
        a clear the next try may be deferred already, for a run of its own. And no person makes a task wait for a retry:
        that retry takes the run up again. A wait that Airflow has ended is for the resuming task to decide.
    """
    return state == _WAIT_ENDED or (state in _STILL_WAITING and known_run_id == pipeline_run_id)


def look(ti: Any) -> tuple[str | None, object]:
    """The state of a task instance now, and the run that its XCom names; asks Airflow, so not in an event loop."""
    from airflow.providers.common.compat.sdk import XCom

    from aml_provider.state.cursor import Owner
    from aml_provider.state.instances import owner_state

    owner = Owner(dag_id=ti.dag_id, run_id=ti.run_id, task_id=ti.task_id, map_index=ti.map_index)
    state = owner_state(owner)
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
    from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS

    if AIRFLOW_V_3_0_PLUS:
        return False
    from airflow.models import DagRun

    for run in DagRun.find(dag_id=ti.dag_id, run_id=ti.run_id):  # type: ignore[call-overload, unused-ignore]
        instance: Any = run.get_task_instance(ti.task_id, map_index=ti.map_index)
        return instance is not None and instance.next_method == "__fail__"
    return False
