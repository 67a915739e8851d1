"""The state of an exported DAG in Airflow's database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.models import DagRun
from airflow.models.dag import DagModel
from airflow.models.dagcode import DagCode
from airflow.models.variable import Variable
from airflow.utils.session import create_session
from airflow.utils.state import TaskInstanceState
from airflow.utils.types import DagRunType

from aml_provider.cli.export.dag_files import is_of_same_schedule
from aml_provider.compat import AIRFLOW_V_3_0_PLUS

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

    It can if the DAG is in Airflow's database, with the text of this file, and has no import error. Names and dates of
    files do not count: the folder may be another one than that which Airflow reads, and two folders may have files of
    the same name.
    """
    dag = DagModel.get_dagmodel(file.dag_id)
    again = "Run this command again later"
    if dag is None:
        return f"Airflow does not know DAG {file.dag_id!r} yet. {again}."
    code = _code_of(dag)
    if code is not None and not is_of_same_schedule(code, file):
        return (
            f"DAG {file.dag_id!r} of this Airflow comes from another file, {dag.fileloc!r}, which is not that of this "
            "native schedule. Run this command against the Airflow of this file, or rename one of the two DAGs."
        )
    if dag.has_import_errors:
        return f"{dag.fileloc!r} has an import error in Airflow; `airflow dags list-import-errors` shows it."
    if getattr(dag, "is_stale", False) or not getattr(dag, "is_active", True):
        return f"Airflow does not find DAG {file.dag_id!r} any more. Is {dag.fileloc!r} still there?"
    if code is None or _lines(code) != _lines(file.path.read_bytes().decode(errors="replace")):
        return f"Airflow has not parsed {file.path.name} since it was last changed. Deploy it. {again}."
    return None


def _code_of(dag: DagModel) -> str | None:
    """The text of a DAG's file when Airflow parsed it; None: Airflow has not stored it."""
    try:
        return str(DagCode.code(dag.dag_id if AIRFLOW_V_3_0_PLUS else dag.fileloc))
    except Exception as error:
        # Airflow's errors for this differ between its versions.
        if "NotFound" in type(error).__name__:
            return None
        raise


def _lines(text: str) -> list[str]:
    """The lines of a text, whatever their ends are."""
    return text.replace("\r\n", "\n").split("\n")


def is_paused(dag_id: str) -> bool:
    """Whether a DAG of Airflow is paused."""
    dag = DagModel.get_dagmodel(dag_id)
    return dag is None or bool(dag.is_paused)


def has_waited(dag_id: str, task_id: str) -> bool:
    """Whether a sensor waits, or has ended, in a run that Airflow has started on the DAG's schedule."""
    for run in DagRun.find(dag_id=dag_id, run_type=DagRunType.SCHEDULED):
        instance = run.get_task_instance(task_id)
        if instance is not None and instance.state in {TaskInstanceState.DEFERRED, TaskInstanceState.SUCCESS}:
            return True
    return False


def has_variable(key: str) -> bool:
    """Whether a Variable is in Airflow's database."""
    with create_session() as session:
        return session.query(Variable.key).filter(Variable.key == key).first() is not None


def has_scheduled_runs(dag_id: str) -> bool:
    """Whether Airflow has started runs of a DAG on its schedule."""
    return bool(DagRun.find(dag_id=dag_id, run_type=DagRunType.SCHEDULED))
