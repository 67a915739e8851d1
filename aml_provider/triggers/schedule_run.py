"""The trigger that watches the runs of a native schedule."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from aml_provider.connection import DEFAULT_CONN_ID
from aml_provider.deadlines import FIRED_AT
from aml_provider.triggers.stored import StoredTrigger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime

    from aml_provider.durable.run_cursor import RunCursor


class AzureMLScheduleLookTrigger(StoredTrigger, BaseTrigger):
    """Tell a deferred sensor when its schedule has a run that it has not taken.

    It decides and stores nothing: the worker that resumes looks itself and commits.

    Args:
        cursor_variable: The Variable that holds what was handed on; read once.
        schedule_id: The schedule; None where the sensor could not find it yet.
        since: Runs that began before are passed over; ISO 8601.
        azureml_conn_id: The connection.
        poll_interval: Seconds between two looks.
        deadline: When to stop looking and fire, in seconds since the epoch; None: never.
        only_wait: Fire after one interval, whatever there is: the sensor waits for another task.
    """

    def __init__(
        self,
        *,
        cursor_variable: str,
        schedule_id: str | None = None,
        since: str | None = None,
        azureml_conn_id: str = DEFAULT_CONN_ID,
        poll_interval: float = 60.0,
        deadline: float | None = None,
        only_wait: bool = False,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.cursor_variable = cursor_variable
        self.schedule_id = schedule_id
        self.since = since
        self.azureml_conn_id = azureml_conn_id
        self.poll_interval = poll_interval
        self.deadline = deadline
        self.only_wait = only_wait

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class's path and its arguments, for Airflow's database."""
        names = (
            "cursor_variable",
            "schedule_id",
            "since",
            "azureml_conn_id",
            "poll_interval",
            "deadline",
            "only_wait",
        )
        return "aml_provider.triggers.schedule_run.AzureMLScheduleLookTrigger", {
            name: getattr(self, name) for name in names
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look until there is something to decide, or the time is up; then fire once."""
        try:
            async with asyncio.timeout(None if self.deadline is None else self.deadline - time.time()):
                # The worker has just looked.
                await asyncio.sleep(self.poll_interval)
                if not self.only_wait and self.schedule_id is not None:
                    await self._until_there_is_a_run(self.schedule_id)
        except TimeoutError:
            self.log.info("The sensor's time is up.")
        except Exception as error:  # noqa: BLE001 - the worker meets it too, and can tell the user properly
            self.log.warning("Handing over to the worker: %s", error)
        yield TriggerEvent({"look": True, "deadline": self.deadline, FIRED_AT: time.time()})

    async def _until_there_is_a_run(self, schedule_id: str) -> None:
        from datetime import datetime

        from aml_provider.client import calls
        from aml_provider.client.errors import AzureMLError
        from aml_provider.client.trouble import Troubles
        from aml_provider.hooks.azure_ml import AzureMLHook
        from aml_provider.state.threads import in_thread

        troubles = Troubles()
        clock = asyncio.get_running_loop().time
        cursor = await in_thread(self._cursor)
        since: datetime | None = None if self.since is None else datetime.fromisoformat(self.since)
        async with AzureMLHook(self.azureml_conn_id).async_client() as client:
            # Without a record the worker's first look failed: what "next" means begins with one of its own.
            while cursor is not None:
                try:
                    runs = await client.call(calls.list_runs_of_schedule(schedule_id))
                except AzureMLError as error:
                    if error.permanent:
                        raise
                    # Told with each look: they are as far apart as the author wants.
                    troubles.failed(schedule_id, error, None, clock())
                    self.log.warning("This poll failed and was discarded. %s", error)
                else:
                    if (text := troubles.over(schedule_id, clock())) is not None:
                        self.log.info("%s", text)
                    if cursor.next_run(runs, since) is not None:
                        return
                await asyncio.sleep(self.poll_interval)

    def _cursor(self) -> RunCursor | None:
        from aml_provider.durable.handover import Commit
        from aml_provider.durable.run_cursor import RunCursor
        from aml_provider.state.cursor_stores import VariableCursorStore

        text = VariableCursorStore(self.cursor_variable).load()
        return None if text is None else RunCursor.decode(Commit.decode(text).cursor_text)
