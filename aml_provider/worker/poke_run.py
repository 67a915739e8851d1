"""The polls of the pipeline run sensor on a worker. Loaded on the worker only."""

from __future__ import annotations

from typing import Any

from aml_provider import metrics
from aml_provider.client.arguments import as_name
from aml_provider.client.flows.run_end import conclude
from aml_provider.client.flows.runs import read_run
from aml_provider.connection import airflow_errors
from aml_provider.hooks.azure_ml import AzureMLHook
from aml_provider.hooks.workspace import poll_policy
from aml_provider.triggers.pipeline import AzureMLPipelineRunTrigger
from aml_provider.worker.poke import Poke


class RunPoke(Poke[str]):
    """Polls a run for one wait of a task instance.

    Raises:
        AirflowFailException: ``run_id`` cannot be used.
    """

    def __init__(self, run_id: str, azureml_conn_id: str, log: Any, deadline: float) -> None:
        super().__init__(log, deadline)
        with airflow_errors():
            self._run_id = as_name("run_id", run_id)
        self._hook = AzureMLHook(azureml_conn_id)
        self._experiment: str | None = None

    def _poll(self) -> str | None:
        with self._hook.client(poll_policy()) as client:
            with client.observed(metrics.exchanges(self._hook.azureml_conn_id, polls=True)):
                run = client.run(read_run(self._run_id, policy=poll_policy()))
            self._experiment = run.experiment_name
            self.link = client.settings.run_url(run.id)
            self._log_poll(f"Run {run.id}: {run.status}")
            if not run.state.is_final:
                return None
            return client.run(conclude(run, run.experiment_name, self.link, own=False))

    @property
    def purpose(self) -> str:
        """The end of the run."""
        experiment = "" if self._experiment is None else f" of experiment {self._experiment!r}"
        return f"the end of run {self._run_id}{experiment}"

    def trigger(self, poll_interval: float, deadline: float) -> AzureMLPipelineRunTrigger | None:
        """The trigger that continues to poll; None while the run's experiment is unknown, or if it has no name."""
        if not self._experiment:
            return None
        return AzureMLPipelineRunTrigger(
            run_id=self._run_id,
            experiment_name=self._experiment,
            poll_interval=poll_interval,
            deadline=deadline,
            azureml_conn_id=self._hook.azureml_conn_id,
            cancel_on_kill=False,
        )
