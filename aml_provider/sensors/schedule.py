"""The sensor for the runs of a native schedule or a job schedule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aml_provider.compat import conf
from aml_provider.connection import DEFAULT_CONN_ID
from aml_provider.sensors.polling import PollingSensor

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from aml_provider.compat import Context, XComArg
    from aml_provider.worker.poke_schedule import SchedulePoke


class AzureMLScheduleRunSensor(PollingSensor):
    """Wait for the next run that a native schedule or a job schedule (Azure ML v2) starts, and return its id.

    Each run is returned once, in the order of the starts; a retried or cleared task gets its run again. The returned
    runs are stored in one Airflow Variable for each connection, schedule and task. Use the sensor with
    ``max_active_runs=1``.

    The sensor waits until the run exists. To wait until it ends, pass its id to
    :class:`~aml_provider.sensors.pipeline.AzureMLPipelineRunSensor`.

    Args:
        schedule_id: The schedule. Exactly one of ``schedule_id``, ``schedule_name`` and ``job_schedule_name`` is
            required.
        schedule_name: The schedule's name, which no other active schedule may have.
        job_schedule_name: The name of a job schedule of Azure ML v2. Its jobs are found by a property that
            ``AzureMLCreateJobScheduleOperator`` gives them; without that property, by a filter that only a preview
            version of the service has.
        since: Runs that began earlier are skipped: a datetime, or ISO 8601 text. Default: the start of the data
            interval of the task's very first DAG run, or the DAG run's ``run_after`` if it has no data interval.
        poke_interval: Seconds between two polls.
        deferrable: Poll in the triggerer; a worker is needed only when there is a run.
        azureml_conn_id: The connection.

    Returns:
        The run's id.

    Raises:
        AirflowFailException: A bad argument, no such schedule, several schedules with the name, a missing permission, a
            damaged cursor.
    """

    template_fields: Sequence[str] = (
        "schedule_id",
        "schedule_name",
        "job_schedule_name",
        "since",
        "azureml_conn_id",
    )
    ui_color = "#d7e8fa"

    def __init__(
        self,
        *,
        schedule_id: str | XComArg | None = None,
        schedule_name: str | XComArg | None = None,
        job_schedule_name: str | XComArg | None = None,
        since: datetime | str | XComArg | None = None,
        poke_interval: float | timedelta = 60.0,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        azureml_conn_id: str | XComArg = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(poke_interval=poke_interval, deferrable=deferrable, azureml_conn_id=azureml_conn_id, **kwargs)
        self.schedule_id = schedule_id
        self.schedule_name = schedule_name
        self.job_schedule_name = job_schedule_name
        self.since = since
        from aml_provider.parsing.sensors import check_schedule_sensor

        check_schedule_sensor(self)

    def _new_wait(self, context: Context, deadline: float) -> SchedulePoke:
        from aml_provider.worker.poke_schedule import SchedulePoke, ScheduleRunArguments

        return SchedulePoke(ScheduleRunArguments.of(self), self, context, deadline)
