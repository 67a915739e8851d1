"""A person marks a task instance: its run must not go on.

Airflow tells a task of its mark through the heartbeats of its process, or by ending its trigger. A task that defers in
that moment has neither, nor has one whose worker or triggerer has just died, nor one that waits for its next try:
nobody is told, and the run would go on. The API server, which takes the mark, tells it to plugins (3.3:
``_emit_state_listener_hooks``), before its transaction ends. So what is to be done is done in a thread and some seconds
later. By then the task's own process or trigger has mostly done it.
"""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import conf, hookimpl

from aml_provider.api_server.mark import Mark

if TYPE_CHECKING:
    from collections.abc import Callable


log = logging.getLogger(__name__)

# Seconds until the first check, and between two. A task's process hears of its mark within five seconds and is killed
# after five more; what it could not do then is to be done here.
_PAUSE = 10.0
# How often to check whether Airflow has come to show a mark, before that counts as forgotten.
_CHECKS = 4
# Airflow sets both in one write, one line after the other.
_ONE_WRITE = timedelta(seconds=1)


class MarkListener:
    """What Airflow's API server tells of people's marks.

    Args:
        now: The clock, in seconds.
        sleep: How to wait.
    """

    def __init__(
        self, now: Callable[[], float] = time.monotonic, sleep: Callable[[float], object] = time.sleep
    ) -> None:
        self._now = now
        self._sleep = sleep
        self._pool: ThreadPoolExecutor | None = None

    @hookimpl
    def on_task_instance_success(self, previous_state: Any, task_instance: Any) -> None:
        """Airflow calls this for a mark as success, and in each task's process for its own end."""
        self._hear(previous_state, task_instance, deletes=conf.getboolean("state_store", "clear_on_success"))

    @hookimpl
    def on_task_instance_failed(self, previous_state: Any, task_instance: Any) -> None:
        """Airflow calls this for a mark as failed, and wherever a task fails."""
        self._hear(previous_state, task_instance)

    @hookimpl
    def on_task_instance_skipped(self, previous_state: Any, task_instance: Any) -> None:
        """Airflow calls this for a mark as skipped, and in each task's process for its own skip."""
        self._hear(previous_state, task_instance)

    @hookimpl
    def on_dag_run_success(self, dag_run: Any) -> None:
        """The API server calls this for a mark of a whole DAG run as success."""
        self._hear_of_all(dag_run)

    @hookimpl
    def on_dag_run_failed(self, dag_run: Any) -> None:
        """The API server calls this for a mark of a whole DAG run as failed."""
        self._hear_of_all(dag_run)

    def close(self) -> None:
        """Wait until everything that was heard has been seen to."""
        if self._pool is not None:
            self._pool.shutdown(wait=True)
            self._pool = None

    def _hear(self, previous_state: Any, ti: Any, *, deletes: bool = False) -> None:
        # Whatever ends by itself comes with the state before.
        if previous_state is not None:
            return
        try:
            index = -1 if ti.map_index is None else ti.map_index
            # A mark keeps the end that is there, which may be of another machine's clock.
            was_at_work = timedelta(0) <= ti.updated_at - ti.end_date < _ONE_WRITE
            mark = Mark(ti.dag_id, ti.run_id, ti.task_id, index, ti.end_date, was_at_work)
            if deletes:
                from aml_provider.state.task_records import stored_record

                # In a transaction of our own, which does not see yet that it is deleted.
                mark = mark._replace(record=stored_record(*mark[:4]))
            self._threads().submit(self._see_to, mark, self._now() + _PAUSE)
        except Exception as error:  # noqa: BLE001 - what this raises would be taken from other listeners too
            log.warning("A mark of %s could not be noted, and its run may go on. %s", ti, error)

    def _hear_of_all(self, dag_run: Any) -> None:
        """Airflow names the running tasks of a marked DAG run one by one, but not those that waited for their turn."""
        try:
            names = (dag_run.dag_id, dag_run.run_id, str(dag_run.state))
            self._threads().submit(self._see_to_all, *names, self._now() + _PAUSE)
        except Exception as error:  # noqa: BLE001 - as above
            log.warning("A mark of %s could not be noted, and its runs may go on. %s", dag_run, error)

    def _threads(self) -> ThreadPoolExecutor:
        # Made where the first mark is heard: API servers fork. When one stops, it ends what it has heard, if it has
        # time.
        if self._pool is None:
            self._pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="azureml-marks")
        return self._pool

    def _see_to(self, mark: Mark, due: float) -> None:
        from aml_provider.api_server.cancel import end_run

        try:
            self._check(lambda: end_run(mark), due)
        except Exception as error:  # noqa: BLE001 - nobody waits for this thread; the log is the only place to say so
            log.warning("%s was marked, and its run may go on; see the task in the studio. %s", mark, error)

    def _see_to_all(self, dag_id: str, run_id: str, state: str, due: float) -> None:
        from aml_provider.api_server.task_instances import skipped_before_their_turn

        def found() -> bool:
            marks = skipped_before_their_turn(dag_id, run_id, state)
            for mark in marks or ():
                self._see_to(mark, self._now())
            return marks is not None

        try:
            self._check(found, due)
        except Exception as error:  # noqa: BLE001 - as above
            log.warning("DAG run %s of %s was marked, and its runs may go on. %s", run_id, dag_id, error)

    def _check(self, is_done: Callable[[], bool], due: float) -> None:
        for number in range(_CHECKS):
            self._sleep(max(0.0, due + number * _PAUSE - self._now()))
            if is_done():
                return
