"""Reads a task instance from Airflow's database after a manual state change, and whether it waited for its next try."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from aml_provider.api_server.state_change import ManualStateChange

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

_NAMES = ("dag_id", "run_id", "task_id", "map_index")
_MANUAL_STATES = frozenset({"success", "failed", "skipped"})


class Try(NamedTuple):
    """A try of a task instance: one that Airflow has archived, or the one that Airflow shows.

    Args:
        scheduled_dttm: When the scheduler scheduled the try; None if it did not.
    """

    start_date: datetime | None
    end_date: datetime | None
    try_number: int
    max_tries: int
    scheduled_dttm: datetime | None

    def was_due(self, archived: Iterable[Try]) -> bool:
        """Whether this try had not begun at the manual state change: the task waited for its next try.

        A clear, a retry and a scheduler that starts a task again archive the previous try
        (``TaskInstanceHistory.record_ti``) and keep its start date until the next try begins (``ti_run``). A manual
        state change keeps it too (``TaskInstance.set_state``). So if an archived try has the same start date, no try
        has begun since.
        """
        before = [other for other in archived if other.start_date == self.start_date]
        if not before:
            return False
        # If Airflow gave up a try in the queue and no retry was left, the task had ended: no try was due any more. Such
        # a try has its own end date, later than when it was scheduled (by the clock of one scheduler, or of two).
        return (
            any(self.end_date == other.end_date or self.try_number == other.try_number for other in before)
            or self.try_number <= self.max_tries
            or (self.end_date is not None and self.scheduled_dttm is not None and self.end_date <= self.scheduled_dttm)
        )


def shown(change: ManualStateChange) -> tuple[int, bool] | None:
    """Read a task instance in Airflow's database.

    Returns:
        Its ``max_tries``, and whether the task waited for its next try at the change. None if Airflow does not show the
        change: not yet, or the task was cleared or has ended in another way since.
    """
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        found = session.execute(
            select(*_of(TaskInstance), TaskInstance.state).where(*_is(TaskInstance, change))
        ).one_or_none()
        if found is None or found.state not in _MANUAL_STATES or found.end_date != change.end_date:
            return None
        return found.max_tries, not change.was_at_work and Try(*found[:-1]).was_due(_archived(session, change))


def skipped_before_their_turn(dag_id: str, run_id: str, state: str) -> list[ManualStateChange] | None:
    """The task instances that a manual state change of their DAG run skipped while they waited for their next try.

    Returns:
        One change for each; None if Airflow does not show the state that the DAG run was set to.
    """
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.taskinstancehistory import TaskInstanceHistory
    from airflow.utils.session import create_session
    from sqlalchemy import and_, exists, select

    names = [getattr(TaskInstance, name) for name in _NAMES]
    # Most skipped task instances have no archived try.
    has_begun_before = exists().where(and_(*(name == getattr(TaskInstanceHistory, name.key) for name in names)))
    here = (TaskInstance.dag_id == dag_id, TaskInstance.run_id == run_id, TaskInstance.state == "skipped")
    with create_session() as session:
        now = session.scalar(select(DagRun.state).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id))
        if now is None or str(now) != state:
            return None
        skipped = session.execute(select(*names, TaskInstance.end_date).where(*here, has_begun_before)).all()
        return [
            ManualStateChange(one.dag_id, one.run_id, one.task_id, one.map_index, one.end_date, was_at_work=False)
            for one in skipped
            if one.end_date is not None
        ]


def _archived(session: Any, change: ManualStateChange) -> list[Try]:
    from airflow.models.taskinstancehistory import TaskInstanceHistory
    from sqlalchemy import select

    rows = session.execute(select(*_of(TaskInstanceHistory)).where(*_is(TaskInstanceHistory, change)))
    return [Try(*row) for row in rows]


def _of(table: Any) -> list[Any]:
    return [getattr(table, name) for name in Try._fields]


def _is(table: Any, change: ManualStateChange) -> list[Any]:
    return [getattr(table, name) == getattr(change, name) for name in _NAMES]
