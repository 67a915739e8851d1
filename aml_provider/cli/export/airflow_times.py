"""The times at which Airflow itself starts the runs of a DAG."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.timetables import trigger
from airflow.timetables.base import TimeRestriction
from pendulum import instance

from aml_provider.cli.export.timing import Crons

if TYPE_CHECKING:
    from datetime import datetime

    from airflow.timetables.base import Timetable

    from aml_provider.cli.export.timing import Every

#: Whether a DAG of the installed Airflow can have several cron expressions; Airflow 2 has no such timetable.
HAS_SEVERAL_CRONS = hasattr(trigger, "MultipleCronTriggerTimetable")


def airflow_times(timing: Crons | Every, begin: datetime, end: datetime) -> list[datetime]:
    """The instants from ``begin`` to ``end``, both included, at which a DAG with this schedule starts runs.

    They come from the installed Airflow's own timetable, with ``catchup=True``. ``begin`` is the DAG's start date; for
    a length of time, Airflow counts from there, so the start date is then the first instant of the series.
    """
    timetable = _timetable(timing)
    first = begin if isinstance(timing, Crons) else timing.at_or_after(begin)
    limits = TimeRestriction(instance(first), instance(end), catchup=True)
    last = None
    found: list[datetime] = []
    while (info := timetable.next_dagrun_info(last_automated_data_interval=last, restriction=limits)) is not None:
        found.append(info.run_after)
        last = info.data_interval
    return found


def _timetable(timing: Crons | Every) -> Timetable:
    if not isinstance(timing, Crons):
        return trigger.DeltaTriggerTimetable(timing.step)
    if len(timing.expressions) == 1:
        return trigger.CronTriggerTimetable(timing.expressions[0], timezone=timing.zone)
    return trigger.MultipleCronTriggerTimetable(*timing.expressions, timezone=timing.zone)
