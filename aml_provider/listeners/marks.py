"""A person marks a task instance: its run must not go on.

Airflow tells a task of its mark through the heartbeats of its process, or by ending its trigger. A task that defers in
that moment has neither, nor has one whose worker or triggerer has just died: nobody is told, and the run would go on.
The API server, which takes the mark, tells it to plugins (3.3: ``_emit_state_listener_hooks``), before its transaction
ends. So what is to be done is done in a thread and some seconds later. By then the task's own process or trigger has
mostly done it.
"""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow.providers.common.compat.sdk import hookimpl

if TYPE_CHECKING:
    from datetime import datetime

log = logging.getLogger(__name__)

# Seconds until the first look, and between two. A task's process hears of its mark within five seconds and is killed
# after five more; what it could not do then is to be done here.
_PAUSE = 10.0
# How often to look whether Airflow has come to show a mark, before that counts as forgotten.
_LOOKS = 4
# Airflow sets both in one write, one line after the other.
_ONE_WRITE = timedelta(seconds=1)


class Mark(NamedTuple):
    """Which task instance a person has marked, and which of its ends that is.

    Args:
        end_date: The mark's own time; any other end of the task has another one.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    end_date: datetime

    def __str__(self) -> str:
        mapped = f"[{self.map_index}]" if self.map_index >= 0 else ""
        return f"{self.dag_id}.{self.task_id}{mapped} of DAG run {self.run_id}"


@hookimpl
def on_task_instance_success(previous_state: Any, task_instance: Any) -> None:
    """Airflow calls this for a mark as success, and in each task's process for its own end."""
    _hear(previous_state, task_instance)


@hookimpl
def on_task_instance_failed(previous_state: Any, task_instance: Any) -> None:
    """Airflow calls this for a mark as failed, and wherever a task fails."""
    _hear(previous_state, task_instance)


@hookimpl
def on_task_instance_skipped(previous_state: Any, task_instance: Any) -> None:
    """Airflow calls this for a mark as skipped, and in each task's process for its own skip."""
    _hear(previous_state, task_instance)


def _hear(previous_state: Any, ti: Any) -> None:
    # Whatever ends by itself comes with the state before.
    if previous_state is not None:
        return
    try:
        # The run of a task that had ended before its mark was left to go on for a reason: on_timeout="leave", or a
        # retry that a person now does without. Its end may be of another machine's clock.
        if timedelta(0) <= ti.updated_at - ti.end_date < _ONE_WRITE:
            index = -1 if ti.map_index is None else ti.map_index
            mark = Mark(ti.dag_id, ti.run_id, ti.task_id, index, ti.end_date)
            _threads().submit(_see_to, mark, time.monotonic() + _PAUSE)
    except Exception as error:  # noqa: BLE001 - what this raises would be taken from other listeners too
        log.warning("A mark of %s could not be noted, and its run may go on. %s", ti, error)


@cache
def _threads() -> ThreadPoolExecutor:
    # Made where the first mark is heard: API servers fork. When one stops, it ends what it has heard, if it has time.
    return ThreadPoolExecutor(max_workers=4, thread_name_prefix="azureml-marks")


def _see_to(mark: Mark, due: float) -> None:
    try:
        for look in range(_LOOKS):
            time.sleep(max(0.0, due + look * _PAUSE - time.monotonic()))
            from aml_provider.listeners.ending import end_run

            if end_run(mark):
                return
    except Exception as error:  # noqa: BLE001 - nobody waits for this thread; the log is the only place to say so
        log.warning("%s was marked, and its run may go on; see the task in the studio. %s", mark, error)
