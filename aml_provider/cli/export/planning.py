"""Plans the DAG that replaces a native schedule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aml_provider.cli.export.agreement import first_difference
from aml_provider.cli.export.dag_text import DagPlan, is_started, start_of
from aml_provider.cli.export.native_times import NativeTimes, NotExpressible
from aml_provider.cli.export.run_arguments import of_job_schedule, of_schedule
from aml_provider.cli.export.timing import timing_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from aml_provider.cli.export.dag_files import DagFile
    from aml_provider.cli.export.timing import Crons, Every
    from aml_provider.client.entities import JobSchedule, PipelineEndpoint, PublishedPipeline, Schedule

    #: Airflow's instants between two instants, for the schedule of a DAG.
    AirflowTimes = Callable[[Crons | Every, datetime, datetime], list[datetime]]

_DEFAULT_POLLING = 5


@dataclass(frozen=True, kw_only=True)
class Planner:
    """Plans DAGs.

    Attributes:
        now: The time of the export.
        airflow_times: When Airflow starts the runs of a DAG with a schedule.
        several_crons: Whether a DAG can have several cron expressions.
        conn_id: The connection for the DAGs; None: the default one.
        accepts_clock_changes: Whether a DAG may fire at other times around clock changes.
    """

    now: datetime
    airflow_times: AirflowTimes
    several_crons: bool = True
    conn_id: str | None = None
    accepts_clock_changes: bool = False

    def of_schedule(
        self,
        schedule: Schedule,
        dag_id: str,
        *,
        pipelines: Mapping[str, PublishedPipeline],
        endpoints: Mapping[str, PipelineEndpoint],
        set_up: datetime | None,
        file: DagFile | None,
    ) -> DagPlan:
        """Plan the DAG of a v1 schedule.

        Args:
            schedule: The schedule.
            dag_id: The DAG's id.
            pipelines: Published pipelines by id.
            endpoints: Pipeline endpoints by id.
            set_up: An instant at which the schedule fired or was created.
            file: The DAG file of an earlier export.

        Raises:
            NotExpressible: There is no such DAG.
        """
        run = of_schedule(schedule, pipelines, endpoints)
        subject = f"Native schedule {schedule.name!r} ({schedule.id})"
        recurrence, trigger = schedule.wire.get("Recurrence"), schedule.wire.get("DataStoreTriggerInfo") or {}
        if recurrence:
            times = NativeTimes.of_schedule(recurrence, set_up)
            return self._on_time(times, _said(recurrence), dag_id=dag_id, subject=subject, run=run, file=file)
        interval = trigger.get("PollingInterval") or _DEFAULT_POLLING
        if type(interval) is not int or not trigger.get("DataStoreName"):
            raise NotExpressible("has neither a recurrence nor a datastore that it watches")
        blobs: dict[str, Any] = {"datastore": str(trigger["DataStoreName"])}
        if path := str(trigger.get("PathOnDataStore") or "").strip("/"):
            blobs["path"] = path
        # The service also reports empty blobs.
        blobs |= {"ignore_empty": False, "poke_interval": interval * 60}
        return DagPlan(
            dag_id=dag_id,
            subject=subject,
            when=_said(trigger),
            run=run,
            conn_id=self.conn_id,
            blobs=blobs,
            data_path=str(trigger.get("DataPathParameterName") or "") or None,
            start=self._start(file),
            notes=tuple(run.notes),
        )

    def of_job_schedule(self, schedule: JobSchedule, dag_id: str, *, workspace: str, file: DagFile | None) -> DagPlan:
        """Plan the DAG of a job schedule.

        Args:
            schedule: The schedule.
            dag_id: The DAG's id.
            workspace: The workspace's id in Azure Resource Manager.
            file: The DAG file of an earlier export.

        Raises:
            NotExpressible: There is no such DAG.
        """
        run = of_job_schedule(schedule, workspace)
        times = NativeTimes.of_job_schedule(schedule.trigger, schedule.created)
        subject = f"Job schedule {schedule.name!r}"
        return self._on_time(times, _said(schedule.trigger), dag_id=dag_id, subject=subject, run=run, file=file)

    def _on_time(self, times: NativeTimes, when: str, *, file: DagFile | None, **parts: Any) -> DagPlan:
        if times.end is not None and times.end < self.now:
            raise NotExpressible(f"has ended, on {times.end:%Y-%m-%d %H:%M}Z")
        timing = timing_of(times, self.now, several_crons=self.several_crons)
        notes = [*times.notes, *parts["run"].notes]
        difference = first_difference(times, lambda begin, end: self.airflow_times(timing, begin, end), self.now)
        if difference is not None:
            text = difference.describe()
            if not (difference.is_clock_change and self.accepts_clock_changes):
                hint = " --accept-clock-changes exports it anyway" if difference.is_clock_change else ""
                raise NotExpressible(f"{text}.{hint}")
            notes.append(f"The native schedule {text}.")
        return DagPlan(
            when=when,
            timing=timing,
            start=self._start(file),
            is_started=file is not None and is_started(file.text),
            end=times.end,
            conn_id=self.conn_id,
            notes=tuple(notes),
            times=times,
            **parts,
        )

    def _start(self, file: DagFile | None) -> datetime:
        """The start date of an earlier export, else the beginning of this day."""
        earlier = None if file is None else start_of(file.text)
        return earlier or self.now.replace(hour=0, minute=0, second=0, microsecond=0)


def _said(wire: Mapping[str, Any]) -> str:
    """A part of a schedule in the service's own words."""
    return ", ".join(f"{name}: {_value(value)}" for name, value in wire.items() if value not in (None, "", [], {}))


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return f"({_said(value)})"
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
