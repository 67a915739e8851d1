"""The sensor for a pipeline run that something else started."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import PokeReturnValue, conf

from aml_provider.connection import DEFAULT_CONN_ID, airflow_errors
from aml_provider.sensors.skipping import PollingSensor, errors_logged

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta

    from airflow.providers.common.compat.sdk import Context


class AzureMLPipelineRunSensor(PollingSensor):
    """Wait until a pipeline run ends; fail when it did not end well.

    The run is somebody else's: it is never cancelled from here.

    Args:
        run_id: The pipeline run.
        poke_interval: Seconds between two looks.
        deferrable: Wait in the triggerer instead of on a worker.
        azureml_conn_id: The connection.

    Returns:
        The run's id.

    Raises:
        RunFailed: The run failed; the message has the failed step, its error and the end of its log.
        AirflowFailException: The run was cancelled, there is no such run, or a right is missing.
    """

    template_fields: Sequence[str] = ("run_id", "azureml_conn_id")
    ui_color = "#d7e8fa"

    def __init__(
        self,
        *,
        run_id: str,
        poke_interval: float | timedelta = 60.0,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        azureml_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(poke_interval=poke_interval, **kwargs)
        self.run_id = run_id
        self.deferrable = deferrable
        self.azureml_conn_id = azureml_conn_id
        self._deadline: float | None = None
        self._ahead = 0.0
        from aml_provider.parsing.sensors import check_run_sensor

        check_run_sensor(self)

    @errors_logged
    def poke(self, context: Context) -> PokeReturnValue:  # noqa: ARG002
        """Look once; in deferrable mode go on looking from the triggerer when the run has not ended."""
        from aml_provider.client.arguments import as_name
        from aml_provider.client.entities import RunState
        from aml_provider.client.errors import AzureMLError, RunCanceled, RunFailed
        from aml_provider.client.flows.failures import explain_failure
        from aml_provider.client.flows.runs import read_run
        from aml_provider.hooks.azure_ml import AzureMLHook
        from aml_provider.hooks.workspace import poll_policy
        from aml_provider.worker.deadlines import deadline_of

        with airflow_errors():
            as_name("run_id", self.run_id)
        with AzureMLHook(self.azureml_conn_id).client(poll_policy()) as client:
            try:
                run = client.run(read_run(self.run_id, policy=poll_policy()))
            except AzureMLError as error:
                if error.permanent:
                    raise
                self.log.warning("This poll failed and was discarded; the sensor polls again. %s", error)
                if self.deferrable:
                    deadline_of(self, self._deadline)  # says so when the time is up
                return PokeReturnValue(is_done=False)
            self.log.info("Run %s: %s", run.id, run.status)
            link = client.settings.run_url(run.id)
            if run.state is RunState.FAILED:
                reason = client.run(explain_failure(run))
                raise RunFailed(f"Run {run.id} failed. {reason}", run_id=run.id, link=link)
            if run.state is RunState.CANCELED:
                raise RunCanceled(f"Run {run.id} was cancelled.", run_id=run.id, link=link)
        if run.state is not RunState.FINISHED and self.deferrable:
            self._defer(run.experiment_name)
        return PokeReturnValue(is_done=run.state is RunState.FINISHED, xcom_value=run.id)

    def _defer(self, experiment_name: str) -> None:
        from aml_provider.deadlines import backstop
        from aml_provider.durations import in_seconds
        from aml_provider.triggers.pipeline import AzureMLPipelineRunTrigger
        from aml_provider.worker.deadlines import deadline_of

        deadline = deadline_of(self, self._deadline)
        with airflow_errors():
            interval = in_seconds("poke_interval", self.poke_interval, minimum=0.1)
        self.defer(
            trigger=AzureMLPipelineRunTrigger(
                run_id=self.run_id,
                experiment_name=experiment_name,
                poll_interval=interval,
                deadline=deadline + self._ahead,
                azureml_conn_id=self.azureml_conn_id,
                cancel_on_kill=False,
            ),
            method_name="execute_complete",
            kwargs={"deadline": deadline},
            timeout=backstop(deadline),
        )

    def execute_complete(
        self, context: Context, event: Mapping[str, Any] | None = None, deadline: float | None = None
    ) -> Any:
        """Look again: what the run ended as is never taken from the event."""
        from aml_provider.deadlines import clock_ahead

        # dag.test() loses what defer() was given; the trigger's word is what is left then.
        is_late = deadline is None and (event or {}).get("outcome") == "deadline"
        self._deadline = 0.0 if is_late else deadline
        self._ahead = clock_ahead(event)
        return self.execute_again(context)
