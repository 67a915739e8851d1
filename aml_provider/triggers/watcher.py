"""Who looks after a run while its task is deferred."""

from __future__ import annotations

import asyncio
import importlib
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
    ) -> PipelineRun | None:
        """Wait until a run is final or the deadline has passed.

        Args:
            run_id: The pipeline run.
            experiment_name: Its experiment.
            poll_interval: Seconds between two looks.
            deadline: Seconds since the epoch; None: wait for ever.
            report: Called with the progress whenever it has changed.

        Returns:
            The run; None when the deadline has passed.

        Raises:
            AzureMLError: The run could not be read within the retry budget. It goes on all the same.
        """


class SharedRunWatcher:
    """Watches a run together with all others of its experiment that are waited for in this event loop.

    Args:
        azureml_conn_id: The connection.
    """

    _is_loaded = False

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
    ) -> PipelineRun | None:
        """Wait until a run is final or the deadline has passed; see :meth:`RunWatcher.watch`."""
        if not SharedRunWatcher._is_loaded:
            # The first import takes longer than an event loop may stand still.
            await asyncio.to_thread(importlib.import_module, "aml_provider.triggers.run_poller")
            SharedRunWatcher._is_loaded = True
        from aml_provider.triggers.run_poller import watch_run

        return await watch_run(
            self._conn_id,
            run_id,
            experiment_name,
            poll_interval=poll_interval,
            deadline=deadline,
            report=report,
        )
