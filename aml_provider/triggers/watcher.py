"""Who looks after a run while its task is deferred.

Each trigger watches its own run here. What a trigger needs is only :class:`RunWatcher`, so that one poller for all runs
of a triggerer can stand behind it later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from aml_provider.client.entities import PipelineRun
    from aml_provider.client.flows import Progress


class RunWatcher(Protocol):
    """Watches one run."""

    async def watch(
        self,
        run_id: str,
        experiment_name: str,
        *,
        poll_interval: float,
        deadline: float | None,
        report: Callable[[Progress], None],
    ) -> PipelineRun:
        """Wait until a run is final or the deadline has passed.

        Args:
            run_id: The pipeline run.
            experiment_name: Its experiment.
            poll_interval: Seconds between two looks.
            deadline: Seconds since the epoch; None: wait for ever.
            report: Called with the progress whenever it has changed.

        Returns:
            The run as it was seen last.
        """


class SingleRunWatcher:
    """Polls one run with a client of its own.

    Args:
        azureml_conn_id: The connection.
    """

    def __init__(self, azureml_conn_id: str) -> None:
        self._conn_id = azureml_conn_id

    async def watch(
        self,
        run_id: str,
        experiment_name: str,
        *,
        poll_interval: float,
        deadline: float | None,
        report: Callable[[Progress], None],
    ) -> PipelineRun:
        """Wait until a run is final or the deadline has passed; see :meth:`RunWatcher.watch`."""
        from aml_provider.client.flows import wait_for_run
        from aml_provider.hooks.azure_ml import AzureMLHook

        async with AzureMLHook(self._conn_id).async_client() as client:
            return await client.run(
                wait_for_run(run_id, experiment_name, poll_interval=poll_interval, deadline=deadline, report=report)
            )
