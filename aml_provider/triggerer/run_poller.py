"""One poller for all runs of an experiment that somebody waits for in this event loop.

It loads at run time only, in a thread: with it comes all that a client needs.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
import time
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakKeyDictionary

from aml_provider.client import calls
from aml_provider.client.errors import AzureMLError
from aml_provider.client.polling.queries import list_steps_of, query_statuses
from aml_provider.client.polling.round import Look
from aml_provider.client.polling.waits import Watch, Watchlist
from aml_provider.hooks.azure_ml import AzureMLHook, retry_policy
from aml_provider.triggerer.shared_clients import shared_client

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from aml_provider.client.entities import PipelineRun
    from aml_provider.client.flows.runs import Progress
    from aml_provider.client.http.retry import RetryPolicy
    from aml_provider.client.settings import WorkspaceSettings
    from aml_provider.triggerer.shared_clients import SharedClient

log = logging.getLogger(__name__)

# A blip is passed over within the look; the rest of the retry budget is for later looks.
_BLIP = 2.0
_QUERIES_AT_ONCE = 4
_READS_AT_ONCE = 8


class _Key(NamedTuple):
    """Who shares a poller: those who ask the same experiment as the same identity."""

    conn_id: str
    settings: WorkspaceSettings
    experiment: str


_POLLERS: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[_Key, RunPoller]] = WeakKeyDictionary()
# A process may have several loops, each in a thread of its own.
_LOCK = threading.Lock()


async def shared_poller(azureml_conn_id: str, experiment_name: str) -> RunPoller:
    """This event loop's poller for an experiment.

    The caller must start a wait immediately: the poller stops when its last wait ends.

    Raises:
        AirflowNotFoundException: There is no such connection.
        AirflowFailException: The connection does not make a workspace.
    """
    key = _Key(azureml_conn_id, await AzureMLHook(azureml_conn_id).async_settings(), experiment_name)
    pollers = _pollers()
    poller = pollers.get(key)
    if poller is None or poller.is_over:
        poller = pollers[key] = RunPoller(key, retry_policy())
    return poller


def _pollers() -> dict[_Key, RunPoller]:
    with _LOCK:
        return _POLLERS.setdefault(asyncio.get_running_loop(), {})


class RunPoller:
    """Looks at runs for those who wait for them, until the last one has gone.

    Args:
        key: Whose runs, and which.
        policy: How long a run that cannot be read is tried again.
    """

    def __init__(self, key: _Key, policy: RetryPolicy) -> None:
        self._key = key
        self._list = Watchlist(policy)
        self._joined = asyncio.Event()
        self._wakes_at: float | None = None
        self._loop = asyncio.get_running_loop()
        self._clock = self._loop.time
        self._users = 0
        # What those who wait sleep on until there is something to tell them.
        self._news: dict[Watch, asyncio.Future[None]] = {}
        # In a context of its own: what it logs belongs to no single task.
        self._task = self._loop.create_task(self._run(), context=contextvars.Context())

    @property
    def is_over(self) -> bool:
        """Whether it looks no more."""
        return self._task.done()

    async def watch(
        self,
        run_id: str,
        *,
        poll_interval: float,
        deadline: float | None,
        report: Callable[[Progress], None],
        tell: Callable[[int, str], None] = log.log,
    ) -> PipelineRun | None:
        """Wait until a run is final or the deadline has passed.

        Args:
            run_id: The pipeline run.
            poll_interval: The least seconds between two polls.
            deadline: Seconds since the epoch; None: wait for ever.
            report: Called with the progress whenever it has changed.
            tell: Called with a level and a line for the log: with the first failure of a trouble, then once a minute
                while it lasts, and when it is over.

        Returns:
            The run; None when the deadline has passed.

        Raises:
            AzureMLError: The run could not be read within the retry budget. It goes on anyway.

        Each wait takes few objects: those of hundreds that begin together make Python's garbage collector go through
        the whole triggerer.
        """
        if self.is_over:
            raise RuntimeError("this poller has ended with its last wait; ask for another one")
        watch = Watch(run_id, poll_interval)
        timer: asyncio.TimerHandle | None = None
        told: Progress | None = None
        self._users += 1
        try:
            if deadline is not None:
                timer = self._loop.call_later(deadline - time.time(), self._expire, watch)
            self._join(watch)
            while watch.run is None and not watch.is_late:
                # Nothing is missed until the next one is there: between two awaits nobody else does anything.
                self._news[watch] = news = self._loop.create_future()
                await news
                if watch.error is not None and not watch.is_late:
                    raise watch.error.with_traceback(None)
                if watch.notice is not None:
                    notice, watch.notice = watch.notice, None
                    tell(*notice)
                if watch.progress != told and watch.progress is not None:
                    told = watch.progress
                    report(told)
        finally:
            if timer is not None:
                timer.cancel()
            self._news.pop(watch, None)
            self._list.leave(watch)
            self._users -= 1
            if not self._users:
                await self._stop()
        return watch.run

    async def _stop(self) -> None:
        pollers = _pollers()
        if pollers.get(self._key) is self:
            del pollers[self._key]
        self._task.cancel()
        await asyncio.wait([self._task])

    def _tell(self, watch: Watch) -> None:
        news = self._news.pop(watch, None)
        if news is not None and not news.done():
            news.set_result(None)

    def _expire(self, watch: Watch) -> None:
        watch.is_late = True
        self._tell(watch)

    def _join(self, watch: Watch) -> None:
        self._list.join(watch, self._clock())
        if self._wakes_at is None or watch.due < self._wakes_at:
            self._joined.set()

    async def _run(self) -> None:
        key = self._key
        policy = self._list.policy
        # Being throttled is for the list to wait out: it knows who else would ask.
        policy = policy._replace(budget=min(_BLIP, policy.budget), throttled_budget=0.0, is_brief=True)
        try:
            async with shared_client(key.conn_id, key.settings, policy) as client:
                while True:
                    await self._sleep()
                    now = self._clock()
                    due = self._list.due(now)
                    if due:
                        await self._carry_out(Look(self._list, due, now), client)
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must hear of it
            # One by one, as in a look; whoever joins meanwhile is told as well.
            while untold := [watch for watch in self._list if watch.error is None]:
                for watch in untold:
                    watch.error = error
                    self._tell(watch)
                    await asyncio.sleep(0)

    async def _sleep(self) -> None:
        """Sleep until a run is due."""
        while True:
            self._joined.clear()
            self._wakes_at = self._list.wake_at()
            left = None if self._wakes_at is None else self._wakes_at - self._clock()
            if left is not None and left <= 0:
                return
            try:
                async with asyncio.timeout(left):
                    await self._joined.wait()
            except TimeoutError:
                return

    async def _carry_out(self, look: Look, client: SharedClient) -> None:
        began = self._clock()
        await _together(_QUERIES_AT_ONCE, lambda: self._query(look, client))
        to_read = iter(look.records())
        await _together(_READS_AT_ONCE, lambda: self._read(look, client, to_read))
        await self._list_steps(look, client)
        for watch in look.close(self._clock()):
            self._tell(watch)
            # Who is told logs, and Airflow does after it. When there are hundreds, each line waits for the triggerer's
            # supervisor to take it, for milliseconds: all at once they would stall the loop for a second.
            await asyncio.sleep(0)
        log.debug("Experiment %s: %s in %.1f s", self._key.experiment, look, self._clock() - began)

    async def _query(self, look: Look, client: SharedClient) -> None:
        while look.batches:
            run_ids = look.batches.pop()
            try:
                runs = await client.call(query_statuses(self._key.experiment, run_ids))
            except AzureMLError as error:
                look.lost(run_ids, error, self._clock())
            else:
                look.found(runs)

    async def _read(self, look: Look, client: SharedClient, run_ids: Iterator[str]) -> None:
        for run_id in run_ids:
            if look.is_down:
                return
            try:
                run = await client.call(calls.get_run(run_id))
            except AzureMLError as error:
                look.missed(run_id, error, self._clock())
            else:
                look.read(run_id, run)

    async def _list_steps(self, look: Look, client: SharedClient) -> None:
        parents = look.parents()
        if not parents:
            return
        try:
            steps = await client.run(list_steps_of(self._key.experiment, parents))
        except AzureMLError as error:
            look.steps_refused(error, self._clock())
        else:
            look.stepped(steps)


async def _together(times: int, work: Callable[[], Coroutine[None, None, None]]) -> None:
    try:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(times):
                tasks.create_task(work())
    except ExceptionGroup as group:
        raise group.exceptions[0] from group
