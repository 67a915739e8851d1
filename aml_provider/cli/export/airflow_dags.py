"""The state of an exported DAG in Airflow's database."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

from airflow.models import DagRun
from airflow.models.dag import DagModel
from airflow.utils.state import TaskInstanceState
from airflow.utils.types import DagRunType

if TYPE_CHECKING:
    from aml_provider.cli.export.dag_files import DagFile


def why_not_readable() -> str | None:
    """Why Airflow's database cannot be read; None: it can."""
    try:
        DagModel.get_dagmodel("")
    except Exception as error:  # noqa: BLE001 - drivers of databases have errors of their own
        reason = str(error).partition("\n")[0]
        return (
            f"Airflow's database cannot be read ({type(error).__name__}: {reason}). Run this command where "
            "`airflow dags list` works."
        )
    return None


def why_not_landed(file: DagFile) -> str | None:
    """Why Airflow cannot run a DAG file as it is now; None: it can.

    It can if the DAG is in Airflow's database, comes from a file of this name, was parsed after the last change of the
    file, and has no import error.
    """
    dag = DagModel.get_dagmodel(file.dag_id)
    again = "Run this command again later"
    if dag is None:
        return f"Airflow does not know DAG {file.dag_id!r} yet. {again}."
    if PurePath(dag.fileloc or "").name != file.path.name:
        return f"DAG {file.dag_id!r} of this Airflow comes from another file, {dag.fileloc!r}. Rename one of them."
    if dag.has_import_errors:
        return f"{dag.fileloc!r} has an import error in Airflow; `airflow dags list-import-errors` shows it."
    if getattr(dag, "is_stale", False) or not getattr(dag, "is_active", True):
        return f"Airflow does not find DAG {file.dag_id!r} any more. Is {dag.fileloc!r} still there?"
    parsed = dag.last_parsed_time
    if parsed is None or parsed.timestamp() <= file.path.stat().st_mtime:
        return f"Airflow has not parsed {file.path.name} since it was last changed. {again}."
    return None


def is_paused(dag_id: str) -> bool:
    """Whether a DAG of Airflow is paused."""
    dag = DagModel.get_dagmodel(dag_id)
    return dag is None or bool(dag.is_paused)


def has_waited(dag_id: str, task_id: str) -> bool:
    """Whether a sensor has polled: it was deferred after a poll, or has ended, in any run of its DAG."""
    for run in DagRun.find(dag_id=dag_id):
        instance = run.get_task_instance(task_id)
        if instance is not None and instance.state in {TaskInstanceState.DEFERRED, TaskInstanceState.SUCCESS}:
            return True
    return False


def has_scheduled_runs(dag_id: str) -> bool:
    """Whether Airflow has started runs of a DAG on its schedule."""
    return bool(DagRun.find(dag_id=dag_id, run_type=DagRunType.SCHEDULED))
