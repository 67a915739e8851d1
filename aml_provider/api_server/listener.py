"""Cancels a task's run after a person has changed the task's state, if nothing else cancels the run.

Airflow notifies a task of a manual state change through the heartbeats of its process, or by ending its trigger. It
does not notify a task that defers at that moment, one whose worker or triggerer has just died, or one that waits for
its next try: their runs would continue. The API server, which makes the change, notifies plugins of it (3.3:
``_emit_state_listener_hooks``), but before its transaction ends. So the run is cancelled in a thread, some seconds
later. By then the task's own process or trigger has usually cancelled it already.
"""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from aml_provider.api_server.state_change import ManualStateChange
from aml_provider.compat import conf, hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

# Seconds until the first check, and between two. A task's process is notified within five seconds and killed after five
# more; what it could not do by then is done here.
_PAUSE = 10.0
# How often to check whether Airflow shows the change (if it does not by then, its transaction was rolled back), and how
# often to try to cancel the run.
_CHECKS = 4
# Seconds for which checks may fail because Airflow's database is away: until another server has taken over.
_OUTAGE = 180.0
# Airflow sets both timestamps in one write, one line after the other.
_ONE_WRITE = timedelta(seconds=1)


class ManualStateChangeListener:
    """Receives manual state changes from Airflow's API server."""

    def __init__(
        self, now: Callable[[], float] = time.monotonic, sleep: Callable[[float], object] = time.sleep
    ) -> None:
        self._now = now
        self._sleep = sleep
        self._pool: ThreadPoolExecutor | None = None

    @hookimpl
    def on_task_instance_success(self, previous_state: Any, task_instance: Any) -> None:
        """Airflow calls this for a change to success, and in each task's process when the task succeeds."""
        self._task_changed(previous_state, task_instance, deletes=conf.getboolean("state_store", "clear_on_success"))

    @hookimpl
    def on_task_instance_failed(self, previous_state: Any, task_instance: Any) -> None:
        """Airflow calls this for a change to failed, and wherever a task fails."""
        self._task_changed(previous_state, task_instance)

    @hookimpl
    def on_task_instance_skipped(self, previous_state: Any, task_instance: Any) -> None:
        """Airflow calls this for a change to skipped, and in each task's process when the task is skipped."""
        self._task_changed(previous_state, task_instance)

    @hookimpl
    def on_dag_run_success(self, dag_run: Any) -> None:
        """The API server calls this for a change of a whole DAG run to success."""
        self._dag_run_changed(dag_run)

    @hookimpl
    def on_dag_run_failed(self, dag_run: Any) -> None:
        """The API server calls this for a change of a whole DAG run to failed."""
        self._dag_run_changed(dag_run)

    def _task_changed(self, previous_state: Any, ti: Any, *, deletes: bool = False) -> None:
        # A task that ends by itself comes with its previous state.
        if previous_state is not None:
            return
        try:
            index = -1 if ti.map_index is None else ti.map_index
            # A manual state change keeps an end date that exists already; another machine's clock may have set it.
            was_at_work = timedelta(0) <= ti.updated_at - ti.end_date < _ONE_WRITE
            change = ManualStateChange(ti.dag_id, ti.run_id, ti.task_id, index, ti.end_date, was_at_work)
            if deletes:
                from aml_provider.state.task_records import stored_record

                # In our own transaction, which does not see the deletion yet.
                change = change._replace(record=stored_record(*change[:4]))
            self._threads().submit(self._end_run, change, self._now() + _PAUSE)
        except Exception as error:  # noqa: BLE001 - an error here would keep the event from other listeners
            log.warning(
                "A manual state change of %s could not be handled; the task's run may still be active. %s", ti, error
            )

    def _dag_run_changed(self, dag_run: Any) -> None:
        """Handle the tasks that waited for their next try; Airflow notifies us of the running tasks one by one."""
        try:
            names = (dag_run.dag_id, dag_run.run_id, str(dag_run.state))
            self._threads().submit(self._end_runs, *names, self._now() + _PAUSE)
        except Exception as error:  # noqa: BLE001 - as above
            log.warning(
                "A manual state change of %s could not be handled; the runs of its tasks may still be active. %s",
                dag_run,
                error,
            )

    def _threads(self) -> ThreadPoolExecutor:
        # Made with the first change, because API servers fork. Python waits for these threads when the process ends.
        if self._pool is None:
            self._pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="azureml-state-changes")
        return self._pool

    def _end_run(self, change: ManualStateChange, due: float, *, others_wait: bool = False) -> None:
        from aml_provider.api_server.end_run import end_run

        try:
            self._check(lambda: end_run(change), due, others_wait=others_wait)
        except Exception as error:  # noqa: BLE001 - no caller sees an error of this thread; it can only be logged
            log.warning(
                "The state of %s was changed manually, but the task's run may still be active; check it in the "
                "studio. %s",
                change,
                error,
            )

    def _end_runs(self, dag_id: str, run_id: str, state: str, due: float) -> None:
        from aml_provider.api_server.task_instances import skipped_before_their_turn

        def found() -> bool:
            changes = skipped_before_their_turn(dag_id, run_id, state)
            for change in changes or ():
                self._end_run(change, due, others_wait=True)
            return changes is not None

        try:
            self._check(found, due)
        except Exception as error:  # noqa: BLE001 - as above
            log.warning(
                "The state of DAG run %s of %s was changed manually, but the runs of its tasks may still be active. %s",
                run_id,
                dag_id,
                error,
            )

    def _check(self, is_done: Callable[[], bool], due: float, *, others_wait: bool = False) -> None:
        """Check until nothing is left to do. No retry follows, so one unusual reply must not end the checks.

        Args:
            is_done: One check.
            due: When the first one is due; an outage is outlasted from then on.
            others_wait: Whether other changes wait for this thread. Then what probably lasts ends the checks: it would
                block the thread for each of them.
        """
        from sqlalchemy.exc import SQLAlchemyError

        from aml_provider.client.errors import AzureMLError, ForeignRun, NotFound, PermissionDenied

        checks, patience = 0, due + _OUTAGE
        while checks < _CHECKS:
            self._sleep(max(0.0, due - self._now()))
            try:
                if is_done():
                    return
                checks += 1
            except SQLAlchemyError:
                # Airflow's database is away: nothing was checked.
                if self._now() > patience:
                    raise
            except Exception as error:
                # An outage that begins or ends now can also look like a connection that does not exist.
                checks += 1
                lasts = isinstance(error, PermissionDenied) or not isinstance(error, AzureMLError)
                if isinstance(error, (ForeignRun, NotFound)) or (others_wait and lasts) or checks == _CHECKS:
                    raise
            due = self._now() + _PAUSE
