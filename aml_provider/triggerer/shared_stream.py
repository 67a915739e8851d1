"""A folder's looks for Airflow's shared stream, which says when the events made of them are stored (Airflow 3.3)."""

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


class ConfirmedLooks(SharedStreamProducer):
    """Gives the looks of one folder to all its watchers in a triggerer.

    Args:
        key: The folder.
    """

    def __init__(self, key: FolderKey) -> None:
        self._key = key
        self._stream: FolderStream | None = None

    async def open_stream(self) -> AsyncIterator[tuple[FolderPoll, FolderPoll]]:
        """Look for ever; a look is also what Airflow names it by later."""
        await load("aml_provider.triggerer.folder_stream")
        from aml_provider.triggerer.folder_stream import stream_of

        self._stream = stream_of(self._key)
        async for look in self._stream.looks():
            yield look, look

    async def advance(self, batch: Sequence[AdvanceItem]) -> None:
        """Take note of looks of which every watcher's events are stored, or that watcher has been stopped.

        Of which watchers Airflow does not say, only how many. But one of which an event was not stored in time is
        failed by Airflow: it gets no further look, so it never learns of this.
        """
        assert self._stream is not None
        for item in batch:
            self._stream.stored(item.broker_payload)

    async def aclose(self) -> None:
        """Close the connection."""
        if self._stream is not None:
            await self._stream.close()
