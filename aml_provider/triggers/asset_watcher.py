"""The base of the triggers of asset watchers: shared polls, and a watcher record that is stored before its events."""

from __future__ import annotations

import asyncio
import json
import sys
from abc import abstractmethod
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.triggers.base import TriggerEvent

from aml_provider.client.errors import UnsupportedAirflow
from aml_provider.compat import AIRFLOW_V_3_0_PLUS, TRIGGERS_WRITE_VARIABLES, BaseEventTrigger
from aml_provider.triggerer.loading import load
from aml_provider.triggers.base import StoredTrigger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import FrameType

    from airflow.triggers.shared_stream import SharedStreamProducer

    from aml_provider.state.watcher_records import WatcherRecords
    from aml_provider.triggerer.watch_stream import StreamKey, WatchStream
    from aml_provider.watching.outbox import Event, Watcher
    from aml_provider.watching.shared import SharedPoll

# How many callers are searched for the asset; in Airflow 3.0 to 3.3 it is three calls up.
_CALLERS = 6


class AssetWatcherTrigger(StoredTrigger, BaseEventTrigger):
    """Watches a source for an asset, and fires an event for what is new there.

    A subclass says what the source is, what is new, and which argument names what.

    Attributes:
        azureml_conn_id: The connection.
        state_key: Names the watcher record.
        asset: The watched asset.
    """

    azureml_conn_id: str
    state_key: str | None
    asset: str | None

    # The module with make_stream() and stream_of() for the keys of the source.
    _stream_module: ClassVar[str]
    # What to use on an Airflow without asset watchers.
    _instead: ClassVar[str]
    # What the watcher record contains, for messages.
    _seen: ClassVar[str]

    def check_airflow(self) -> None:
        """Check that this Airflow has asset watchers.

        Raises:
            UnsupportedAirflow: It has none.
        """
        if not AIRFLOW_V_3_0_PLUS:
            raise UnsupportedAirflow(
                f"{type(self).__name__} belongs in an AssetWatcher, which Airflow has since 3.0; use {self._instead}."
            )

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class's path and its arguments, for Airflow's database.

        The arguments are checked here and not in the constructor. In a DAG file the result is an import error anyway,
        but in a triggerer an error in the constructor would end the whole triggerer.

        Raises:
            InvalidArgument: A value cannot be used; the message names the argument.
            UnsupportedAirflow: This Airflow cannot store what a watcher has seen.
        """
        from aml_provider.client.arguments import as_name

        if not TRIGGERS_WRITE_VARIABLES:
            raise UnsupportedAirflow(
                f"{type(self).__name__} stores in a Variable which {self._seen} it has seen, and triggerers write "
                f"Variables since Airflow 3.0.5; upgrade Airflow, or use {self._instead}."
            )
        for name in ("azureml_conn_id", "state_key", "asset"):
            value = getattr(self, name)
            if value is not None or name == "azureml_conn_id":
                as_name(name, value)
        return self._path, {
            **self._arguments(),
            "poll_interval": self._key().poll_interval,
            "state_key": self.state_key,
            "azureml_conn_id": self.azureml_conn_id,
            # Airflow merges watchers with the same arguments, even those of different assets. An asset whose DAG is
            # paused would then miss changes.
            "asset": self.asset or _asset_of(self, sys._getframe(1)),  # noqa: SLF001 - see _asset_of()
        }

    def shared_stream_key(self) -> StreamKey:
        """The key of the triggers that share one stream; Airflow 3.3 calls this."""
        return self._key()

    @classmethod
    def create_shared_stream_producer(cls, kwargs: dict[str, Any]) -> SharedStreamProducer:
        """Make the producer for all triggers with the same key; Airflow 3.3 calls this."""
        from aml_provider.triggerer.shared_stream import ConfirmedPolls

        return ConfirmedPolls(cls._stream_module, cls(**kwargs).shared_stream_key())

    async def filter_shared_stream(self, shared_stream: AsyncIterator[SharedPoll]) -> AsyncIterator[TriggerEvent]:
        """Turn polls of the source into this watcher's events; Airflow 3.3 calls this instead of :meth:`run`."""
        await load(self._stream_module)
        stream = sys.modules[self._stream_module].stream_of(self._key())
        async for event in self._watch(stream, shared_stream):
            yield event

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll for this watcher alone; Airflow calls this before 3.3, where nothing is shared."""
        await load(self._stream_module)
        stream: WatchStream[Any, Any, Any] = sys.modules[self._stream_module].make_stream(self._key())
        try:
            async for event in self._watch(stream, stream.unconfirmed_polls()):
                yield event
        finally:
            await stream.close()

    async def _watch(
        self, stream: WatchStream[Any, Any, Any], polls: AsyncIterator[SharedPoll]
    ) -> AsyncIterator[TriggerEvent]:
        records = self._records()
        watcher = await self._begin(stream, records)
        clock = asyncio.get_running_loop().time
        async for poll in polls:
            if watcher is None:
                watcher = await self._begin(stream, records)
                continue
            events = watcher.take(poll, clock())
            if watcher.must_save:
                # If this fails the trigger ends, and Airflow starts it again with the stored record.
                await records.save(watcher.record)
            for number, event in enumerate(events, 1):
                self._count(event, is_repeated=number <= watcher.repeated)
                self.log.info("%s, event %s", self._summary(event), event["id"])
                yield TriggerEvent(event)

    def _count(self, event: Event, *, is_repeated: bool) -> None:
        """Count an event, and the blobs in it unless they were counted with the same event before."""
        from aml_provider import metrics

        tags = {"conn_id": self.azureml_conn_id, "asset": self.asset}
        metrics.count(metrics.WATCHER_EVENTS, **tags)
        if is_repeated:
            metrics.count(metrics.DELIVERIES_REPEATED, **tags)
        else:
            metrics.count(metrics.CHANGES, self._changes(event), **tags)

    async def _begin(self, stream: WatchStream[Any, Any, Any], records: WatcherRecords) -> Watcher | None:
        """Continue from the stored watcher record; None if that cannot be read."""
        from aml_provider.state.watcher_records import SeveralAssets
        from aml_provider.stored import CursorUnreadable

        try:
            return stream.join(self._rules(), await records.load())
        except SeveralAssets as error:
            self.log.error("%s", error)  # noqa: TRY400 - the message is complete
        except CursorUnreadable as error:
            self.log.error(  # noqa: TRY400 - the message is complete
                "%s. It is unknown which %s were seen, so no event is fired. Delete the %s; the watcher then starts "
                "again, as on_first_poll says.",
                error,
                self._seen,
                records,
            )
        except Exception:
            self.log.exception("The %s could not be read; this watcher tries again with the next poll.", records)
        return None

    @abstractmethod
    def _arguments(self) -> dict[str, Any]:
        """The arguments of this class as plain JSON values, without those that all watchers have.

        Raises:
            InvalidArgument: A value cannot be used; the message names the argument.
        """

    @abstractmethod
    def _key(self) -> StreamKey:
        """The key of the watchers that share a stream."""

    @abstractmethod
    def _rules(self) -> Any:
        """What this watcher wants, in the form that the stream's ``join`` takes."""

    @abstractmethod
    def _place(self) -> tuple[str, str]:
        """Two texts that name the source, for the key of the watcher record; they must never change."""

    @abstractmethod
    def _filters(self) -> Any:
        """What tells watchers of one source apart, as JSON data."""

    @staticmethod
    @abstractmethod
    def _read_event(stored: Any) -> Event:
        """Check the stored payload of an event."""

    @staticmethod
    @abstractmethod
    def _summary(event: Event) -> str:
        """An event in a few words, for the log."""

    @staticmethod
    def _changes(event: Event) -> int:  # noqa: ARG004 - for subclasses
        """How many changed blobs the event reports, for the metric; 0 if the source is no folder."""
        return 0

    def _records(self) -> WatcherRecords:
        """The place of this watcher's record.

        Without a ``state_key``, an asset's state store has one record for each source. Before Airflow 3.3 there is one
        Variable for each asset, source and filter, or for each source and filter if the asset is not known.
        """
        from aml_provider.state.cursor_stores import variable_key
        from aml_provider.state.watcher_records import AssetRecords, VariableRecords

        accessors = getattr(self, "asset_state_store", None)
        name = "watcher" if self.state_key is None else f"watcher {self.state_key}"
        if self.state_key is None and accessors is None:
            filters = json.dumps(self._filters())
            name += f" {blake2b(filters.encode(), digest_size=4).hexdigest()}"
        where = (self.azureml_conn_id, *self._place())
        key = variable_key(*where, name)
        if accessors is not None:
            return AssetRecords(accessors, key, self._read_event)
        writer = type(self).__name__
        if self.asset is None:
            return VariableRecords(key, self._read_event, writer)
        return VariableRecords(variable_key(*where, f"{name} of {self.asset}"), self._read_event, writer, previous=key)


def _asset_of(trigger: AssetWatcherTrigger, frame: FrameType | None) -> str | None:
    """The name of the asset that is being serialised together with its trigger.

    Airflow does not pass it to the trigger, so it is searched for in the callers' variables. If it is not found, the
    watchers of several assets stay one trigger, which refuses to run.
    """
    from aml_provider.compat import Asset

    for _ in range(_CALLERS):
        if frame is None:
            break
        for value in frame.f_locals.values():
            if isinstance(value, Asset) and any(watcher.trigger is trigger for watcher in value.watchers):
                return value.name
        frame = frame.f_back
    return None
