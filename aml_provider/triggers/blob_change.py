"""The trigger that turns changed blobs into asset events."""

from __future__ import annotations

import asyncio
import json
import sys
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import TriggerEvent

from aml_provider.compat import AIRFLOW_V_3_0_PLUS, TRIGGERS_WRITE_VARIABLES, BaseEventTrigger
from aml_provider.connection import DEFAULT_CONN_ID
from aml_provider.triggerer.loading import load
from aml_provider.triggers.base import StoredTrigger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from datetime import timedelta
    from types import FrameType

    from airflow.triggers.shared_stream import SharedStreamProducer

    from aml_provider.blobs.outbox import Watcher
    from aml_provider.blobs.rules import OnFirstPoll, Rules
    from aml_provider.blobs.shared_listing import FolderPoll
    from aml_provider.hooks.blob_location import BlobLocation, FolderKey
    from aml_provider.state.watcher_records import WatcherRecords
    from aml_provider.triggerer.folder_stream import FolderStream

_STREAM = "aml_provider.triggerer.folder_stream"
# The most changes that a watcher takes from one poll, to bound its memory; the rest follows within seconds.
_MOST_CHANGES = 5000
# How many callers are searched for the asset; in Airflow 3.0 to 3.3 it is three calls up.
_CALLERS = 6


class AzureBlobChangeTrigger(StoredTrigger, BaseEventTrigger):
    """Watch a folder of blobs for an asset, and fire when blobs directly in it were added or modified.

    It goes into an :class:`~airflow.sdk.AssetWatcher` and needs Airflow 3.0.5. It counts the same changes as
    :class:`~aml_provider.sensors.blob.AzureBlobChangeSensor`. Its arguments are not templates.

    The payload of an event, ``event.extra["payload"]`` of the asset event, is a mapping with ``id`` and ``changes``, a
    list as the sensor returns it. Changes of one poll are split into events of at most
    :data:`~aml_provider.blobs.events.EVENT_BYTES`. After a crash, an event can be fired twice, with the same ``id``,
    which is made of the blob versions in it. No event is lost.

    The watcher record is stored in the asset's state store, on Airflow 3.0 to 3.2 in a Variable. Since Airflow 3.3,
    watchers in one triggerer that have the same folder, connection, ``poll_interval`` and ``ignore_empty`` share one
    listing.

    Args:
        datastore: A blob datastore of the workspace. Its own credential is used, or the connection's identity if it has
            none. Either this or ``container_url`` is required.
        container_url: ``https://ACCOUNT.blob.core.windows.net/CONTAINER``, without a query string.
        path: The folder in the container; empty for its root.
        pattern: One or several globs for the blob's name within the folder; case-sensitive.
        wasb_conn_id: With ``container_url``: list with the credential of this connection (Airflow's own type ``wasb``),
            not with the identity of ``azureml_conn_id``.
        settle: Report a blob only when it was last written this many seconds ago, by the storage service's own clock.
        ignore_empty: Do not report a blob while it is empty.
        on_first_poll: ``"remember"`` or ``"report"`` the blobs that are there at the very first poll.
        poll_interval: Seconds between two polls.
        state_key: Names the watcher record. Two watchers of one asset on one folder need different ones.
        azureml_conn_id: The connection.
        asset: The watched asset. DAG authors do not set it; this class finds it when a DAG file is read.

    Raises:
        RuntimeError: Airflow is older than 3.0.
        ValueError: Neither or both of ``datastore`` and ``container_url`` are given.
    """

    def __init__(
        self,
        *,
        datastore: str | None = None,
        container_url: str | None = None,
        path: str = "",
        pattern: str | Sequence[str] | None = None,
        wasb_conn_id: str | None = None,
        settle: float | timedelta = 0.0,
        ignore_empty: bool = True,
        on_first_poll: OnFirstPoll = "remember",
        poll_interval: float | timedelta = 60.0,
        state_key: str | None = None,
        azureml_conn_id: str = DEFAULT_CONN_ID,
        asset: str | None = None,
    ) -> None:
        if not AIRFLOW_V_3_0_PLUS:
            raise RuntimeError(
                "AzureBlobChangeTrigger belongs in an AssetWatcher, which Airflow has since 3.0; "
                "use AzureBlobChangeSensor."
            )
        if (datastore is None) == (container_url is None):
            both = "both" if datastore is not None else "neither"
            raise ValueError(f"AzureBlobChangeTrigger needs either datastore or container_url; it was given {both}.")
        super().__init__()  # type: ignore[no-untyped-call]
        self.datastore = datastore
        self.container_url = container_url
        self.path = path
        self.pattern = pattern
        self.wasb_conn_id = wasb_conn_id
        self.settle = settle
        self.ignore_empty = ignore_empty
        self.on_first_poll = on_first_poll
        self.poll_interval = poll_interval
        self.state_key = state_key
        self.azureml_conn_id = azureml_conn_id
        self.asset = asset

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class's path and its arguments, for Airflow's database.

        They are checked here and not in the constructor. In a DAG file the result is an import error anyway, but in a
        triggerer an error in the constructor would end the whole triggerer.

        Raises:
            InvalidArgument: A value cannot be used; the message names the argument.
            RuntimeError: This Airflow cannot store what a watcher has seen.
        """
        from aml_provider.client.arguments import as_name

        if not TRIGGERS_WRITE_VARIABLES:
            raise RuntimeError(
                "AzureBlobChangeTrigger stores in a Variable which blobs it has seen, and triggerers write Variables "
                "since Airflow 3.0.5; upgrade Airflow, or use AzureBlobChangeSensor."
            )
        location = self._location()
        location.check()
        rules = self._rules()
        for name in ("state_key", "asset"):
            value = getattr(self, name)
            if value is not None:
                as_name(name, value)
        return "aml_provider.triggers.blob.AzureBlobChangeTrigger", {
            **location._asdict(),
            "settle": rules.settle,
            "ignore_empty": rules.ignore_empty,
            "pattern": None if rules.patterns is None else list(rules.patterns),
            "on_first_poll": self.on_first_poll,
            "poll_interval": self._key().poll_interval,
            "state_key": self.state_key,
            # Airflow merges watchers with the same arguments, even those of different assets. An asset whose DAG is
            # paused would then miss changes.
            "asset": self.asset or _asset_of(self, sys._getframe(1)),  # noqa: SLF001 - see _asset_of()
        }

    def shared_stream_key(self) -> FolderKey:
        """The key of the triggers that share one listing; Airflow 3.3 calls this."""
        return self._key()

    @classmethod
    def create_shared_stream_producer(cls, kwargs: dict[str, Any]) -> SharedStreamProducer:
        """Make the producer for all triggers with the same key; Airflow 3.3 calls this."""
        from aml_provider.triggerer.shared_stream import ConfirmedPolls

        return ConfirmedPolls(cls(**kwargs).shared_stream_key())

    async def filter_shared_stream(self, shared_stream: AsyncIterator[FolderPoll]) -> AsyncIterator[TriggerEvent]:
        """Turn polls of the folder into this watcher's events; Airflow 3.3 calls this instead of :meth:`run`."""
        await load(_STREAM)
        from aml_provider.triggerer.folder_stream import stream_of

        async for event in self._watch(stream_of(self._key()), shared_stream):
            yield event

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll for this watcher alone; Airflow calls this before 3.3, where nothing is shared."""
        await load(_STREAM)
        from aml_provider.triggerer.folder_stream import FolderStream

        stream = FolderStream(self._key())
        try:
            async for event in self._watch(stream, stream.unconfirmed_polls()):
                yield event
        finally:
            await stream.close()

    async def _watch(self, stream: FolderStream, polls: AsyncIterator[FolderPoll]) -> AsyncIterator[TriggerEvent]:
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
            for event in events:
                self.log.info("%d changes, event %s", len(event["changes"]), event["id"])
                yield TriggerEvent(event)

    async def _begin(self, stream: FolderStream, records: WatcherRecords) -> Watcher | None:
        """Continue from the stored watcher record; None if that cannot be read."""
        from aml_provider.blobs.cursor import CursorUnreadable
        from aml_provider.state.watcher_records import SeveralAssets

        try:
            return stream.join(self._rules(), await records.load())
        except SeveralAssets as error:
            self.log.error("%s", error)  # noqa: TRY400 - the message is complete
        except CursorUnreadable as error:
            self.log.error(  # noqa: TRY400 - the message is complete
                "%s. The earlier content of this folder is unknown, so no event is fired. Delete the %s; the "
                "watcher then starts again, as on_first_poll says.",
                error,
                records,
            )
        except Exception:
            self.log.exception("The %s could not be read; this watcher tries again with the next poll.", records)
        return None

    def _location(self) -> BlobLocation:
        from aml_provider.hooks.blob_location import BlobLocation

        return BlobLocation(self.datastore, self.container_url, self.path, self.wasb_conn_id, self.azureml_conn_id)

    def _rules(self) -> Rules:
        from aml_provider.blobs.rules import Rules
        from aml_provider.durations import in_seconds

        return Rules.of(
            settle=in_seconds("settle", self.settle),
            ignore_empty=self.ignore_empty,
            pattern=self.pattern,
            max_changes=_MOST_CHANGES,
            on_first_poll=self.on_first_poll,
        )

    def _key(self) -> FolderKey:
        from aml_provider.blobs.folder import normalise_path
        from aml_provider.durations import in_seconds
        from aml_provider.hooks.blob_location import FolderKey

        location = self._location()
        interval = in_seconds("poll_interval", self.poll_interval, minimum=0.1)
        return FolderKey(location._replace(path=normalise_path(self.path)), self.ignore_empty, interval)

    def _records(self) -> WatcherRecords:
        """The place of this watcher's record: by default there is one for each asset and folder.

        Without an asset to tell them apart, there is one for each folder and filter.
        """
        from aml_provider.state.cursor_stores import variable_key
        from aml_provider.state.watcher_records import AssetRecords, VariableRecords

        location, _, _ = self._key()
        accessors = getattr(self, "asset_state_store", None)
        name = "watcher" if self.state_key is None else f"watcher {self.state_key}"
        if self.state_key is None and accessors is None:
            filters = json.dumps(self._rules()[:3])
            name += f" {blake2b(filters.encode(), digest_size=4).hexdigest()}"
        key = variable_key(self.azureml_conn_id, location.name, location.path, name)
        if accessors is not None:
            return AssetRecords(accessors, key)
        if self.asset is None:
            return VariableRecords(key)
        return VariableRecords(
            variable_key(self.azureml_conn_id, location.name, location.path, f"{name} of {self.asset}"), previous=key
        )


def _asset_of(trigger: AzureBlobChangeTrigger, frame: FrameType | None) -> str | None:
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
