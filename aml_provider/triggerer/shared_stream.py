"""Delivers a folder's polls to Airflow's shared stream, which confirms that their events are stored (Airflow 3.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.triggers.shared_stream import SharedStreamProducer

from aml_provider.triggerer.loading import load

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from airflow.triggers.shared_stream import AdvanceItem

    from aml_provider.blobs.shared_listing import FolderPoll
    from aml_provider.hooks.blob_location import FolderKey
    from aml_provider.triggerer.folder_stream import FolderStream


class ConfirmedPolls(SharedStreamProducer):
    """Delivers the polls of one folder to all its watchers in a triggerer."""

    def __init__(self, key: FolderKey) -> None:
        self._key = key
        self._stream: FolderStream | None = None

    async def open_stream(self) -> AsyncIterator[tuple[FolderPoll, FolderPoll]]:
        """Poll for ever. Each poll is yielded with itself as the token, which Airflow returns to confirm the poll."""
        await load("aml_provider.triggerer.folder_stream")
        from aml_provider.triggerer.folder_stream import stream_of

        self._stream = stream_of(self._key)
        async for poll in self._stream.polls():
            yield poll, poll

    async def advance(self, batch: Sequence[AdvanceItem]) -> None:
        """Confirm polls whose events are all stored, except those of watchers that were stopped.

        Airflow does not say which watchers these are, only how many. But it fails a watcher whose event was not stored
        in time. That watcher gets no further poll, so it never sees this confirmation.
        """
        assert self._stream is not None
        for item in batch:
            self._stream.confirm(item.broker_payload)

    async def aclose(self) -> None:
        """Close the connection."""
        if self._stream is not None:
            await self._stream.close()
