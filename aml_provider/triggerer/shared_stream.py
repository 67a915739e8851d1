"""Delivers the polls of a source to Airflow's shared stream, which confirms that events are stored (Airflow 3.3)."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from airflow.triggers.shared_stream import SharedStreamProducer

from aml_provider.triggerer.loading import load

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from airflow.triggers.shared_stream import AdvanceItem

    from aml_provider.triggerer.watch_stream import WatchStream
    from aml_provider.watching.shared import SharedPoll


class ConfirmedPolls(SharedStreamProducer):
    """Delivers the polls of one source to all its watchers in a triggerer.

    Args:
        module: The module whose ``stream_of`` finds the stream.
        key: The key of the stream.
    """

    def __init__(self, module: str, key: Any) -> None:
        self._module = module
        self._key = key
        self._stream: WatchStream[Any, Any, Any] | None = None

    async def open_stream(self) -> AsyncIterator[tuple[SharedPoll, SharedPoll]]:
        """Poll for ever. Each poll is yielded with itself as the token, which Airflow returns to confirm the poll."""
        await load(self._module)
        stream: WatchStream[Any, Any, Any] = sys.modules[self._module].stream_of(self._key)
        self._stream = stream
        async for poll in stream.polls():
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
