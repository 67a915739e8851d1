"""The sensor that waits for a pipeline run that was started elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aml_provider.compat import conf
from aml_provider.connection import DEFAULT_CONN_ID
from aml_provider.sensors.polling import PollingSensor

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from aml_provider.compat import Context, XComArg
    from aml_provider.worker.poke_run import RunPoke


class AzureMLPipelineRunSensor(PollingSensor):
    """Wait until a pipeline run ends; fail if it did not finish successfully.

    The run was started elsewhere, so this sensor never cancels it.

    Args:
        run_id: The pipeline run or job.
        poke_interval: Seconds between two polls.
        deferrable: Wait in the triggerer instead of on a worker.
        azureml_conn_id: The connection.

    Returns:
        The run's id.

    Raises:
        RunFailed: The run failed; the message has the failed step, its error and the end of its log.
        AirflowFailException: The run was cancelled, there is no such run, or a permission is missing.
    """

    template_fields: Sequence[str] = ("run_id", "azureml_conn_id")
    ui_color = "#d7e8fa"

    def __init__(
        self,
        *,
        run_id: str | XComArg,
        poke_interval: float | timedelta = 60.0,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        azureml_conn_id: str | XComArg = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(poke_interval=poke_interval, deferrable=deferrable, azureml_conn_id=azureml_conn_id, **kwargs)
        # A rendered value can be anything.
        self.run_id: Any = run_id
        from aml_provider.parsing.sensors import check_run_sensor

        check_run_sensor(self)

    def _new_wait(self, context: Context, deadline: float) -> RunPoke:  # noqa: ARG002 - the signature of all sensors
        from aml_provider.worker.poke_run import RunPoke

        return RunPoke(self.run_id, self.azureml_conn_id, self.log, deadline)
