"""A DAG run that is played in this process, and goes on after a person has cleared something in it."""

from __future__ import annotations

import contextlib
from typing import Any

from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState

from aml_provider.compat import AIRFLOW_V_3_0_PLUS


class PlayedDag:
    """Does what the scheduler would do, by ``dag.test()`` first and by the same steps after a clear.

    Args:
        dag: The DAG.
    """

    def __init__(self, dag: Any) -> None:
        self._dag = dag
        self.dag_run: Any = None

    def play(self) -> PlayedDag:
        """A new DAG run, to its end."""
        self.dag_run = self._dag.test()
        return self

    @property
    def states(self) -> dict[int, str]:
        """State of each instance of the task by its map index."""
        return {ti.map_index: str(ti.state) for ti in self.instances()}

    @property
    def tries(self) -> dict[int, int]:
        return {ti.map_index: ti.try_number for ti in self.instances()}

    def instances(self) -> list[Any]:
        return [ti for ti in self.dag_run.get_task_instances() if ti.task_id == "run"]

    def set_retries(self, retries: int) -> None:
        """Somebody changes the DAG."""
        self._dag.get_task("run").retries = retries

    def clear(self) -> PlayedDag:
        """A person clears the task, and it runs again."""
        from airflow.models.taskinstance import clear_task_instances

        self.sync()
        with create_session() as session:
            clear_task_instances([session.merge(ti) for ti in self.instances()], session)
        return self._go_on()

    def clear_dag_run(self) -> PlayedDag:
        """A person clears the whole DAG run, and it runs again."""
        self.sync()
        with create_session() as session:
            dag = self.scheduler_dag()
            if AIRFLOW_V_3_0_PLUS:
                dag.clear(run_id=self.dag_run.run_id, session=session)
            else:
                moment = self.dag_run.execution_date
                dag.clear(start_date=moment, end_date=moment, session=session)
        return self._go_on()

    def sync(self) -> None:
        """Let Airflow know the DAG as it is now."""
        if AIRFLOW_V_3_0_PLUS:
            from airflow.models.serialized_dag import SerializedDagModel
            from airflow.serialization.serialized_objects import LazyDeserializedDAG

            SerializedDagModel.write_dag(LazyDeserializedDAG.from_dag(self._dag), bundle_name="run-operator")
        else:
            self._dag.sync_to_db()
            from airflow.models.serialized_dag import SerializedDagModel

            SerializedDagModel.write_dag(self._dag, min_update_interval=0)

    def scheduler_dag(self) -> Any:
        """The DAG as the scheduler and the API server have it."""
        if not AIRFLOW_V_3_0_PLUS:
            return self._dag
        from support.airflow.moved import DagSerialization

        return DagSerialization.deserialize_dag(DagSerialization.serialize_dag(self._dag))

    def _go_on(self) -> PlayedDag:
        with create_session() as session:
            dag_run = session.merge(self.dag_run)
            session.refresh(dag_run)
            dag_run.dag = self.scheduler_dag()
            dag_run.state = DagRunState.RUNNING
            while dag_run.state == DagRunState.RUNNING:
                session.expire_all()
                for ti in dag_run.update_state(session=session)[0]:
                    ti.try_number += 1
                    ti.state = TaskInstanceState.SCHEDULED
                session.commit()
                for ti in dag_run.get_task_instances(session=session):
                    if ti.state == TaskInstanceState.SCHEDULED:
                        self._run(ti, session)
            session.expunge_all()
        self.dag_run.refresh_from_db()
        return self

    def _run(self, ti: Any, session: Any) -> None:
        task = self._dag.task_dict[ti.task_id]
        if AIRFLOW_V_3_0_PLUS:
            from airflow.sdk.definitions.dag import _run_task

            _run_task(ti=ti, task=task, run_triggerer=True)
            return
        from airflow.models.dag import _run_task as run_task

        ti.task = task
        with contextlib.suppress(Exception):  # the task's state tells it
            run_task(ti=ti, inline_trigger=True, session=session)
