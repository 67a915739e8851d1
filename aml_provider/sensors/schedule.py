"""The sensor for the runs of a native schedule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import PokeReturnValue, conf

from aml_provider.connection import DEFAULT_CONN_ID, airflow_errors
from aml_provider.sensors.skipping import PollingSensor, errors_logged

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, timedelta

    from airflow.providers.common.compat.sdk import Context

    from aml_provider.worker.poke_schedule import ScheduleWatch


class AzureMLScheduleRunSensor(PollingSensor):
    """Wait for the next run that a native schedule started, and return its id.

    Each run is handed on once, in the order in which they began; a retried or cleared task gets its run again. What was
    handed on is kept in one Airflow Variable for each connection, schedule and task. Use it with ``max_active_runs=1``.

    The sensor waits until the run exists. To wait until it ends, pass its id to
    :class:`~aml_provider.sensors.pipeline.AzureMLPipelineRunSensor`.

    Args:
        schedule_id: The schedule; one of this and the next is required.
        schedule_name: The name of the one schedule that has it.
        since: Runs that began before are passed over: a datetime, or ISO 8601 text. Default: the start of the data
            interval of the task's very first DAG run, or its ``run_after`` where it has none.
        poke_interval: Seconds between two looks.
        deferrable: Look from the triggerer; the worker is needed only when there is a run.
        azureml_conn_id: The connection.

    Returns:
        The run's id.

    Raises:
        AirflowFailException: A bad argument, no such schedule, several of its name, a missing right, a damaged cursor.
    """

    template_fields: Sequence[str] = ("schedule_id", "schedule_name", "since", "azureml_conn_id")
    ui_color = "#d7e8fa"

    def __init__(
        self,
        *,
        schedule_id: str | None = None,
        schedule_name: str | None = None,
        since: datetime | str | None = None,
        poke_interval: float | timedelta = 60.0,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        azureml_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(poke_interval=poke_interval, **kwargs)
        self.schedule_id = schedule_id
        self.schedule_name = schedule_name
        self.since = since
        self.deferrable = deferrable
        self.azureml_conn_id = azureml_conn_id
        self._watch: tuple[Context, ScheduleWatch] | None = None
        self._deadline: float | None = None
        self._ahead = 0.0
        from aml_provider.parsing.sensors import check_schedule_sensor

        check_schedule_sensor(self)

    @errors_logged
    def poke(self, context: Context) -> PokeReturnValue:
        """Look once; in deferrable mode go on looking from the triggerer when there is no run yet."""
        from aml_provider.worker.poke_schedule import ScheduleWatch

        # One for each wait.
        if self._watch is None or self._watch[0] is not context:
            self._watch = (context, ScheduleWatch.of(self, context))
        watch = self._watch[1]
        run_id = watch.look()
        if run_id is None and self.deferrable:
            self._defer(watch)
        return PokeReturnValue(is_done=run_id is not None, xcom_value=run_id)

    def _defer(self, watch: ScheduleWatch) -> None:
        from aml_provider.deadlines import deferral_timeout
        from aml_provider.durations import in_seconds
        from aml_provider.worker.deadlines import deadline_of

        deadline = deadline_of(self, self._deadline)
        with airflow_errors():
            interval = in_seconds("poke_interval", self.poke_interval, minimum=0.1)
        self.defer(
            trigger=watch.trigger(interval, deadline + self._ahead),
            method_name="execute_complete",
            kwargs={"deadline": deadline},
            timeout=deferral_timeout(deadline),
        )

    def execute_complete(
        self, context: Context, event: Mapping[str, Any] | None = None, deadline: float | None = None
    ) -> Any:
        """Look again: the trigger only says that it is worth a look; deciding and committing happens on a worker."""
        from aml_provider.deadlines import clock_ahead

        # dag.test() loses what defer() was given. The event has the trigger's deadline, which is by its own clock.
        self._deadline = deadline if deadline is not None else (event or {}).get("deadline")
        self._ahead = clock_ahead(event)
        return self.execute_again(context)
