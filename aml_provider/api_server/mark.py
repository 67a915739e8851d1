"""A manual state change: which task instance a person ended, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from datetime import datetime

    from aml_provider.durable.record import SubmissionRecord


class Mark(NamedTuple):
    """Which task instance a person has marked, and which of its ends that is.

    Args:
        end_date: The end that Airflow shows since: the mark's own time, or that of the end before it.
        was_at_work: Whether the mark itself ended the task. If not, it had ended, or waited for its next try.
        record: Its submission record, where Airflow deletes that together with the mark; else None.
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
