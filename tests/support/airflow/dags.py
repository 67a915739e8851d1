"""Runs DAGs that a test makes, as Airflow does: whole, in this process, against a database."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from aml_provider.compat import AIRFLOW_V_3_0_PLUS

if TYPE_CHECKING:
    from datetime import datetime

    from airflow.providers.common.compat.sdk import DAG


def run(dag: DAG, at: datetime) -> Any:
    """Run the DAG for a date; a second time for the same date, it is the same run again."""
    sync(dag)
    return dag.test(run_after=at, logical_date=at) if AIRFLOW_V_3_0_PLUS else dag.test(execution_date=at)


def sync(dag: DAG) -> None:
    """Let Airflow see a DAG: Airflow 3 runs only those that its DAG processor has seen."""
    if not AIRFLOW_V_3_0_PLUS:
        # What its tests' configuration names refuses SQLite.
        os.environ["AIRFLOW__CORE__EXECUTOR"] = "SequentialExecutor"
        return
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from support.airflow.moved import DagBag, sync_bag_to_db

    DagBundlesManager().sync_bundles_to_db()
    bag = DagBag(os.devnull)
    bag.bag_dag(dag)
    sync_bag_to_db(bag, "dags-folder", None)


def states(dag_run: Any) -> dict[str, str]:
    """The state of each task instance."""
    return {
        ti.task_id if ti.map_index < 0 else f"{ti.task_id}[{ti.map_index}]": str(ti.state)
        for ti in dag_run.get_task_instances()
    }


def set_state(dag_run: Any, task_id: str, state: str | None) -> None:
    """Leave a task instance in a state, as a person or another scheduler may."""
    from airflow.utils.session import create_session

    with create_session() as session:
        ti = dag_run.get_task_instance(task_id, session=session)
        ti.state = state
        session.merge(ti)


def delete(dag_run: Any) -> None:
    """Delete a run, as ``airflow db clean`` does."""
    from airflow.utils.session import create_session

    with create_session() as session:
        session.delete(session.merge(dag_run))


def variables(prefix: str) -> dict[str, str]:
    """The Variables with this prefix, from the database."""
    from airflow.models.variable import Variable
    from airflow.utils.session import create_session

    with create_session() as session:
        rows = session.query(Variable).filter(Variable.key.startswith(prefix)).all()
        return {row.key: row.get_val() for row in rows}
