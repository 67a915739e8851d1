"""The polls of one source of runs, shared by its watchers with the same key in this event loop.

This module is imported at run time only, and in a thread, because it imports everything that a client needs.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from aml_provider import metrics
from aml_provider.durable.run_events import SharedRuns, watch_runs
from aml_provider.durable.run_sources import source_of
from aml_provider.durable.wanted_runs import RunsKey
from aml_provider.hooks.workspace import WorkspaceHook, poll_policy
from aml_provider.triggerer.per_loop import PerLoop
from aml_provider.triggerer.shared_clients import SharedClient, shared_client
from aml_provider.triggerer.watch_stream import WatchStream

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from aml_provider.durable.wanted_runs import WantedRuns
    from aml_provider.watching.outbox import Watcher, WatcherRecord
    from aml_provider.watching.shared import SharedPoll

__all__ = ["RunStream", "make_stream", "stream_of"]

log = logging.getLogger(__name__)

# For so many seconds, a poll repeats a request: the next poll comes soon, and other streams wait for their turn.
_BLIP = 10.0

_STREAMS: PerLoop[WeakValueDictionary[RunsKey, RunStream]] = PerLoop(WeakValueDictionary)


def make_stream(key: RunsKey) -> RunStream:
    """Make a stream for one watcher alone."""
    return RunStream(key, SharedRuns(source_of(key.kind, key.name)))


def stream_of(key: RunsKey) -> RunStream:
    """Find or make this event loop's stream of a source; the stream exists as long as something refers to it."""
    streams = _STREAMS.here
    return streams.get(key) or streams.setdefault(key, make_stream(key))


class RunStream(WatchStream[RunsKey, SharedRuns, SharedClient]):
    """Reads a source of runs for ever."""

    _logged = ""

    def _watcher(self, rules: WantedRuns, record: WatcherRecord) -> Watcher:
        return watch_runs(self._source, rules, record, self._clock())

    async def _open(self, resources: AsyncExitStack) -> SharedClient:
        conn_id = self._key.azureml_conn_id
        settings = await WorkspaceHook(conn_id).async_settings()
        return await resources.enter_async_context(shared_client(conn_id, settings, poll_policy(_BLIP)))

    async def _read(self, connection: SharedClient) -> SharedPoll:
        try:
            poll = await connection.run(self._source.poll(time.time()))
        finally:
            self._tell()
        endings = "; ".join(dict.fromkeys(str(step.detection) for step in poll.steps.values()))
        if endings and (line := self._lines.line(f"{self._key}: {endings}", self._clock())) is not None:
            log.info("%s", line)
        return poll

    def _tell(self) -> None:
        """Count failures, and log what could not be read; the same again only if something else came between."""
        for error in self._source.source.errors:
            metrics.failed(error, self._key.azureml_conn_id)
        self._source.source.errors.clear()
        problems = list(dict.fromkeys(self._source.source.problems))
        self._source.source.problems.clear()
        text = "; ".join(problems)
        if text and text != self._logged:
            log.warning("%s: %s", self._key, text)
        self._logged = text
