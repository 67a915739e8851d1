"""Triggers that watch a folder of blobs."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from aml_provider.connection import DEFAULT_CONN_ID
from aml_provider.deadlines import FIRED_AT
from aml_provider.triggerer.loading import load
from aml_provider.triggers.blob_change import AzureBlobChangeTrigger
from aml_provider.triggers.stored import StoredTrigger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from aml_provider.blobs.folder_state import FolderState
    from aml_provider.hooks.blob_location import BlobLocation

__all__ = ["AzureBlobChangeTrigger", "AzureBlobLookTrigger"]


class AzureBlobLookTrigger(StoredTrigger, BaseTrigger):
    """Tell a deferred sensor when its folder is worth a look.

    It decides and stores nothing: the worker that resumes lists the folder itself and commits. So there is one place
    where changes are taken, whatever the sensor's mode.

    Args:
        datastore: The datastore, or None.
        container_url: The container, or None.
        path: The folder.
        wasb_conn_id: The connection whose rights are used, or None.
        azureml_conn_id: The connection.
        settle: As the sensor's, in seconds.
        ignore_empty: As the sensor's.
        pattern: As the sensor's.
        cursor_variable: Names the record of what was seen; read once.
        cursor_store: As the sensor's: where that record is.
        serial: Which record the sensor found there. When there is another one by now, whoever wrote it may have taken a
            batch that comes back: deciding that is the sensor's.
        poll_interval: Seconds between two looks.
        deadline: When to stop looking and fire, in seconds since the epoch; None: never.
        only_wait: Fire after one interval, whatever the folder holds: the sensor waits for another task.
    """

    # Seconds with one connection; after that, what it says and where the datastore is are read anew.
    _session = 3600.0

    def __init__(
        self,
        *,
        cursor_variable: str,
        serial: int = 0,
        datastore: str | None = None,
        container_url: str | None = None,
        path: str = "",
        wasb_conn_id: str | None = None,
        azureml_conn_id: str = DEFAULT_CONN_ID,
        settle: float = 0.0,
        ignore_empty: bool = True,
        pattern: list[str] | None = None,
        poll_interval: float = 60.0,
        deadline: float | None = None,
        only_wait: bool = False,
        cursor_store: str | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.cursor_variable = cursor_variable
        self.serial = serial
        self.datastore = datastore
        self.container_url = container_url
        self.path = path
        self.wasb_conn_id = wasb_conn_id
        self.azureml_conn_id = azureml_conn_id
        self.settle = settle
        self.ignore_empty = ignore_empty
        self.pattern = pattern
        self.poll_interval = poll_interval
        self.deadline = deadline
        self.only_wait = only_wait
        self.cursor_store = cursor_store

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class's path and its arguments, for Airflow's database."""
        names = (
            "cursor_variable",
            "serial",
            "datastore",
            "container_url",
            "path",
            "wasb_conn_id",
            "azureml_conn_id",
            "settle",
            "ignore_empty",
            "pattern",
            "poll_interval",
            "deadline",
            "only_wait",
            "cursor_store",
        )
        return "aml_provider.triggers.blob.AzureBlobLookTrigger", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look until there is something to decide, or the time is up; then fire once."""
        try:
            async with asyncio.timeout(None if self.deadline is None else self.deadline - time.time()):
                # The worker has just looked.
                await asyncio.sleep(self.poll_interval)
                if not self.only_wait:
                    await self._until_worth_a_look()
        except TimeoutError:
            self.log.info("The sensor's time is up.")
        except Exception as error:  # noqa: BLE001 - the worker meets it too, and can tell the user properly
            self.log.warning("Handing over to the worker: %s", error)
        yield TriggerEvent({"look": True, "deadline": self.deadline, FIRED_AT: time.time()})

    async def _until_worth_a_look(self) -> None:
        await load("aml_provider.blobs.listing")
        from aml_provider.client.errors import AzureMLError
        from aml_provider.client.trouble import Troubles
        from aml_provider.hooks.blob_location import BlobLocation
        from aml_provider.state.threads import in_thread

        troubles = Troubles()
        clock = asyncio.get_running_loop().time
        where = BlobLocation(self.datastore, self.container_url, self.path, self.wasb_conn_id, self.azureml_conn_id)
        state = await in_thread(self._state)
        while state is not None:
            try:
                if await self._changes_in(where, state, lambda: troubles.over(where, clock())):
                    return
            except AzureMLError as error:
                # A permanent one has left as AirflowFailException.
                pause = max(self.poll_interval, error.retry_after or 0.0)
                # Told with each look: they are as far apart as the author wants.
                troubles.failed(where, error, None, clock())
                self.log.warning("This poll failed and was discarded; the next one is in %.0f s. %s", pause, error)
                await asyncio.sleep(pause)

    async def _changes_in(self, where: BlobLocation, state: FolderState, works: Callable[[], str | None]) -> bool:
        """Look with one connection until there are changes, or it is time for a new one.

        Args:
            where: The folder.
            state: What is known of it.
            works: Called with each success; returns what is to be said of it.
        """
        from aml_provider.blobs.listing import poll_folder

        end = time.monotonic() + self._session
        async with where.async_open() as (client, location):
            state.folder = location.folder
            while True:
                # Some 150 ms for the first import, when the right is an account key.
                await asyncio.to_thread(location.access.signature, location.folder.container_url)
                detection = await client.run(poll_folder(state, location.access))
                if (text := works()) is not None:
                    self.log.info("%s", text)
                self.log.info("%s/%s: %s", where.name, location.folder.prefix, detection.counts)
                if detection.changes:
                    return True
                state.accept(detection)
                await asyncio.sleep(self.poll_interval)
                if time.monotonic() > end:
                    return False

    def _state(self) -> FolderState | None:
        from aml_provider.blobs.folder import Folder
        from aml_provider.blobs.folder_state import FolderState
        from aml_provider.blobs.rules import Rules
        from aml_provider.durable.handover import Commit
        from aml_provider.hooks.blob_location import BlobLocation
        from aml_provider.state.cursor_stores import cursor_store

        records = BlobLocation.of_cursor_store(self.cursor_store, self.azureml_conn_id)
        text = cursor_store(self.cursor_variable, records).load()
        commit = None if text is None else Commit.decode(text)
        # Without a record the worker's first look failed: what "changed" means begins with one of its own.
        if commit is None or commit.serial != self.serial:
            return None
        rules = Rules.of(settle=self.settle, ignore_empty=self.ignore_empty, pattern=self.pattern)
        return FolderState(Folder("", ""), rules, commit.cursor())
