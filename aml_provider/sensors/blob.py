"""The sensor for changed blobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aml_provider.compat import conf
from aml_provider.connection import DEFAULT_CONN_ID
from aml_provider.sensors.polling import PollingSensor

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from airflow.providers.openlineage.extractors import OperatorLineage

    from aml_provider.blobs.change import Change
    from aml_provider.blobs.rules import OnFirstPoll
    from aml_provider.compat import Context, XComArg
    from aml_provider.worker.poke_folder import FolderPoke


class AzureBlobChangeSensor(PollingSensor):
    """Wait until blobs directly in a folder were added or modified, and return them.

    Sub-folders are ignored. The sensor compares the folder's listing with the versions that it already knows, and not
    with a clock. So it notices a blob that is overwritten, even within the same second, or renamed into the folder with
    an old date. Each version is returned to exactly one consumer; a retried or cleared task gets its batch again.

    The known versions are the sensor's *cursor*: one Airflow Variable, or one blob, for each connection, folder and
    ``cursor_key``. The very first poll only remembers the blobs that are there, unless ``on_first_poll`` is
    ``"report"``.

    Use the sensor with ``max_active_runs=1``: two active runs of a DAG share the cursor, and the later run waits until
    it is known whether the batch of the other run arrived.

    An asset among its ``outlets`` gets an event with the changes as its ``extra``, like the events of
    :class:`~aml_provider.triggers.blob.AzureBlobChangeTrigger`: ``id``, ``count`` and, if they fit into 512 KiB,
    ``changes``.

    Args:
        datastore: A blob datastore of the workspace. The sensor uses its credential, or the connection's identity if
            the datastore has none. Either this or ``container_url`` is required.
        container_url: ``https://ACCOUNT.blob.core.windows.net/CONTAINER``, without a query string.
        path: The folder in the container; empty for its root.
        pattern: One or several globs for the blob's name within the folder; case-sensitive.
        wasb_conn_id: With ``container_url``: list with the credential of this connection (Airflow's own type ``wasb``:
            SAS, account key, connection string, service principal), not with the identity of ``azureml_conn_id``.
        settle: Return a blob only when it was last written at least this long ago, by the storage service's own clock;
            seconds or a timedelta.
        ignore_empty: Wait until an empty blob has content.
        on_first_poll: ``"remember"`` or ``"report"`` the blobs that the very first poll finds.
        max_changes: The most changes in one result; the next DAG run gets the rest. If a task is mapped over the
            result, the result is never longer than Airflow's ``max_map_length``.
        cursor_key: Names the cursor; default: the DAG, task and map index. Two sensors with the same key on one folder
            have the same cursor: each change goes to only one of the two.
        cursor_store: The place of the cursor: ``"STORE/FOLDER"``, a blob datastore of the workspace and a
            folder in it, or None for Airflow's Variables. A blob is replaced only if it has not changed, so that two
            active DAG runs cannot both take one batch.
        wake_queue: A storage queue to which Event Grid writes the blob events of the account: its address
            ``https://ACCOUNT.queue.core.windows.net/QUEUE``, or its name in the folder's own account. A poll then reads
            the queue, and lists the folder only if an event concerns it. Nothing is reported from an event alone. None:
            each poll lists.
        resync: With ``wake_queue``: the most seconds between two listings, whatever the queue holds; seconds or a
            timedelta.
        poke_interval: Seconds between two polls.
        deferrable: Poll in the triggerer; a worker is needed only when there is something to decide.
        azureml_conn_id: The connection.

    Returns:
        The changes, each a mapping with ``datastore``, ``container_url``, ``path``, ``name``, ``etag``,
        ``last_modified`` (ISO 8601, UTC), ``size`` and ``change`` (``added`` or ``modified``). A change can be used
        without modification as a data path of :class:`~aml_provider.operators.pipeline.AzureMLRunPipelineOperator`.

    Raises:
        AirflowFailException: A bad argument, a missing permission or container, a damaged cursor.
    """

    template_fields: Sequence[str] = (
        "datastore",
        "container_url",
        "path",
        "pattern",
        "wasb_conn_id",
        "cursor_key",
        "cursor_store",
        "wake_queue",
        "azureml_conn_id",
    )
    ui_color = "#e3f4e0"

    def __init__(
        self,
        *,
        datastore: str | XComArg | None = None,
        container_url: str | XComArg | None = None,
        path: str | XComArg = "",
        pattern: str | Sequence[str] | XComArg | None = None,
        wasb_conn_id: str | XComArg | None = None,
        settle: float | timedelta = 0.0,
        ignore_empty: bool = True,
        on_first_poll: OnFirstPoll = "remember",
        max_changes: int = 1000,
        cursor_key: str | XComArg | None = None,
        cursor_store: str | XComArg | None = None,
        wake_queue: str | XComArg | None = None,
        resync: float | timedelta = 3600.0,
        poke_interval: float | timedelta = 60.0,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        azureml_conn_id: str | XComArg = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(poke_interval=poke_interval, deferrable=deferrable, azureml_conn_id=azureml_conn_id, **kwargs)
        self.datastore = datastore
        self.container_url = container_url
        self.path = path
        self.pattern = pattern
        self.wasb_conn_id = wasb_conn_id
        self.settle = settle
        self.ignore_empty = ignore_empty
        self.on_first_poll = on_first_poll
        self.max_changes = max_changes
        self.cursor_key = cursor_key
        self.cursor_store = cursor_store
        self.wake_queue = wake_queue
        self.resync = resync
        self._found: list[Change] | None = None
        self._poke: FolderPoke | None = None
        from aml_provider.parsing.sensors import check_blob_sensor

        check_blob_sensor(self)

    def _new_wait(self, context: Context, deadline: float) -> FolderPoke:
        from aml_provider.worker.poke_folder import FolderArguments, FolderPoke

        self._poke = FolderPoke.of(FolderArguments.of(self), self, context, deadline)
        return self._poke

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any]:  # noqa: ARG002 - OpenLineage's signature
        """The changed blobs, as the sensor's inputs; OpenLineage calls this if it is installed."""
        from aml_provider.worker.lineage.changes import at_end

        return at_end(self, self._found, None if self._poke is None else self._poke.place)

    def _announce(self, result: list[Change], context: Context) -> None:
        self._found = result
        if self.outlets:
            from aml_provider.worker.outlets import announce

            announce(result, self.outlets, context, self.log)
