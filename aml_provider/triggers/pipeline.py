"""The trigger that waits for a pipeline run."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger

from aml_provider.client.help import text_of
from aml_provider.connection import DEFAULT_CONN_ID
from aml_provider.triggerer.loading import load
from aml_provider.triggers.base import StoredTrigger, retry_after

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow.triggers.base import TriggerEvent

    from aml_provider.client.flows.cancel_run import CancelReason
    from aml_provider.triggerer.run_poller import RunPoller

# Airflow gives on_kill 30 seconds: for repeating each of four requests, and for waiting for the end of the run.
_CANCEL_BUDGET = 3.0
_CANCEL_TIMEOUT = 15.0
# An event loop holds its tasks only weakly.
_cancelling: set[asyncio.Task[None]] = set()


class AzureMLPipelineRunTrigger(StoredTrigger, BaseTrigger):
    """Wait for one pipeline run.

    Its event is ``{"run_id", "experiment_name", "outcome", "message", "deadline", "fired_at"}`` with the outcome
    ``ended``, ``deadline`` (it passed, by the triggerer's clock) or ``unwatched`` (the run could not be read; it
    continues). The receiver reads the run again.

    Its arguments are ids and no secrets: Airflow 3 stores them in clear text.

    Args:
        run_id: The pipeline run or job.
        experiment_name: Its experiment.
        poll_interval: The least seconds between two polls; a run that takes long is polled less often.
        deadline: When to stop, in seconds since the epoch; None: never.
        azureml_conn_id: The connection.
        cancel_on_kill: Cancel the run when a person ends the task while it waits here.
        durable: Whether the task's next try knows of the run; if so, it cancels the run after a clear.
    """

    _path = "aml_provider.triggers.pipeline.AzureMLPipelineRunTrigger"

    def __init__(
        self,
        run_id: str,
        experiment_name: str,
        poll_interval: float = 30.0,
        deadline: float | None = None,
        azureml_conn_id: str = DEFAULT_CONN_ID,
        cancel_on_kill: bool = True,
        durable: bool = True,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.run_id = run_id
        self.experiment_name = experiment_name
        self.poll_interval = poll_interval
        self.deadline = deadline
        self.azureml_conn_id = azureml_conn_id
        self.cancel_on_kill = cancel_on_kill
        self.durable = durable
        self._is_cancel_counted = False

    async def poller(self) -> RunPoller:
        """The poller of the run's experiment."""
        await load("aml_provider.triggerer.run_poller")
        from aml_provider.triggerer.run_poller import shared_poller

        return await shared_poller(self.azureml_conn_id, self.experiment_name)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait for the run and fire once."""
        from aml_provider.client.arguments import as_name

        try:
            # An impossible value that another version has stored must not disturb the waits for other runs.
            self.check_times()
            as_name("run_id", self.run_id)
            as_name("experiment_name", self.experiment_name)
            poller = await self.poller()
            run = await poller.wait(
                self.run_id, poll_interval=self.poll_interval, deadline=self.deadline, log=self.log.log
            )
        except asyncio.CancelledError:
            if not hasattr(BaseTrigger, "on_kill"):
                # Before Airflow 3.3 a trigger gets no other sign that a person ended its task.
                await self._cancel_if_unwanted()
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the run continues
            yield self._event("unwatched", text_of(error), **retry_after(error))
            return
        yield self._event("deadline", "") if run is None else self._event("ended", run.status)

    def _event(self, outcome: str, message: str, **facts: float) -> TriggerEvent:
        return self.event(
            run_id=self.run_id, experiment_name=self.experiment_name, outcome=outcome, message=message, **facts
        )

    async def on_kill(self) -> None:
        """Cancel the run if a person ended the task; Airflow 3.3.0 to 3.3.2 also calls this when a trigger moves."""
        await self._cancel_if_unwanted()

    async def _cancel_if_unwanted(self) -> None:
        """Cancel the run if its task was ended; continue if Airflow interrupts this, however often.

        Until a trigger has ended, Airflow cancels it about once a second (2.11 and 3.3), and its ``on_kill`` too.
        """
        work = asyncio.create_task(self._cancel_if_killed())
        _cancelling.add(work)
        work.add_done_callback(_cancelling.discard)
        while not work.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(work)

    async def _cancel_if_killed(self) -> None:
        if not self.cancel_on_kill or self.task_instance is None:
            return
        from aml_provider.client.errors import ForeignRun

        try:
            if self.deadline is not None and time.time() >= self.deadline:
                # Before Airflow 3.3 execution_timeout ends the wait in the same way; the resuming worker decides.
                return
            if not await self._is_still_wanted():
                self.log.info("The task was ended; cancelling run %s.", self.run_id)
                await self._cancel()
        except ForeignRun as error:
            self.log.warning("%s", error)
        except Exception as error:  # noqa: BLE001 - only the log can report it now
            self.log.error("Run %s could not be cancelled; cancel it in the studio. %s", self.run_id, error)  # noqa: TRY400

    async def _is_still_wanted(self) -> bool:
        from asgiref.sync import sync_to_async

        from aml_provider.state.task_end import leaves_failed, still_wants

        state, known_run_id = await sync_to_async(self.task_state)()
        left = leaves_failed(durable=self.durable)
        return still_wants(state, known_run_id, self.run_id, durable=self.durable, leaves_failed=left)

    def task_state(self) -> tuple[str | None, object]:
        """Read the task instance's state, and the run that its XCom names."""
        from aml_provider.state.task_end import task_state

        return task_state(self.task_instance)

    async def _cancel(self) -> None:
        from asgiref.sync import sync_to_async

        from aml_provider import metrics
        from aml_provider.client.flows.cancel_run import CancelReason, cancel_run
        from aml_provider.client.http.clients import AsyncClient
        from aml_provider.client.http.retry import RetryPolicy
        from aml_provider.hooks.workspace import WorkspaceHook
        from aml_provider.masking import async_mask
        from aml_provider.state.deployment import this_deployment

        settings = await WorkspaceHook(self.azureml_conn_id).async_settings()
        deployment = await sync_to_async(this_deployment)()
        async with AsyncClient(
            settings,
            policy=RetryPolicy(budget=_CANCEL_BUDGET),
            hide=async_mask,
            observe=metrics.exchanges(self.azureml_conn_id),
        ) as client:
            run = await client.run(
                cancel_run(
                    self.run_id,
                    self.experiment_name,
                    reason=CancelReason.KILLED,
                    timeout=_CANCEL_TIMEOUT,
                    log=self.log.warning,
                    check=deployment.check,
                    cancelled=lambda: self._count_cancel(CancelReason.KILLED),
                )
            )
        self.log.info("Run %s is %s.", self.run_id, run.status)

    def _count_cancel(self, reason: CancelReason) -> None:
        """Count it once: Airflow may call ``on_kill`` again before the run has ended."""
        from aml_provider import metrics

        if not self._is_cancel_counted:
            self._is_cancel_counted = True
            ti: Any = self.task_instance
            metrics.TaskMetrics(self.azureml_conn_id, ti.dag_id, ti.task_id).cancelled(reason)
