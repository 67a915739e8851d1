"""One wait of the schedule run sensor. It loads on the worker, never with a DAG file."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aml_provider.blobs.cursor import CursorUnreadable, damaged
from aml_provider.client import calls
from aml_provider.client.arguments import as_moment, as_name, given_once
from aml_provider.client.errors import AzureMLError, InvalidArgument
from aml_provider.client.flows.finding import SCHEDULE, advised
from aml_provider.client.flows.schedules import find_schedule, read_schedule
from aml_provider.connection import airflow_errors
from aml_provider.durable.handover import (
    Commit,
    CursorMoved,
    Owner,
    Replay,
    TakeOver,
    WaitFor,
    decide,
    default_cursor_key,
)
from aml_provider.durable.run_cursor import RunCursor
from aml_provider.hooks.azure_ml import AzureMLHook
from aml_provider.hooks.workspace import poll_policy
from aml_provider.state.cursor_stores import VariableCursorStore, variable_key
from aml_provider.state.task_states import owner_state, states_for
from aml_provider.stored import reading
from aml_provider.triggers.schedule_run import AzureMLScheduleLookTrigger

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.providers.common.compat.sdk import Context

    from aml_provider.client.entities import PipelineRun
    from aml_provider.durable.handover import CursorStore
    from aml_provider.sensors.schedule import AzureMLScheduleRunSensor


class ScheduleWatch:
    """Looks at a schedule's runs for one task instance: list, choose, commit.

    Args:
        me: The task instance.
        azureml_conn_id: The connection.
        schedule_id: The schedule, if its id is known.
        schedule_name: Its name otherwise.
        start: Where a cursor begins that is not there yet.
        since: Runs that began before are passed over.
        store: Where the record is.
        log: Where each look says what it saw.
        state_of: Looks up another task instance's state.
    """

    def __init__(
        self,
        me: Owner,
        *,
        azureml_conn_id: str,
        schedule_id: str | None,
        schedule_name: str | None,
        start: datetime,
        since: datetime | None,
        store: CursorStore,
        log: Any,
        state_of: Callable[[Owner], str | None],
    ) -> None:
        self._me = me
        self._hook = AzureMLHook(azureml_conn_id)
        self._schedule_id = schedule_id
        self._schedule_name = schedule_name
        self._start = start
        self._since = since
        self._store = store
        self._log = log
        self._state_of = state_of
        # Whose the stored run is, is not settled: a trigger, which only compares, could not tell what to look for.
        self._open = True
        self._checked = False

    @classmethod
    def of(cls, sensor: AzureMLScheduleRunSensor, context: Context) -> ScheduleWatch:
        """Make it for a rendered sensor, whose values are checked here.

        Raises:
            AirflowFailException: A value cannot be used; the message names the argument.
        """
        me = Owner.of(context["ti"])
        with airflow_errors():
            as_name("azureml_conn_id", sensor.azureml_conn_id)
            given_once(sensor, ("schedule_id", "schedule_name"))
            since = None if sensor.since is None else as_moment("since", sensor.since)
        watched = f"schedule {sensor.schedule_id or sensor.schedule_name}"
        return cls(
            me,
            azureml_conn_id=sensor.azureml_conn_id,
            schedule_id=sensor.schedule_id,
            schedule_name=sensor.schedule_name,
            start=_beginning(context) if since is None else since,
            since=since,
            store=VariableCursorStore(
                variable_key(sensor.azureml_conn_id, watched, "", default_cursor_key(me)), "AzureMLScheduleRunSensor"
            ),
            log=sensor.log,
            state_of=states_for(sensor, me, owner_state),
        )

    def look(self) -> str | None:
        """Look once.

        Returns:
            The run's id, already committed to this task instance; None when there is none yet.

        Raises:
            AirflowFailException: What waiting longer cannot mend.
        """
        try:
            with airflow_errors():
                return self._look()
        except CursorMoved as moved:
            self._open = True
            self._log.warning("%s. Does more than one DAG run wait for this schedule? Starting over.", moved)
        except AzureMLError as error:
            # Permanent ones have left as AirflowFailException; nothing has moved.
            self._log.warning("This poll failed and was discarded; the sensor polls again. %s", error)
        return None

    def _look(self) -> str | None:
        try:
            text = self._store.load()
            commit = None if text is None else Commit.decode(text)
            decision = decide(commit, self._me, self._state_of)
            self._open = isinstance(decision, WaitFor)
            if isinstance(decision, Replay):
                assert commit is not None
                self._store.save(commit.again(self._me).encode())
                with reading(damaged):
                    run_id = str(_entry(commit)["run_id"])
                self._log.info("This task took run %s before; here it is again.", run_id)
                return run_id
            if isinstance(decision, WaitFor):
                self._log.info("The last run was taken by %s, which is %s.", decision.owner, decision.state)
                return None
            if commit is not None and commit.batch and not commit.arrived and not isinstance(decision, TakeOver):
                # Stored, because its owner's DAG run may be deleted before the schedule's next run.
                commit = commit._replace(serial=commit.serial + 1, arrived=True)
                self._store.save(commit.encode())
            cursor = RunCursor(self._start)
            if commit is not None:
                cursor = RunCursor.decode(commit.undo_text if isinstance(decision, TakeOver) else commit.cursor_text)
        except CursorUnreadable as error:
            raise InvalidArgument(
                "schedule_name" if self._schedule_id is None else "schedule_id",
                f"{error}. Which of its runs were followed cannot be told any more: delete the task's Variable, and "
                "the next look starts anew",
            ) from error
        if isinstance(decision, TakeOver):
            self._log.warning("Taking over the run of %s, which is %s.", decision.owner, decision.state or "gone")
        runs = self._runs()
        run = cursor.next_run(runs, self._since)
        self._log.info("Schedule %s: %d runs, next: %s", self._schedule_id, len(runs), run.id if run else "none yet")
        if run is not None:
            self._commit(commit, [{"run_id": run.id}], cursor.after(run).encode(), cursor.encode())
            return run.id
        if commit is None:
            # What "next" means begins here, also for the DAG runs after this one.
            self._commit(None, [], cursor.encode(), cursor.encode())
        self._check_active()
        return None

    def _runs(self) -> tuple[PipelineRun, ...]:
        with self._hook.client(poll_policy()) as client:
            if self._schedule_id is None:
                self._schedule_id = client.run(find_schedule(str(self._schedule_name))).id
            schedule_id = self._schedule_id
            return client.run(advised(calls.list_runs_of_schedule(schedule_id), SCHEDULE, schedule_id))

    def _check_active(self) -> None:
        """Warn, once for each wait, that a schedule which is not active starts no run."""
        if self._checked:
            return
        with self._hook.client(poll_policy()) as client:
            schedule = client.run(read_schedule(str(self._schedule_id)))
        self._checked = True
        if not schedule.is_active:
            self._log.warning(
                "Schedule %r (%s) is %s: it starts no run until it is enabled, with AzureMLEnableScheduleOperator or "
                "the command `schedules enable %s`.",
                schedule.name,
                schedule.id,
                schedule.status,
                schedule.id,
            )

    def _commit(self, previous: Commit | None, batch: list[Any], cursor: str, undo: str) -> None:
        """One write says which run was taken and by whom; only then it is handed on."""
        serial = previous.serial + 1 if previous is not None else 1
        self._store.save(Commit(serial, self._me, batch, cursor, undo).encode())

    def trigger(self, poll_interval: float, deadline: float) -> AzureMLScheduleLookTrigger:
        """Make the trigger that goes on looking.

        Args:
            poll_interval: Seconds between two looks.
            deadline: When it stops, in seconds since the epoch.
        """
        assert isinstance(self._store, VariableCursorStore)
        return AzureMLScheduleLookTrigger(
            schedule_id=self._schedule_id,
            cursor_variable=self._store.key,
            since=None if self._since is None else self._since.isoformat(),
            azureml_conn_id=self._hook.azureml_conn_id,
            poll_interval=poll_interval,
            deadline=deadline,
            only_wait=self._open or self._schedule_id is None,
        )


def _entry(commit: Commit) -> Any:
    return commit.batch[0]


def _beginning(context: Context) -> datetime:
    """Where a DAG run that has no cursor begins to look: its data interval's start, else when it was due."""
    dag_run: Any = context["dag_run"]
    moment = getattr(dag_run, "data_interval_start", None) or getattr(dag_run, "run_after", None)
    return moment if isinstance(moment, datetime) else datetime.now(UTC)
