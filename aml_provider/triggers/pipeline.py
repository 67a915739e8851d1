"""The trigger that waits for a pipeline run."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from aml_provider.connection import DEFAULT_CONN_ID
from aml_provider.deadlines import FIRED_AT
from aml_provider.triggerer.loading import load
from aml_provider.triggers.stored import StoredTrigger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aml_provider.client.flows.runs import Progress
    from aml_provider.triggerer.run_poller import RunPoller

# Airflow gives on_kill 30 seconds for all of it: for repeating each of four requests, and for waiting for the end.
_CANCEL_BUDGET = 3.0
_CANCEL_PATIENCE = 15.0
# An event loop holds its tasks only weakly.
_cancelling: set[asyncio.Task[None]] = set()


class AzureMLPipelineRunTrigger(StoredTrigger, BaseTrigger):
    """Wait for one pipeline run.

    Its event is ``{"run_id", "experiment_name", "outcome", "message", "deadline", "fired_at"}`` with the outcome
    ``ended``, ``deadline`` (it passed, by the triggerer's clock) or ``unwatched`` (the run could not be read; it goes
    on). What the run ended as is read again by whoever gets the event.

    Only ids travel in its arguments: Airflow 3 stores them in clear text.

    Args:
        run_id: The pipeline run.
        experiment_name: Its experiment.
        poll_interval: The least seconds between two looks; of a run that takes long there are fewer.
        deadline: When to stop, in seconds since the epoch; None: never.
        azureml_conn_id: The connection.
        cancel_on_kill: Cancel the run when a person ends the task while it waits here.
        durable: The task's next try knows of the run; that one cancels it after a clear.
    """

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

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class's path and its arguments, for Airflow's database."""
        return (
            "aml_provider.triggers.pipeline.AzureMLPipelineRunTrigger",
            {
                "run_id": self.run_id,
                "experiment_name": self.experiment_name,
                "poll_interval": self.poll_interval,
                "deadline": self.deadline,
                "azureml_conn_id": self.azureml_conn_id,
                "cancel_on_kill": self.cancel_on_kill,
                "durable": self.durable,
            },
        )

    async def watcher(self) -> RunPoller:
        """Who polls the run."""
        await load("aml_provider.triggerer.run_poller")
        from aml_provider.triggerer.run_poller import shared_poller

        return await shared_poller(self.azureml_conn_id, self.experiment_name)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Watch the run and fire once."""
        try:
            self._check()
            watcher = await self.watcher()
            run = await watcher.watch(
                self.run_id,
                poll_interval=self.poll_interval,
                deadline=self.deadline,
                report=self._report,
                tell=self._tell,
            )
        except asyncio.CancelledError:
            if not hasattr(BaseTrigger, "on_kill"):
                # Before Airflow 3.3 this is all that a trigger hears of a person's act.
                await self._see_to_the_run()
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is no reason to give the run up
            yield self._event("unwatched", str(error))
            return
        yield self._event("deadline", "") if run is None else self._event("ended", run.status)

    def _check(self) -> None:
        """Make sure that the arguments, which another version may have stored, disturb no other run's wait.

        Raises:
            InvalidArgument: One cannot be used.
        """
        from aml_provider.client.arguments import as_name
        from aml_provider.durations import in_seconds

        as_name("run_id", self.run_id)
        as_name("experiment_name", self.experiment_name)
        in_seconds("poll_interval", self.poll_interval, minimum=0.1)
        if self.deadline is not None:
            in_seconds("deadline", self.deadline)

    def _report(self, progress: Progress) -> None:
        # As text: on Airflow 2 the masker of secrets makes plain tuples of named ones.
        self.log.info("Run %s: %s", self.run_id, str(progress))

    def _tell(self, level: int, text: str) -> None:
        self.log.log(level, "Reading run %s: %s", self.run_id, text)

    def _event(self, outcome: str, message: str) -> TriggerEvent:
        return TriggerEvent(
            {
                "run_id": self.run_id,
                "experiment_name": self.experiment_name,
                "outcome": outcome,
                "message": message,
                "deadline": self.deadline,
                FIRED_AT: time.time(),
            }
        )

    async def on_kill(self) -> None:
        """Cancel the run, if it was a person who ended the task: Airflow 3.3.0 to 3.3.2 calls this for moves too."""
        await self._see_to_the_run()

    async def _see_to_the_run(self) -> None:
        """Cancel the run if it has to be, whoever interrupts.

        Until a trigger has ended, Airflow cancels it anew about every second (2.11 and 3.3), and ``on_kill`` with it.
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
                # Airflow before 3.3 ends the wait at execution_timeout in the same way; the resuming worker decides.
                return
            if not await self._is_still_wanted():
                self.log.info("The task was ended; cancelling run %s.", self.run_id)
                await self._cancel()
        except ForeignRun as error:
            self.log.warning("%s", error)
        except Exception as error:  # noqa: BLE001 - the log is the only place left to say so
            self.log.error("Run %s could not be cancelled; cancel it in the studio. %s", self.run_id, error)  # noqa: TRY400

    async def _is_still_wanted(self) -> bool:
        from asgiref.sync import sync_to_async

        from aml_provider.triggerer.failover import leaves_failed, still_wants

        state, known_run_id = await sync_to_async(self.look)()
        left = leaves_failed(durable=self.durable)
        return still_wants(state, known_run_id, self.run_id, durable=self.durable, leaves_failed=left)

    def look(self) -> tuple[str | None, object]:
        """What the task instance is doing, and the run that it knows of."""
        from aml_provider.triggerer.failover import look

        return look(self.task_instance)

    async def _cancel(self) -> None:
        from asgiref.sync import sync_to_async

        from aml_provider.client.flows.runs import cancel_run
        from aml_provider.client.http.clients import AsyncClient
        from aml_provider.client.http.retry import RetryPolicy
        from aml_provider.hooks.azure_ml import AzureMLHook
        from aml_provider.masking import async_mask
        from aml_provider.state.deployment import this_deployment

        settings = await AzureMLHook(self.azureml_conn_id).async_settings()
        deployment = await sync_to_async(this_deployment)()
        async with AsyncClient(settings, policy=RetryPolicy(budget=_CANCEL_BUDGET), hide=async_mask) as client:
            run = await client.run(
                cancel_run(
                    self.run_id,
                    self.experiment_name,
                    reason="the task was ended in Airflow",
                    timeout=_CANCEL_PATIENCE,
                    log=self.log.warning,
                    check=deployment.check,
                )
            )
        self.log.info("Run %s is %s.", self.run_id, run.status)
