"""Triggers that poll a folder of blobs."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from aml_provider.connection import DEFAULT_CONN_ID
from aml_provider.triggerer.loading import load
from aml_provider.triggers.blob_change import AzureBlobChangeTrigger
from aml_provider.triggers.sensor import SensorTrigger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aml_provider.blobs.folder_state import FolderState
    from aml_provider.blobs.wake_reader import WakeReader
    from aml_provider.hooks.blob_location import BlobLocation
    from aml_provider.triggers.sensor import Poll, Session

__all__ = ["AzureBlobChangeTrigger", "AzureBlobLookTrigger"]


class AzureBlobLookTrigger(SensorTrigger):
    """Wake a deferred sensor when its folder may hold a batch.

    It does not decide or store anything: the worker that resumes lists the folder again and commits. So there is one
    place where changes are taken, whatever the sensor's mode.

    Args:
        datastore: The datastore; None with ``container_url``.
        container_url: The container's address; None with ``datastore``.
        path: The folder.
        wasb_conn_id: The connection whose credential is used, or None.
        azureml_conn_id: The connection.
        settle: The sensor's argument, in seconds.
        ignore_empty: The sensor's argument.
        pattern: The sensor's argument.
        cursor_variable: Names the sensor's cursor; read once.
        cursor_store: The sensor's argument: the place of that cursor.
        serial: The serial number of the cursor that the sensor found there. If it has changed, another task instance
            may have taken a batch, and the sensor has to decide what that means.
        poll_interval: Seconds between two polls.
        deadline: When to stop polling and fire, in seconds since the epoch; None: never.
        only_wait: Fire after one interval, whatever the folder holds: the sensor waits for another task.
        wake_queue: The sensor's argument.
        resync: The sensor's argument, in seconds.
        wake_state: What the sensor knows of the wake queue, as JSON data; None: nothing, so the first poll lists.
    """

    _path = "aml_provider.triggers.blob.AzureBlobLookTrigger"

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
        wake_queue: str | None = None,
        resync: float = 3600.0,
        wake_state: dict[str, Any] | None = None,
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
        self.wake_queue = wake_queue
        self.resync = resync
        self.wake_state = wake_state

    async def _session(self) -> Session | None:
        await load("aml_provider.blobs.listing")
        from aml_provider.compat import in_thread
        from aml_provider.hooks.blob_location import BlobLocation

        where = BlobLocation(self.datastore, self.container_url, self.path, self.wasb_conn_id, self.azureml_conn_id)
        state = await in_thread(self._state)
        if state is None:
            return None
        reader = self._reader(where, state)
        return lambda: self._open(where, state, reader)

    @asynccontextmanager
    async def _open(self, where: BlobLocation, state: FolderState, reader: WakeReader | None) -> AsyncIterator[Poll]:
        from aml_provider import metrics
        from aml_provider.blobs.listing import poll_folder
        from aml_provider.blobs.wake_state import NOT_LISTED, because
        from aml_provider.client.poll_log import PollLog

        clock = asyncio.get_running_loop().time
        lines = PollLog()
        async with where.async_open() as (client, location):
            state.folder = location.folder

            name = f"{where.name}/{location.folder.prefix}"

            def log_poll(found: str) -> None:
                if (line := lines.line(f"{name}: {found}", clock())) is not None:
                    self.log.info("%s", line)

            async def poll() -> bool:
                reason = None
                if reader is not None:
                    await asyncio.to_thread(reader.prepare, location)
                    reason = await client.run(reader.ask(location))
                    if reason is None:
                        metrics.saved(self.azureml_conn_id)
                        log_poll(NOT_LISTED)
                        return False
                # Some 150 ms for the first import, when the right is an account key.
                await asyncio.to_thread(location.access.signature, location.folder.container_url)
                began = clock()
                detection = await client.run(poll_folder(state, location.access))
                metrics.listed(detection.counts.listed, clock() - began, self.azureml_conn_id)
                log_poll(f"{detection.counts}{because(reason)}")
                if detection.changes:
                    return True
                state.accept(detection)
                if reader is not None:
                    reader.listed(waits=detection.waits)
                return False

            yield poll

    def _reader(self, where: BlobLocation, state: FolderState) -> WakeReader | None:
        from aml_provider.blobs.wake_state import WakeState
        from aml_provider.hooks.waking import Waking
        from aml_provider.triggerer.wake_pages import sharing

        waking = Waking.of(self.wake_queue, self.resync)
        known = WakeState.from_json(self.wake_state)
        if waking is None:
            return None
        return waking.reader(state.rules.patterns, self.log.log, known, sharing(where, self.poll_interval))

    def _state(self) -> FolderState | None:
        from aml_provider.blobs.cursor import Cursor
        from aml_provider.blobs.folder import Folder
        from aml_provider.blobs.folder_state import FolderState
        from aml_provider.blobs.rules import Rules
        from aml_provider.durable.handover import Commit
        from aml_provider.hooks.blob_location import BlobLocation
        from aml_provider.state.cursor_stores import cursor_store

        records = BlobLocation.of_cursor_store(self.cursor_store, self.azureml_conn_id)
        text = cursor_store(self.cursor_variable, records).load()
        commit = None if text is None else Commit.decode(text)
        # Without a record the worker's first poll has failed. Changes count from a poll of the worker, so it must poll.
        if commit is None or commit.serial != self.serial:
            return None
        rules = Rules.of(settle=self.settle, ignore_empty=self.ignore_empty, pattern=self.pattern)
        return FolderState(Folder("", ""), rules, Cursor.decode(commit.cursor_text))
