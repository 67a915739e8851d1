"""Who looks after a run while its task is deferred."""

from __future__ import annotations

import asyncio
import importlib
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from aml_provider.client.entities import PipelineRun
    from aml_provider.client.flows.runs import Progress

_POLLER = "aml_provider.triggerer.run_poller"
_loaded = False


class RunWatcher(Protocol):
    """Watches runs of one experiment; it is over when nobody waits any more."""

    async def watch(
        self,
        run_id: str,
        *,
        poll_interval: float,
        deadline: float | None,
        report: Callable[[Progress], None],
        tell: Callable[[int, str], None] = ...,
    ) -> PipelineRun | None:
        """Wait until a run is final or the deadline has passed.

        Args:
            run_id: The pipeline run.
            poll_interval: The least seconds between two looks.
            deadline: Seconds since the epoch; None: wait for ever.
            report: Called with the progress whenever it has changed.
            tell: Called with a level and a line for the log: with the first failure of a trouble, then once a minute
                while it lasts, and when it is over.

        Returns:
            The run; None when the deadline has passed.

        Raises:
            AzureMLError: The run could not be read within the retry budget. It goes on all the same.
        """


async def shared_watcher(azureml_conn_id: str, experiment_name: str) -> RunWatcher:
    """The watcher for all runs of an experiment that are waited for in this event loop, for a wait that begins at once.

    Args:
        azureml_conn_id: The connection.
        experiment_name: The experiment.

    Raises:
        AirflowNotFoundException: There is no such connection.
        AirflowFailException: What it says does not make a workspace.
    """
    global _loaded  # noqa: PLW0603 - loading is the process's
    if not _loaded:
        # The first import takes longer than an event loop may stand still.
        await asyncio.to_thread(importlib.import_module, _POLLER)
        _loaded = True
    from aml_provider.triggerer.run_poller import shared_poller

    return await shared_poller(azureml_conn_id, experiment_name)
