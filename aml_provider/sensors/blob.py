"""The sensor for changed blobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from airflow.providers.common.compat.sdk import PokeReturnValue, conf

from aml_provider.connection import DEFAULT_CONN_ID, airflow_errors
from aml_provider.sensors.skipping import PollingSensor, errors_logged

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta

    from airflow.providers.common.compat.sdk import Context

    from aml_provider.worker.poke_folder import FolderWatch


class AzureBlobChangeSensor(PollingSensor):
    """Wait until blobs directly in a folder were added or modified, and return them.

    Sub-folders are not looked into. What changed is found by comparing the folder's listing with what was seen before,
    not by a clock: an overwritten blob, also one overwritten within a second, or renamed into the folder with an old
    date, is a change. Each version is handed to exactly one consumer; a retried or cleared task gets its batch again.

    What was seen is kept in one Airflow Variable, or blob, for each connection, folder and ``cursor_key``. The first
    look of all only remembers what is there, unless ``on_first_poll`` is ``"report"``.

    Use it with ``max_active_runs=1``: two active runs of a DAG share the cursor, and the later one waits until it is
    known whether the other's batch arrived.

    An asset among its ``outlets`` gets an event with the changes as its ``extra``, like those of
    :class:`~aml_provider.triggers.blob.AzureBlobChangeTrigger`: ``id``, ``count`` and ``changes``, the last only where
    they fit in (512 KiB).

    Args:
        datastore: A blob datastore of the workspace; its own credential is used, or the connection's identity where it
            has none. One of this and ``container_url`` is required.
        container_url: ``https://ACCOUNT.blob.core.windows.net/CONTAINER``, without a query string.
        path: The folder in the container; empty for its root.
        pattern: A glob, or several, for the blob's name within the folder; case matters.
        wasb_conn_id: With ``container_url``: list with the rights of this connection (Airflow's own type ``wasb``: SAS,
            account key, connection string, service principal), not with the identity of ``azureml_conn_id``.
        settle: Report a blob only when it was last written so many seconds ago, by the storage service's own clock.
        ignore_empty: Wait until an empty blob is not empty any more.
        on_first_poll: ``"remember"`` or ``"report"`` what is there at the very first look.
        max_changes: The most changes in one result; the next run gets the rest. Never more than Airflow's
            ``max_map_length`` where a task is mapped over the result.
        cursor_key: Names what was seen; default: the DAG, task and map index. Two sensors with one key share the
            changes between them.
        cursor_store: Where what was seen is kept: ``"STORE/FOLDER"``, a blob datastore of the workspace and a folder in
            it, or None for Airflow's Variables. Blobs are compared and swapped, so several active runs cannot both
            take one batch.
        poke_interval: Seconds between two looks.
        deferrable: Look from the triggerer; the worker is needed only when there is something to decide.
        azureml_conn_id: The connection.

    Returns:
        The changes, each a mapping with ``datastore``, ``container_url``, ``path``, ``name``, ``etag``,
        ``last_modified`` (ISO 8601, UTC), ``size`` and ``change`` (``added`` or ``modified``); it works as a data path
        of :class:`~aml_provider.operators.pipeline.AzureMLRunPipelineOperator` as it is.

    Raises:
        AirflowFailException: A bad argument, a missing right or container, a damaged cursor.
    """

    template_fields: Sequence[str] = (
        "datastore",
        "container_url",
        "path",
        "pattern",
        "wasb_conn_id",
        "cursor_key",
        "cursor_store",
        "azureml_conn_id",
    )
    ui_color = "#e3f4e0"

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
        on_first_poll: Literal["remember", "report"] = "remember",
        max_changes: int = 1000,
        cursor_key: str | None = None,
        cursor_store: str | None = None,
        poke_interval: float | timedelta = 60.0,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        azureml_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(poke_interval=poke_interval, **kwargs)
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
        self.deferrable = deferrable
        self.azureml_conn_id = azureml_conn_id
        self._watch: tuple[Context, FolderWatch] | None = None
        self._deadline: float | None = None
        self._ahead = 0.0
        from aml_provider.parsing.sensors import check_blob_sensor

        check_blob_sensor(self)

    @errors_logged
    def poke(self, context: Context) -> PokeReturnValue:
        """Look once; in deferrable mode go on looking from the triggerer when there is nothing yet.

        Deferring from here leaves everything around a look to Airflow's own sensor, so that ``soft_fail`` and its kin
        mean the same in all modes.
        """
        from aml_provider.worker.poke_folder import FolderWatch

        # One for each wait.
        if self._watch is None or self._watch[0] is not context:
            self._watch = (context, FolderWatch.of(self, context, self._deadline))
        watch = self._watch[1]
        changes = watch.look()
        if changes is None and self.deferrable:
            self._defer(watch)
        if changes is not None and self.outlets:
            from aml_provider.worker.outlets import announce

            announce(changes, self.outlets, context, self.log)
        return PokeReturnValue(is_done=changes is not None, xcom_value=changes)

    def _get_next_poke_interval(self, *args: Any, **kwargs: Any) -> float:
        """Airflow's own answer, which knows nothing of a service that wants to be left alone for longer."""
        interval: float = super()._get_next_poke_interval(*args, **kwargs)
        return interval if self._watch is None else self._watch[1].pause(interval)

    def _defer(self, watch: FolderWatch) -> None:
        from aml_provider.deadlines import deferral_timeout
        from aml_provider.durations import in_seconds
        from aml_provider.worker.deadlines import deadline_of

        deadline = deadline_of(self, self._deadline)
        with airflow_errors():
            interval = in_seconds("poke_interval", self.poke_interval, minimum=0.1)
        self.defer(
            trigger=watch.trigger(interval, deadline + self._ahead),
            method_name="execute_complete",
            kwargs={"deadline": deadline},
            timeout=deferral_timeout(deadline),
        )

    def execute_complete(
        self, context: Context, event: Mapping[str, Any] | None = None, deadline: float | None = None
    ) -> Any:
        """Look again: the trigger only says that it is worth a look; deciding and committing happens on a worker."""
        from aml_provider.deadlines import clock_ahead

        # dag.test() loses what defer() was given. The event has the trigger's deadline, which is by its own clock.
        self._deadline = deadline if deadline is not None else (event or {}).get("deadline")
        self._ahead = clock_ahead(event)
        return self.execute_again(context)
