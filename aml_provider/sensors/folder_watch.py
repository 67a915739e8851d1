"""One wait of the blob sensor. It loads on the worker, never with a DAG file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from aml_provider.blobs.access import poll_folder
from aml_provider.blobs.changes import FolderState
from aml_provider.blobs.cursor import CursorUnreadable
from aml_provider.blobs.folder import normalise_path
from aml_provider.blobs.rules import Rules
from aml_provider.client.errors import AzureMLError, InvalidArgument
from aml_provider.connection import airflow_errors
from aml_provider.durations import in_seconds
from aml_provider.hooks.blob_location import BlobLocation
from aml_provider.sensors.patience import time_left
from aml_provider.state.cursor import (
    Commit,
    CursorMoved,
    Owner,
    Replay,
    TakeOver,
    VariableCursorStore,
    WaitFor,
    decide,
    default_cursor_key,
    variable_key,
)
from aml_provider.state.instances import owner_state
from aml_provider.triggers.blob import AzureBlobLookTrigger

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from aml_provider.blobs.changes import Change, Detection
    from aml_provider.sensors.blob import AzureBlobChangeSensor


class FolderWatch:
    """Looks at a folder for one task instance: list, compare, commit.

    Args:
        sensor: The sensor, rendered.
        context: Airflow's context.
    """

    def __init__(self, sensor: AzureBlobChangeSensor, context: Context) -> None:
        self._sensor = sensor
        self._context = context
        ti: Any = context["ti"]
        self._log = sensor.log
        self._me = Owner(
            dag_id=ti.dag_id,
            run_id=ti.run_id,
            task_id=ti.task_id,
            map_index=-1 if ti.map_index is None else ti.map_index,
            generation=ti.max_tries or 0,
        )
        self._location = BlobLocation(
            datastore=sensor.datastore,
            container_url=sensor.container_url,
            path=sensor.path,
            wasb_conn_id=sensor.wasb_conn_id,
            azureml_conn_id=sensor.azureml_conn_id,
        )
        with airflow_errors():
            prefix = normalise_path(sensor.path)
            self._rules = Rules.of(
                settle=in_seconds("settle", sensor.settle),
                ignore_empty=sensor.ignore_empty,
                pattern=sensor.pattern,
                max_changes=sensor.max_changes,
                on_first_poll=sensor.on_first_poll,
            )
        key = sensor.cursor_key if sensor.cursor_key is not None else default_cursor_key(self._me)
        self._store = VariableCursorStore(variable_key(sensor.azureml_conn_id, self._location.name, prefix, key))
        self._commit: Commit | None = None
        self._loaded = False
        self._state: FolderState | None = None
        self._waiting_for: Owner | None = None

    def look(self) -> list[Change] | None:
        """Look once.

        Returns:
            The changes, already committed to this task instance; None when there is nothing yet.

        Raises:
            AirflowFailException: What waiting longer cannot mend.
        """
        try:
            with airflow_errors():
                return self._look()
        except CursorMoved as moved:
            self._log.warning("%s. Does more than one DAG run wait for this folder? Starting over.", moved)
            self._loaded = False
            self._state = None
        except AzureMLError as error:
            # Permanent ones have left as AirflowFailException. The poll is void, nothing has moved: the next one sees
            # all of it.
            self._log.warning("This look failed and counts for nothing; the next one is in a while. %s", error)
        return None

    def _look(self) -> list[Change] | None:
        self._load()
        # Whose batch it is can change while this task waits, so it is asked each time until it is settled.
        if self._state is None:
            decision = decide(self._commit, self._me, owner_state)
            self._waiting_for = None
            if isinstance(decision, Replay) and len(decision.batch) > self._rules.max_changes:
                # It was too long for whoever takes it: Airflow refuses a result that maps to too many tasks.
                decision = TakeOver(decision.batch, self._me, "to be handed over in smaller parts")
            if isinstance(decision, Replay):
                self._log.info("This task took %d changes before; here they are again.", len(decision.batch))
                assert self._commit is not None
                self._store.save(self._commit.again(self._me).encode())
                return decision.batch
            if isinstance(decision, WaitFor):
                self._waiting_for = decision.owner
                self._loaded = False
                self._log.info(
                    "The last %d changes were taken by %s, which is %s; waiting for its end.",
                    len(self._commit.batch) if self._commit else 0,
                    decision.owner,
                    decision.state,
                )
                return None
        else:
            decision = None
        with self._location.open() as (client, location):
            if self._state is None:
                cursor = None
                if self._commit is not None:
                    if isinstance(decision, TakeOver):
                        self._log.warning(
                            "Taking over %d changes of %s, which is %s.",
                            len(decision.batch),
                            decision.owner,
                            decision.state or "gone",
                        )
                        cursor = self._commit.cursor_without_batch()
                    else:
                        cursor = self._commit.cursor()
                self._state = FolderState(location.folder, self._rules, cursor)
            detection = client.run(
                poll_folder(self._state, location.access, location.access.signature(location.folder.container_url))
            )
        return self._take(detection)

    def _take(self, detection: Detection) -> list[Change] | None:
        """Commit what was found, in one write, and only then hand it on."""
        assert self._state is not None
        self._log.info("%s/%s: %s", self._location.name, self._state.folder.prefix, detection.counts)
        if detection.must_save:
            commit = Commit.of(detection, self._me, self._commit)
            self._store.save(commit.encode())
            self._commit = commit
        self._state.accept(detection)
        return detection.changes or None

    def _load(self) -> None:
        """Read the record once for each wait: with a secrets backend every look-up of a Variable asks that first."""
        if not self._loaded:
            text = self._store.load()
            try:
                self._commit = None if text is None else Commit.decode(text)
            except CursorUnreadable as error:
                raise InvalidArgument(
                    "cursor_key",
                    f"{error}. What this folder held cannot be told any more: delete the Variable {self._store.key} "
                    "and the next look starts anew (on_first_poll says how)",
                ) from error
            self._loaded = True

    def defer(self) -> NoReturn:
        """Go on looking from the triggerer."""
        sensor = self._sensor
        interval = in_seconds("poke_interval", sensor.poke_interval, minimum=0.1)
        sensor.defer(
            trigger=AzureBlobLookTrigger(
                **self._location._asdict(),
                settle=self._rules.settle,
                ignore_empty=self._rules.ignore_empty,
                pattern=None if self._rules.patterns is None else list(self._rules.patterns),
                cursor_variable=self._store.key,
                poll_interval=interval,
                only_wait=self._waiting_for is not None,
            ),
            method_name="execute_complete",
            timeout=time_left(sensor, self._context),
        )
        raise AssertionError  # defer() never returns
