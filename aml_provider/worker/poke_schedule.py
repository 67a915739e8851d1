"""The polls of the schedule run sensor on a worker. Loaded on the worker only."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from aml_provider.client import calls
from aml_provider.client.arguments import as_moment, as_name, given_once
from aml_provider.client.flows.finding import SCHEDULE, advised
from aml_provider.client.flows.job_schedules import read_job_schedule
from aml_provider.client.flows.scheduled_jobs import ScheduledJobs
from aml_provider.client.flows.schedules import find_schedule, read_schedule
from aml_provider.connection import airflow_errors
from aml_provider.durable.handover import Handover, Owner, default_cursor_key
from aml_provider.durable.run_cursor import RunCursor, undone
from aml_provider.hooks.azure_ml import AzureMLHook
from aml_provider.hooks.workspace import poll_policy
from aml_provider.state.cursor_stores import VariableCursorStore, variable_key
from aml_provider.state.other_tasks import owner_state, states_for
from aml_provider.triggers.schedule_run import AzureMLScheduleLookTrigger
from aml_provider.worker.poke import HandoverPoke

if TYPE_CHECKING:
    from aml_provider.client.entities import JobSchedule, PipelineRun, Schedule
    from aml_provider.compat import BaseOperator, Context

# The arguments of which one names the schedule.
_SUBJECTS = ("schedule_id", "schedule_name", "job_schedule_name")


class ScheduleRunArguments(NamedTuple):
    """The rendered arguments of the schedule run sensor, as its class documents them."""

    schedule_id: str | None
    schedule_name: str | None
    job_schedule_name: str | None
    since: datetime | str | None
    azureml_conn_id: str

    @classmethod
    def of(cls, sensor: object) -> ScheduleRunArguments:
        """Read the arguments from a sensor's attributes, after rendering."""
        return cls(*(getattr(sensor, name) for name in cls._fields))


class SchedulePoke(HandoverPoke[str]):
    """Polls a schedule's runs for one wait of a task instance: list, choose, commit.

    Raises:
        AirflowFailException: A value cannot be used; the message names the argument.
    """

    _watched = "schedule"

    def __init__(self, arguments: ScheduleRunArguments, task: BaseOperator, context: Context, deadline: float) -> None:
        me = Owner.of(context["ti"])
        conn_id, schedule_id, name = arguments.azureml_conn_id, arguments.schedule_id, arguments.schedule_name
        job_schedule = arguments.job_schedule_name
        with airflow_errors():
            as_name("azureml_conn_id", conn_id)
            given_once(arguments, _SUBJECTS)
            self._since = None if arguments.since is None else as_moment("since", arguments.since)
        subject = f"schedule {schedule_id or name}" if job_schedule is None else f"job schedule {job_schedule}"
        key = variable_key(conn_id, subject, "", default_cursor_key(me))
        store = VariableCursorStore(key, "AzureMLScheduleRunSensor")
        super().__init__(Handover(me, store, states_for(task, me, owner_state), undone), conn_id, task.log, deadline)
        self._argument = next(name for name in _SUBJECTS if getattr(arguments, name) is not None)
        self._hook = AzureMLHook(conn_id)
        self._schedule_id = schedule_id
        self._schedule_name = name
        self._job_schedule_name = job_schedule
        self._jobs = None if job_schedule is None else ScheduledJobs(job_schedule)
        # Where a new cursor begins.
        self._start = _beginning(context) if self._since is None else self._since
        self._is_checked = False

    def _begin(self) -> None:
        if self._handover.is_ahead:
            # Stored before the runs are listed: if that fails for long, the last owner's DAG run may get deleted.
            cursor = str(self._handover.cursor_text)
            self._handover.commit([], cursor, cursor)

    def _take(self) -> str | None:
        text = self._handover.cursor_text
        cursor = RunCursor(self._start) if text is None else RunCursor.decode(text)
        runs = self._runs()
        run = cursor.next_run(runs, self._since)
        subject = self._job_schedule_name or self._schedule_id
        self._log_poll(f"Schedule {subject}: {len(runs)} runs, next: {run.id if run else 'none yet'}")
        if run is not None:
            self._handover.commit([{"run_id": run.id}], cursor.after(run).encode(), cursor.encode())
            return run.id
        if text is None:
            # The first record defines what "next" means, also for later DAG runs.
            self._handover.commit([], cursor.encode(), cursor.encode())
        self._check_active()
        return None

    def _runs(self) -> tuple[PipelineRun, ...]:
        with self._hook.client(poll_policy()) as client:
            if self._jobs is not None:
                return client.run(self._jobs.read())
            if self._schedule_id is None:
                self._schedule_id = client.run(find_schedule(str(self._schedule_name))).id
            schedule_id = self._schedule_id
            return client.run(advised(calls.list_runs_of_schedule(schedule_id), SCHEDULE, schedule_id))

    def _check_active(self) -> None:
        """Warn, once per wait, about a schedule that is not active: it starts no runs."""
        if self._is_checked:
            return
        schedule: Schedule | JobSchedule
        with self._hook.client(poll_policy()) as client:
            if self._jobs is None:
                schedule = client.run(read_schedule(str(self._schedule_id)))
                operator, command = "AzureMLEnableScheduleOperator", "schedules"
            else:
                reading = read_job_schedule(str(self._job_schedule_name), "job_schedule_name")
                schedule = job_schedule = client.run(reading)
                self._jobs.check(job_schedule)
                operator, command = "AzureMLEnableJobScheduleOperator", "job-schedules"
        self._is_checked = True
        if not schedule.is_active:
            self._log.warning(
                "Schedule %s is %s: it starts no run until it is enabled, with %s or the command `%s enable %s`.",
                schedule.label,
                schedule.status,
                operator,
                command,
                schedule.id,
            )

    @property
    def purpose(self) -> str:
        """The schedule, which of its runs count, and the place of the cursor."""
        kind = "schedule" if self._jobs is None else "job schedule"
        name = self._job_schedule_name or self._schedule_name
        subject = " ".join(filter(None, (repr(name) if name else "", self._schedule_id or "")))
        start = self._start if self._since is None else self._since
        return (
            f"the next run that {kind} {subject} starts; each run that began after {start.isoformat()} counts once. "
            f"Cursor: {self._handover.store}"
        )

    def _result(self, batch: list[Any]) -> str:
        return str(batch[0]["run_id"])

    def _named(self, batch: list[Any]) -> str:
        return f"run {self._result(batch)}"

    def trigger(self, poll_interval: float, deadline: float) -> AzureMLScheduleLookTrigger:
        """The trigger that continues to poll."""
        pause = self.pause(poll_interval)
        return AzureMLScheduleLookTrigger(
            schedule_id=self._schedule_id,
            job_schedule_name=self._job_schedule_name,
            cursor_variable=self._handover.store.key,
            since=None if self._since is None else self._since.isoformat(),
            azureml_conn_id=self._hook.azureml_conn_id,
            poll_interval=pause,
            deadline=deadline,
            # The pause that the service asked for is made once; the intervals after it are the author's.
            only_wait=self._handover.is_open or not (self._schedule_id or self._jobs) or pause > poll_interval,
        )


def _beginning(context: Context) -> datetime:
    """The instant at which a new cursor begins: the data interval's start, else when the DAG run was due, else now."""
    dag_run: Any = context["dag_run"]
    moment = getattr(dag_run, "data_interval_start", None) or getattr(dag_run, "run_after", None)
    return moment if isinstance(moment, datetime) else datetime.now(UTC)
