"""One poller for all runs of an experiment for which triggers in this event loop wait.

This module is imported at run time only, and in a thread, because it imports everything that a client needs.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from typing import TYPE_CHECKING, NamedTuple

from aml_provider import metrics
from aml_provider.client.errors import AzureMLError
from aml_provider.client.flows.runs_or_jobs import get_run
from aml_provider.client.poll_log import unchanged
from aml_provider.client.polling.queries import list_steps_of, query_statuses
from aml_provider.client.polling.round import PollRound
from aml_provider.client.polling.waits import Wait, WaitQueue
from aml_provider.hooks.workspace import retry_policy
from aml_provider.triggerer.per_loop import PerLoop
from aml_provider.triggerer.shared_clients import shared_client
from aml_provider.triggerer.shared_settings import shared_settings
from aml_provider.triggerer.turns import take_turn
from aml_provider.triggerer.wait_gauges import WaitGauges

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from aml_provider.client.entities import PipelineRun
    from aml_provider.client.flows.runs import Progress
    from aml_provider.client.http.retry import RetryPolicy
    from aml_provider.client.settings import WorkspaceSettings
    from aml_provider.triggerer.shared_clients import SharedClient

_log = logging.getLogger(__name__)

# Within a round, requests are repeated for a short time only; later rounds use the rest of the retry budget.
_BLIP = 2.0
_QUERIES_AT_ONCE = 4
_READS_AT_ONCE = 8


class _Key(NamedTuple):
    """Waits share a poller if they poll the same experiment as the same identity."""

    conn_id: str
    settings: WorkspaceSettings
    experiment: str


_POLLERS: PerLoop[dict[_Key, RunPoller]] = PerLoop(dict)
_GAUGES = PerLoop(lambda: WaitGauges(lambda: [(key.conn_id, one.queue) for key, one in _POLLERS.here.items()]))


async def shared_poller(azureml_conn_id: str, experiment_name: str) -> RunPoller:
    """Find or make this event loop's poller for an experiment.

    The caller must start a wait immediately: the poller stops when its last wait ends.

    Raises:
        AirflowNotFoundException: There is no such connection.
        AirflowFailException: The connection does not describe a workspace.
    """
    settings = await shared_settings(azureml_conn_id)
    # Hundreds of starts may have waited for them.
    await take_turn()
    key = _Key(azureml_conn_id, settings, experiment_name)
    pollers = _POLLERS.here
    poller = pollers.get(key)
    if poller is None or poller.is_over:
        poller = pollers[key] = RunPoller(key, retry_policy())
        _GAUGES.here.start()
    return poller


class RunPoller:
    """Polls runs until the last wait has ended.

    Args:
        key: The experiment, and the identity that polls it.
        policy: For how long a run that cannot be read is tried again.
    """

    def __init__(self, key: _Key, policy: RetryPolicy) -> None:
        self._key = key
        self._queue = WaitQueue(policy)
        self._joined = asyncio.Event()
        self._wakes_at: float | None = None
        self._loop = asyncio.get_running_loop()
        self._clock = self._loop.time
        self._users = 0
        # Each waiter sleeps on one of these until there is news.
        self._news: dict[Wait, asyncio.Future[None]] = {}
        # In a context of its own: what it logs belongs to no single task.
        self._task = self._loop.create_task(self._run(), context=contextvars.Context())

    @property
    def queue(self) -> WaitQueue:
        """The waits."""
        return self._queue

    @property
    def is_over(self) -> bool:
        """Whether it has stopped polling."""
        return self._task.done()

    async def wait(
        self, run_id: str, *, poll_interval: float, deadline: float | None, log: Callable[[int, str], None]
    ) -> PipelineRun | None:
        """Wait until a run is final or the deadline has passed.

        Args:
            run_id: The pipeline run.
            poll_interval: The least seconds between two polls.
            deadline: Seconds since the epoch; None: wait for ever.
            log: Called with a level and a line, in a thread: on Airflow 3 a line can block until the triggerer's
                supervisor has read it, which takes seconds while it stores the events of other tasks. It is called with
                the progress whenever it has changed, and from time to time if it has not; if polls fail, with the first
                failure, then once a minute, and when polls succeed again.

        Returns:
            The run; None when the deadline has passed.

        Raises:
            AzureMLError: The run could not be read within the retry budget; the run continues anyway.

        Each wait takes few objects: the objects of hundreds of waits that begin together make Python's garbage
        collector scan the whole triggerer.
        """
        if self.is_over:
            raise RuntimeError("this poller has ended with its last wait; get another one")
        wait = Wait(run_id, poll_interval)
        timer: asyncio.TimerHandle | None = None
        logged: Progress | None = None
        self._users += 1
        try:
            if deadline is not None:
                timer = self._loop.call_later(deadline - time.time(), self._expire, wait)
            self._join(wait)
            while not wait.is_late:
                if wait.error is not None:
                    raise wait.error.with_traceback(None)
                if wait.notice is not None:
                    (level, text), wait.notice = wait.notice, None
                    await asyncio.to_thread(log, level, f"Reading run {run_id}: {text}")
                elif wait.progress != logged and wait.progress is not None:
                    logged = wait.progress
                    await asyncio.to_thread(log, logging.INFO, f"Run {run_id}: {logged}")
                elif wait.unchanged_for is not None:
                    seconds, wait.unchanged_for = wait.unchanged_for, None
                    text = unchanged(f"Run {run_id}: {logged}", seconds)
                    await asyncio.to_thread(log, logging.INFO, text)
                elif wait.run is not None:
                    break
                else:
                    # No news is missed before the future is there: between two awaits no other task runs.
                    self._news[wait] = news = self._loop.create_future()
                    await news
        finally:
            if timer is not None:
                timer.cancel()
            self._news.pop(wait, None)
            self._queue.leave(wait)
            self._users -= 1
            if not self._users:
                await self._stop()
        return wait.run

    async def _stop(self) -> None:
        pollers = _POLLERS.here
        if pollers.get(self._key) is self:
            del pollers[self._key]
        self._task.cancel()
        await asyncio.wait([self._task])

    def _notify(self, wait: Wait) -> None:
        news = self._news.pop(wait, None)
        if news is not None and not news.done():
            news.set_result(None)

    def _expire(self, wait: Wait) -> None:
        wait.is_late = True
        self._notify(wait)

    def _join(self, wait: Wait) -> None:
        self._queue.join(wait, self._clock())
        if self._wakes_at is None or wait.due < self._wakes_at:
            self._joined.set()

    async def _run(self) -> None:
        key = self._key
        policy = self._queue.policy
        # The queue waits when the service is busy, because then all waits have to.
        policy = policy._replace(budget=min(_BLIP, policy.budget), throttled_budget=0.0, is_brief=True)
        try:
            async with shared_client(key.conn_id, key.settings, policy) as client:
                while True:
                    await self._sleep()
                    now = self._clock()
                    due = self._queue.due(now)
                    if due:
                        await self._carry_out(PollRound(self._queue, due, now), client)
        except Exception as error:  # noqa: BLE001 - whatever it is, the waiters must be notified
            metrics.failed(error, key.conn_id)
            # One by one, as in a round; a wait that joins meanwhile is notified as well.
            while waiting := [wait for wait in self._queue if wait.error is None]:
                for wait in waiting:
                    wait.error = error
                    self._notify(wait)
                    await asyncio.sleep(0)

    async def _sleep(self) -> None:
        """Sleep until a run is due."""
        while True:
            self._joined.clear()
            self._wakes_at = self._queue.wake_at()
            left = None if self._wakes_at is None else self._wakes_at - self._clock()
            if left is not None and left <= 0:
                return
            try:
                async with asyncio.timeout(left):
                    await self._joined.wait()
            except TimeoutError:
                return

    async def _carry_out(self, poll: PollRound, client: SharedClient) -> None:
        began = self._clock()
        await _together(_QUERIES_AT_ONCE, lambda: self._query(poll, client))
        to_read = iter(poll.to_read())
        await _together(_READS_AT_ONCE, lambda: self._read(poll, client, to_read))
        await self._list_steps(poll, client)
        for wait in poll.finish(self._clock()):
            self._notify(wait)
            # A notified waiter and Airflow do some work for it; that of hundreds in one turn would block the loop.
            await asyncio.sleep(0)
        _log.debug("Experiment %s: %s in %.1f s", self._key.experiment, poll, self._clock() - began)

    async def _query(self, poll: PollRound, client: SharedClient) -> None:
        while poll.batches:
            run_ids = poll.batches.pop()
            try:
                rows = await client.call(query_statuses(self._key.experiment, run_ids))
            except AzureMLError as error:
                metrics.failed(error, self._key.conn_id)
                poll.query_failed(run_ids, error, self._clock())
            else:
                poll.add_statuses(rows)

    async def _read(self, poll: PollRound, client: SharedClient, run_ids: Iterator[str]) -> None:
        for run_id in run_ids:
            if poll.is_down:
                return
            try:
                run = await client.run(get_run(run_id))
            except AzureMLError as error:
                metrics.failed(error, self._key.conn_id)
                poll.read_failed(run_id, error, self._clock())
            else:
                poll.add_run(run_id, run)

    async def _list_steps(self, poll: PollRound, client: SharedClient) -> None:
        run_ids = poll.to_list()
        if not run_ids:
            return
        try:
            steps = await client.run(list_steps_of(self._key.experiment, run_ids))
        except AzureMLError as error:
            metrics.failed(error, self._key.conn_id)
            poll.steps_failed(error, self._clock())
        else:
            poll.add_steps(steps)


async def _together(times: int, work: Callable[[], Coroutine[None, None, None]]) -> None:
    try:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(times):
                tasks.create_task(work())
    except ExceptionGroup as group:
        raise group.exceptions[0] from group
