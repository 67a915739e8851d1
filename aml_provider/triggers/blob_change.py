"""The trigger that turns changed blobs into asset events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aml_provider.client.errors import InvalidArgument
from aml_provider.connection import DEFAULT_CONN_ID
from aml_provider.triggers.asset_watcher import AssetWatcherTrigger

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from aml_provider.blobs.rules import OnFirstPoll, Rules
    from aml_provider.hooks.blob_location import BlobLocation, FolderKey
    from aml_provider.hooks.waking import Waking
    from aml_provider.watching.outbox import Event

# The most changes that a watcher takes from one poll, to bound its memory; the rest follows within seconds.
_MOST_CHANGES = 5000


class AzureBlobChangeTrigger(AssetWatcherTrigger):
    """Watch a folder of blobs for an asset, and fire when blobs directly in it were added or modified.

    Use it in an :class:`~airflow.sdk.AssetWatcher`, on Airflow 3.0.5 or later. It reports the same changes as
    :class:`~aml_provider.sensors.blob.AzureBlobChangeSensor`. Its arguments are not templates.

    The payload of an event, ``event.extra["payload"]`` of the asset event, is a mapping with ``id`` and ``changes``, a
    list as the sensor returns it. Changes of one poll are split into events of at most 512 KiB. After a crash, an event
    can be fired twice, with the same ``id``, which follows from its blob versions. No event is lost.

    The watcher record is stored in the asset's state store, or on Airflow 3.0 to 3.2 in a Variable. Since Airflow 3.3,
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
        wake_queue: A storage queue to which Event Grid writes the blob events of the account: its address
            ``https://ACCOUNT.queue.core.windows.net/QUEUE``, or its name in the folder's own account. A poll then reads
            the queue, and lists the folder only if an event concerns it. Nothing is reported from an event alone.
        resync: With ``wake_queue``: the most seconds between two listings, whatever the queue holds.
        state_key: Names the watcher record. Two watchers of one asset on one folder need different keys.
        azureml_conn_id: The connection.
        asset: The watched asset. DAG authors do not set it; this class finds it when a DAG file is read.

    Raises:
        UnsupportedAirflow: Airflow is older than 3.0.
        InvalidArgument: Neither or both of ``datastore`` and ``container_url`` are given.
    """

    _path = "aml_provider.triggers.blob.AzureBlobChangeTrigger"
    _stream_module = "aml_provider.triggerer.folder_stream"
    _instead = "AzureBlobChangeSensor"
    _seen = "blobs"

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
        wake_queue: str | None = None,
        resync: float | timedelta = 3600.0,
        asset: str | None = None,
    ) -> None:
        self.check_airflow()
        if (datastore is None) == (container_url is None):
            both = "both" if datastore is not None else "neither"
            raise InvalidArgument(type(self).__name__, f"needs either datastore or container_url; it was given {both}")
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
        self.wake_queue = wake_queue
        self.resync = resync
        self.azureml_conn_id = azureml_conn_id
        self.asset = asset

    def _arguments(self) -> dict[str, Any]:
        location = self._location()
        location.check()
        rules = self._rules()
        waking = self._waking()
        return {
            **location._asdict(),
            "settle": rules.settle,
            "ignore_empty": rules.ignore_empty,
            "pattern": None if rules.patterns is None else list(rules.patterns),
            "on_first_poll": self.on_first_poll,
            "wake_queue": self.wake_queue,
            "resync": 3600.0 if waking is None else waking.resync,
        }

    def _location(self) -> BlobLocation:
        from aml_provider.hooks.blob_location import BlobLocation

        return BlobLocation(self.datastore, self.container_url, self.path, self.wasb_conn_id, self.azureml_conn_id)

    def _waking(self) -> Waking | None:
        from aml_provider.hooks.waking import Waking

        return Waking.of(self.wake_queue, self.resync)

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
        place = location._replace(path=normalise_path(self.path))
        return FolderKey(place, self.ignore_empty, interval, self._waking())

    def _place(self) -> tuple[str, str]:
        location = self._key().location
        return location.name, location.path

    def _filters(self) -> Any:
        return self._rules()[:3]

    @staticmethod
    def _read_event(stored: Any) -> Event:
        from aml_provider.blobs.events import read_change_event

        return read_change_event(stored)

    @staticmethod
    def _summary(event: Event) -> str:
        return f"{len(event['changes'])} changes"

    @staticmethod
    def _changes(event: Event) -> int:
        return len(event["changes"])
