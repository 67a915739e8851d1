"""How Airflow's database shows a task instance that was marked, and whether it was waiting for its next try then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from aml_provider.api_server.mark import Mark

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

_NAMES = ("dag_id", "run_id", "task_id", "map_index")
_MARKED = frozenset({"success", "failed", "skipped"})


class Try(NamedTuple):
    """A try as Airflow has archived it, or the one that it shows.

    Args:
        scheduled_dttm: When the scheduler took the try up; None for one that it did not.
    """

    start_date: datetime | None
    end_date: datetime | None
    try_number: int
    max_tries: int
    scheduled_dttm: datetime | None

    def was_due(self, archived: Iterable[Try]) -> bool:
        """Whether this one had not begun when it was marked: the task waited for its next try.

        A clear, a retry and a scheduler that starts a task anew archive the try before
        (``TaskInstanceHistory.record_ti``) and leave its start where it is, until the next try begins (``ti_run``). A
        mark leaves it too (``TaskInstance.set_state``). So a start that an archived try has as well says that no try
        has begun since.

        Args:
            archived: The tries that are over.
        """
        before = [other for other in archived if other.start_date == self.start_date]
        if not before:
            return False
        # A try that Airflow gave up in the queue, where no retry was left, is the task's end: nothing was due any more.
        # It has an end of its own, later than when it was taken up; by one clock, or by those of two schedulers.
        return (
            any(self.end_date == other.end_date or self.try_number == other.try_number for other in before)
            or self.try_number <= self.max_tries
            or (self.end_date is not None and self.scheduled_dttm is not None and self.end_date <= self.scheduled_dttm)
        )


class Shown(NamedTuple):
    """What Airflow shows of a marked task instance.

    Args:
        max_tries: As it is now.
        was_due: Whether the task waited for its next try when it was marked.
    """

    max_tries: int
    was_due: bool


def shown(mark: Mark) -> Shown | None:
    """Read a task instance in Airflow's database.

    Returns:
        None if it is not as it was marked: not yet, or it was cleared or has ended otherwise since.
    """
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        found = session.execute(
            select(*_of(TaskInstance), TaskInstance.state).where(*_is(TaskInstance, mark))
        ).one_or_none()
        if found is None or found.state not in _MARKED or found.end_date != mark.end_date:
            return None
        return Shown(found.max_tries, not mark.was_at_work and Try(*found[:-1]).was_due(_archived(session, mark)))


def skipped_before_their_turn(dag_id: str, run_id: str, state: str) -> list[Mark] | None:
    """The task instances of a marked DAG run that waited for their next try, and are skipped since.

    Args:
        dag_id: The DAG.
        run_id: The DAG run.
        state: What it was marked as.

    Returns:
        One mark each; None if Airflow does not show the DAG run as marked.
    """
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.taskinstancehistory import TaskInstanceHistory
    from airflow.utils.session import create_session
    from sqlalchemy import and_, exists, select

    names = [getattr(TaskInstance, name) for name in _NAMES]
    # Of most of what is skipped, no try was ever archived.
    has_begun_before = exists().where(and_(*(name == getattr(TaskInstanceHistory, name.key) for name in names)))
    here = (TaskInstance.dag_id == dag_id, TaskInstance.run_id == run_id, TaskInstance.state == "skipped")
    with create_session() as session:
        now = session.scalar(select(DagRun.state).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id))
        if now is None or str(now) != state:
            return None
        skipped = session.execute(select(*names, TaskInstance.end_date).where(*here, has_begun_before)).all()
        return [
            Mark(one.dag_id, one.run_id, one.task_id, one.map_index, one.end_date, was_at_work=False)
            for one in skipped
            if one.end_date is not None
        ]


def _archived(session: Any, mark: Mark) -> list[Try]:
    from airflow.models.taskinstancehistory import TaskInstanceHistory
    from sqlalchemy import select

    rows = session.execute(select(*_of(TaskInstanceHistory)).where(*_is(TaskInstanceHistory, mark)))
    return [Try(*row) for row in rows]


def _of(table: Any) -> list[Any]:
    return [getattr(table, name) for name in Try._fields]


def _is(table: Any, mark: Mark) -> list[Any]:
    return [getattr(table, name) == getattr(mark, name) for name in _NAMES]
