"""The common part of the triggers of deferred sensors."""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from airflow.triggers.base import BaseTrigger

from aml_provider.client.help import text_of
from aml_provider.triggers.base import StoredTrigger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow.triggers.base import TriggerEvent

#: Polls once, and returns whether there is something for the sensor.
Poll = Callable[[], Awaitable[bool]]
#: Opens a connection to poll with.
Session = Callable[[], AbstractAsyncContextManager[Poll]]


class SensorTrigger(StoredTrigger, BaseTrigger):
    """Polls for a deferred sensor until there is something to decide, then fires once.

    It does not decide or store anything: the worker that resumes polls again and commits.

    Attributes:
        poll_interval: Seconds between two polls.
        deadline: When to stop polling and fire, in seconds since the epoch; None: never.
        only_wait: Fire after one interval without polling: the sensor waits for another task.
    """

    poll_interval: float
    deadline: float | None
    only_wait: bool

    # Seconds with one connection; after that, its settings and the place of the datastore are read again.
    _session_seconds = 3600.0

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll until there is something to decide, or the deadline has passed; then fire once."""
        from aml_provider.triggerer.turns import take_turn

        try:
            self.check_times()
            async with asyncio.timeout(None if self.deadline is None else self.deadline - time.time()):
                # The worker has just polled.
                await asyncio.sleep(self.poll_interval)
                # So have the workers of hundreds of other sensors.
                await take_turn()
                session = None if self.only_wait else await self._session()
                if session is not None:
                    await self._until_news(session)
        except TimeoutError:
            self.log.info("The sensor's time is up.")
        except Exception as error:  # noqa: BLE001 - the worker meets it too, and can report it properly
            self.log.warning("Handing over to the worker: %s", text_of(error))
        yield self.event(look=True)

    @abstractmethod
    async def _session(self) -> Session | None:
        """Prepare to poll; None if the worker has to poll first."""

    async def _until_news(self, session: Session) -> None:
        from aml_provider.client.errors import AzureMLError
        from aml_provider.client.trouble import Troubles, pause_after

        troubles = Troubles()
        clock = asyncio.get_running_loop().time
        while True:
            try:
                async with session() as poll:
                    end = clock() + self._session_seconds
                    is_over = False
                    while not is_over:
                        has_news = await poll()
                        if (text := troubles.over(self, clock())) is not None:
                            self.log.info("%s", text)
                        if has_news:
                            return
                        await asyncio.sleep(self.poll_interval)
                        is_over = clock() > end
            except AzureMLError as error:
                if error.permanent:
                    raise
                pause = pause_after(error, self.poll_interval)
                # Each is logged: they are as far apart as the author wants.
                troubles.failed(self, error, None, clock())
                self.log.warning("This poll failed and was discarded; the next one is in %.0f s. %s", pause, error.text)
                await asyncio.sleep(pause)
