"""A DAG run in which the test says when the scheduler looks and what of it runs: the rest only waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState
from airflow.utils.types import DagRunType
from support.airflow import dags

from aml_provider.compat import AIRFLOW_V_3_0_PLUS

if TYPE_CHECKING:
    from datetime import datetime

    from airflow.providers.common.compat.sdk import DAG


class SteppedRun:
    """Does what the scheduler and a worker do, with their own code and by the steps of ``dag.test()``.

    Args:
        dag: The DAG.
        at: For which date.
    """

    def __init__(self, dag: DAG, at: datetime) -> None:
        self._dag = dag
        dags.sync(dag)
        details: dict[str, Any] = {"run_id": f"stepped__{at.isoformat()}", "run_type": DagRunType.MANUAL}
        details |= {"state": DagRunState.RUNNING, "start_date": at, "data_interval": (at, at)}
        if AIRFLOW_V_3_0_PLUS:
            from airflow.utils.types import DagRunTriggeredByType

            details |= {"logical_date": at, "run_after": at, "triggered_by": DagRunTriggeredByType.TEST}
        else:
            details["execution_date"] = at
        with create_session() as session:
            self._run = self._scheduler_dag().create_dagrun(**details, session=session)

    def schedule(self) -> list[Any]:
        """Let the scheduler look once: it expands what is mapped.

        Returns:
            The task instances that may run now.
        """
        with create_session() as session:
            run = session.merge(self._run)
            run.dag = self._scheduler_dag()
            ready: list[Any] = run.update_state(session=session)[0]
            for instance in ready:
                instance.try_number += 1
                instance.state = TaskInstanceState.SCHEDULED
            session.flush()
            session.expunge_all()
        return ready

    def run(self, instance: Any) -> None:
        """Run a task instance, as ``dag.test()`` does."""
        task = self._dag.task_dict[instance.task_id]
        if AIRFLOW_V_3_0_PLUS:
            from airflow.sdk.definitions.dag import _run_task

            _run_task(ti=instance, task=task, run_triggerer=True)
            return
        from airflow.models.dag import _run_task

        with create_session() as session:
            instance = session.merge(instance)
            instance.task = task
            _run_task(ti=instance, inline_trigger=True, session=session)

    def result(self, task_id: str) -> Any:
        """What a task returned."""
        return self._run.get_task_instance(task_id).xcom_pull(task_ids=task_id)

    def _scheduler_dag(self) -> Any:
        if not AIRFLOW_V_3_0_PLUS:
            return self._dag
        from support.airflow.moved import DagSerialization

        return DagSerialization.deserialize_dag(DagSerialization.serialize_dag(self._dag))
