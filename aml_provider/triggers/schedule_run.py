"""The trigger that polls for the runs of a native schedule."""

from __future__ import annotations

import asyncio
import functools
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from aml_provider.connection import DEFAULT_CONN_ID
from aml_provider.triggers.sensor import SensorTrigger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aml_provider.durable.run_cursor import RunCursor
    from aml_provider.triggers.sensor import Poll, Session


class AzureMLScheduleLookTrigger(SensorTrigger):
    """Wake a deferred sensor when its schedule has a run that it has not taken.

    It does not decide or store anything: the worker that resumes polls again and commits.

    Args:
        cursor_variable: The Variable that holds the runs that were delivered; read once.
        schedule_id: The schedule; None if the sensor could not find it yet.
        since: Runs that began earlier are skipped; ISO 8601.
        azureml_conn_id: The connection.
        poll_interval: Seconds between two polls.
        deadline: When to stop polling and fire, in seconds since the epoch; None: never.
        only_wait: Fire after one interval, whatever runs there are: the sensor waits for another task.
        job_schedule_name: The job schedule (Azure ML v2), in place of ``schedule_id``.
    """

    _path = "aml_provider.triggers.schedule_run.AzureMLScheduleLookTrigger"

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
        job_schedule_name: str | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.cursor_variable = cursor_variable
        self.schedule_id = schedule_id
        self.since = since
        self.azureml_conn_id = azureml_conn_id
        self.poll_interval = poll_interval
        self.deadline = deadline
        self.only_wait = only_wait
        self.job_schedule_name = job_schedule_name

    async def _session(self) -> Session | None:
        from aml_provider.compat import in_thread

        if self.schedule_id is None and self.job_schedule_name is None:
            return None
        # Without a record the worker's first poll has failed. Runs count from a poll of the worker, so it must poll.
        cursor = await in_thread(self._cursor)
        return None if cursor is None else functools.partial(self._open, cursor)

    @asynccontextmanager
    async def _open(self, cursor: RunCursor) -> AsyncIterator[Poll]:
        from aml_provider.client import calls
        from aml_provider.client.flows.scheduled_jobs import ScheduledJobs
        from aml_provider.client.http.messages import flow_of
        from aml_provider.client.poll_log import PollLog
        from aml_provider.hooks.workspace import WorkspaceHook, poll_policy

        since = None if self.since is None else datetime.fromisoformat(self.since)
        subject = self.job_schedule_name or self.schedule_id
        clock = asyncio.get_running_loop().time
        lines = PollLog()
        jobs = None if self.job_schedule_name is None else ScheduledJobs(self.job_schedule_name)
        async with WorkspaceHook(self.azureml_conn_id).async_client(poll_policy()) as client:

            async def poll() -> bool:
                runs = calls.list_runs_of_schedule(str(self.schedule_id))
                found = await client.run(flow_of(runs) if jobs is None else jobs.read())
                run = cursor.next_run(found, since)
                text = f"Schedule {subject}: {len(found)} runs, next: {run.id if run else 'none yet'}"
                if (line := lines.line(text, clock())) is not None:
                    # On Airflow 3 a line may block until the supervisor has received it.
                    await asyncio.to_thread(self.log.info, "%s", line)
                return run is not None

            yield poll

    def _cursor(self) -> RunCursor | None:
        from aml_provider.durable.handover import Commit
        from aml_provider.durable.run_cursor import RunCursor
        from aml_provider.state.cursor_stores import VariableCursorStore

        text = VariableCursorStore(self.cursor_variable).load()
        return None if text is None else RunCursor.decode(Commit.decode(text).cursor_text)
