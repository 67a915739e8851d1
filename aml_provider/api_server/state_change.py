"""A manual state change: which task instance a person ended in Airflow's UI or API, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from datetime import datetime

    from aml_provider.durable.record import SubmissionRecord


class ManualStateChange(NamedTuple):
    """A person has set the state of a task instance to success, failed or skipped.

    Args:
        end_date: The task's end date as Airflow shows it since the change: the time of the change, or an earlier end
            date.
        was_at_work: Whether the change ended the task. If not, the task had ended before, or waited for its next try.
        record: The submission record of the task instance, if Airflow deletes it together with the change; else None.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    end_date: datetime
    was_at_work: bool
    record: SubmissionRecord | None = None

    def __str__(self) -> str:
        mapped = f"[{self.map_index}]" if self.map_index >= 0 else ""
        return f"{self.dag_id}.{self.task_id}{mapped} of DAG run {self.run_id}"
