"""One wait of the blob sensor. It loads on the worker, never with a DAG file."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from aml_provider.blobs.cursor import Cursor, CursorUnreadable, Difference, damaged
from aml_provider.blobs.events import changes_of
from aml_provider.blobs.folder import normalise_path
from aml_provider.blobs.folder_state import FolderState
from aml_provider.blobs.listing import poll_folder
from aml_provider.blobs.nearest import nothing_there
from aml_provider.blobs.rules import Rules
from aml_provider.client.arguments import as_name
from aml_provider.client.errors import AzureMLError, InvalidArgument
from aml_provider.connection import airflow_errors
from aml_provider.durable.handover import (
    Commit,
    CursorMoved,
    Owner,
    Replay,
    TakeOver,
    WaitFor,
    decide,
    default_cursor_key,
)
from aml_provider.durations import in_seconds
from aml_provider.hooks.blob_location import BlobLocation
from aml_provider.state.cursor_stores import cursor_store, variable_key
from aml_provider.state.task_states import owner_state, states_for
from aml_provider.stored import reading
from aml_provider.triggers.blob import AzureBlobLookTrigger
from aml_provider.worker.mapping import longest_mapping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow.providers.common.compat.sdk import Context

    from aml_provider.blobs.changes import Change, Detection
    from aml_provider.durable.handover import CursorStore
    from aml_provider.sensors.blob import AzureBlobChangeSensor


class FolderWatch:
    """Looks at a folder for one task instance: list, compare, commit.

    Args:
        me: The task instance.
        location: The folder.
        rules: Which changes are reported, and when.
        store: Where the record of the folder is.
        log: Where each look says what it saw.
        state_of: Looks up another task instance's state.
        deadline: When the wait ends, in seconds since the epoch.
        cursor_store: The author's word for where the record is, for the trigger.
    """

    def __init__(
        self,
        me: Owner,
        location: BlobLocation,
        rules: Rules,
        store: CursorStore,
        log: Any,
        state_of: Callable[[Owner], str | None],
        deadline: float,
        cursor_store: str | None = None,
    ) -> None:
        self._me = me
        self._location = location
        self._rules = rules
        self._store = store
        self._log = log
        self._state_of = state_of
        self._deadline = deadline
        self._cursor_store = cursor_store
        self._commit: Commit | None = None
        self._state: FolderState | None = None
        # Whose the stored batch is, is not settled: a trigger, which only compares, could not tell what to look for.
        self._open = True
        # The record says more than what is stored.
        self._ahead = False
        # Until then the service wants to be left alone.
        self._not_before = 0.0

    @classmethod
    def of(cls, sensor: AzureBlobChangeSensor, context: Context, deadline: float | None) -> FolderWatch:
        """Make it for a rendered sensor, whose values are checked here.

        Args:
            sensor: The sensor.
            context: Its task's.
            deadline: When the wait ends, in seconds since the epoch; None: the sensor's ``timeout`` begins now.

        Raises:
            AirflowFailException: A value cannot be used; the message names the argument.
        """
        me = Owner.of(context["ti"])
        location = BlobLocation(
            datastore=sensor.datastore,
            container_url=sensor.container_url,
            path=sensor.path,
            wasb_conn_id=sensor.wasb_conn_id,
            azureml_conn_id=sensor.azureml_conn_id,
        )
        with airflow_errors():
            # Before anything is logged or stored: a URL may hold a SAS.
            location.check()
            # All sensors without a name of their own would share the changes.
            if sensor.cursor_key is not None:
                as_name("cursor_key", sensor.cursor_key)
            rules = Rules.of(
                settle=in_seconds("settle", sensor.settle),
                ignore_empty=sensor.ignore_empty,
                pattern=sensor.pattern,
                max_changes=sensor.max_changes,
                on_first_poll=sensor.on_first_poll,
            )
        # Airflow refuses a longer result for a task that is mapped over it, when the batch is already committed.
        most = longest_mapping(sensor, me.map_index)
        if most is not None and rules.max_changes > most:
            sensor.log.info("A task is mapped over these changes: it takes %d of them at most, not max_changes.", most)
            rules = rules._replace(max_changes=most)
        key = sensor.cursor_key if sensor.cursor_key is not None else default_cursor_key(me)
        prefix = normalise_path(sensor.path)
        with airflow_errors():
            records = BlobLocation.of_cursor_store(sensor.cursor_store, sensor.azureml_conn_id)
            if records is not None and records.is_same_folder(location):
                raise _own_record(location.name, prefix)
            if deadline is None:
                deadline = time.time() + in_seconds("timeout", sensor.timeout)
        store = cursor_store(variable_key(sensor.azureml_conn_id, location.name, prefix, key), records)
        state_of = states_for(sensor, me, owner_state)
        return cls(me, location, rules, store, sensor.log, state_of, deadline, sensor.cursor_store)

    def look(self) -> list[Change] | None:
        """Look once.

        Returns:
            The changes, already committed to this task instance; None when there is nothing yet.

        Raises:
            AirflowFailException: What waiting longer cannot mend.
        """
        try:
            with airflow_errors(), self._readable():
                return self._look()
        except CursorMoved as moved:
            self._log.warning("%s. Does more than one DAG run wait for this folder? Starting over.", moved)
            self._state = None
            self._open = True
        except AzureMLError as error:
            # Permanent ones have left as AirflowFailException. The poll is void, nothing has moved: the next one sees
            # all of it.
            self._not_before = time.time() + (error.retry_after or 0.0)
            self._log.warning("This poll failed and was discarded; the sensor polls again. %s", error)
        return None

    def pause(self, interval: float) -> float:
        """Seconds until the next look: an interval, or longer if the service asked for that, within the deadline."""
        now = time.time()
        return max(interval, min(self._not_before, self._deadline) - now)

    def _look(self) -> list[Change] | None:
        cursor: Cursor | None = None
        if self._state is None:
            # Until it is settled whose the stored batch is, and a listing begun, the record is read anew each time;
            # then never again, because with a secrets backend each look-up of a Variable asks that backend first.
            self._open = True
            self._commit = self._load()
            decision = decide(self._commit, self._me, self._state_of)
            if isinstance(decision, Replay):
                return self._replay(decision)
            if isinstance(decision, WaitFor):
                self._log.info(
                    "The last changes were taken by %s, which is %s; waiting for its end.",
                    decision.owner,
                    decision.state,
                )
                return None
            if isinstance(decision, TakeOver):
                self._take_over(decision)
            else:
                self._proceed()
            cursor = self._commit.cursor() if self._commit is not None else None
        with self._location.open(self._deadline - time.time()) as (client, location):
            if self._state is None:
                # The same under another name; only now is it known where either is.
                if self._store.is_in(location.folder):
                    raise _own_record(location.folder.container_url, location.folder.prefix)
                self._state = FolderState(location.folder, self._rules, cursor)
            # A datastore can be moved while a task waits.
            self._state.folder = location.folder
            detection = client.run(poll_folder(self._state, location.access))
            warning = client.run(nothing_there(location.folder, location.access, detection))
        changes = self._take(detection)
        # Only once the first poll is stored: one that is discarded comes again, and so would the warning.
        if warning:
            self._log.warning("%s: %s", self._location.name, warning)
        return changes

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except CursorUnreadable as error:
            raise InvalidArgument(
                "cursor_key",
                f"{error}. What this folder held cannot be told any more: delete the {self._store}, and the next look "
                "starts anew (on_first_poll says how)",
            ) from error

    def _load(self) -> Commit | None:
        text = self._store.load()
        return None if text is None else Commit.decode(text)

    def _replay(self, decision: Replay) -> list[Change]:
        """Hand this task's own batch on again; writing so lets whoever is about to take it over notice."""
        assert self._commit is not None
        with reading(damaged):
            changes_of(decision.batch)
        self._log.info("This task took %d changes before; here they are again.", len(decision.batch))
        self._store.save(self._commit.again(self._me).encode())
        return decision.batch

    def _take_over(self, decision: TakeOver) -> None:
        """Go on as if the batch had not been taken; it is stored so together with what this look finds."""
        assert self._commit is not None
        self._log.warning(
            "Taking over %d changes of %s, which is %s.",
            len(decision.batch),
            decision.owner,
            decision.state or "gone",
        )
        self._commit = self._commit._replace(
            owner=self._me,
            batch=[],
            cursor_text=self._commit.cursor_without_batch().encode(),
            undo_text=Difference(Cursor(), Cursor()).encode(),
        )
        self._ahead = True

    def _proceed(self) -> None:
        """Go on after a batch that arrived; that is stored, because its owner's run may be deleted later."""
        self._open = False
        self._ahead = self._commit is not None and bool(self._commit.batch) and not self._commit.arrived
        if self._ahead:
            assert self._commit is not None
            self._commit = self._commit._replace(arrived=True)

    def _take(self, detection: Detection) -> list[Change] | None:
        """Commit what was found, in one write, and only then hand it on."""
        assert self._state is not None
        self._log.info("%s/%s: %s", self._location.name, self._state.folder.prefix, detection.counts)
        if detection.must_save or self._ahead:
            commit = Commit.of(detection, self._me, self._commit)
            self._store.save(commit.encode())
            self._commit = commit
            self._open = self._ahead = False
        self._state.accept(detection)
        return detection.changes or None

    def trigger(self, poll_interval: float, deadline: float) -> AzureBlobLookTrigger:
        """Make the trigger that goes on looking.

        Args:
            poll_interval: Seconds between two looks.
            deadline: When it stops, in seconds since the epoch.
        """
        pause = self.pause(poll_interval)
        return AzureBlobLookTrigger(
            **self._location._asdict(),
            settle=self._rules.settle,
            ignore_empty=self._rules.ignore_empty,
            pattern=None if self._rules.patterns is None else list(self._rules.patterns),
            cursor_variable=self._store.key,
            cursor_store=self._cursor_store,
            serial=self._commit.serial if self._commit is not None else 0,
            poll_interval=pause,
            deadline=deadline,
            # As long as the service asked for is waited once; the intervals after that are the author's.
            only_wait=self._open or pause > poll_interval,
        )


def _own_record(place: str, prefix: str) -> InvalidArgument:
    return InvalidArgument(
        "cursor_store",
        f"is the watched folder, {place}/{prefix}; each poll would find its own record there. Name another folder; one "
        "below it will do",
    )
