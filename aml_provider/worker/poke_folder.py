"""The polls of the blob sensor on a worker. Loaded on the worker only."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from aml_provider import metrics
from aml_provider.blobs.cursor import Cursor, undone
from aml_provider.blobs.events import changes_of
from aml_provider.blobs.folder import normalise_path
from aml_provider.blobs.folder_state import FolderState
from aml_provider.blobs.listing import poll_folder
from aml_provider.blobs.nearest import nothing_there
from aml_provider.blobs.rules import Rules
from aml_provider.blobs.wake_state import NOT_LISTED, WakeState, because
from aml_provider.client.arguments import as_name
from aml_provider.client.errors import InvalidArgument
from aml_provider.client.help import PATTERN_CHANGED, text_of
from aml_provider.compat import conf
from aml_provider.connection import airflow_errors
from aml_provider.durable.handover import Handover, Owner, default_cursor_key
from aml_provider.durations import in_seconds
from aml_provider.hooks.blob_location import BlobLocation
from aml_provider.hooks.waking import Waking
from aml_provider.state.cursor_stores import cursor_store, variable_key, wake_slot
from aml_provider.state.other_tasks import owner_state, states_for
from aml_provider.state.slots import short_hash
from aml_provider.stored import damaged, parse, reading
from aml_provider.triggers.blob import AzureBlobLookTrigger
from aml_provider.worker.poke import HandoverPoke

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from aml_provider.blobs.change import Change, Detection
    from aml_provider.blobs.wake_reader import WakeReader
    from aml_provider.client.entities import Datastore
    from aml_provider.client.settings import WorkspaceSettings
    from aml_provider.compat import BaseOperator, Context
    from aml_provider.stored import Slot


class FolderArguments(NamedTuple):
    """The rendered arguments of the blob sensor, as its class documents them."""

    datastore: str | None
    container_url: str | None
    path: str
    pattern: str | Sequence[str] | None
    wasb_conn_id: str | None
    settle: float | timedelta
    ignore_empty: bool
    on_first_poll: str
    max_changes: int
    cursor_key: str | None
    cursor_store: str | None
    wake_queue: str | None
    resync: float | timedelta
    azureml_conn_id: str

    @classmethod
    def of(cls, sensor: object) -> FolderArguments:
        """Read the arguments from a sensor's attributes, after rendering."""
        return cls(*(getattr(sensor, name) for name in cls._fields))


class FolderPoke(HandoverPoke["list[Change]"]):
    """Polls a folder for one wait of a task instance: list, compare, commit.

    Args:
        handover: Passes each change to one task instance.
        location: The folder.
        rules: Which changes are reported, and when.
        log: The task's log.
        deadline: The instant at which the wait ends, in seconds since the epoch.
        cursor_store: The argument of the sensor, for the trigger.
        waking: When a poll lists the folder; None: each poll does.
        wake_slot: Where the state of the wake queue's reader is stored between two processes; None: nowhere.

    Attributes:
        place: The workspace and the datastore, for lineage; None before the first poll, and for ``container_url``.
    """

    _watched = "folder"
    _argument = "cursor_key"

    def __init__(
        self,
        handover: Handover,
        location: BlobLocation,
        rules: Rules,
        log: Any,
        deadline: float,
        cursor_store: str | None = None,
        waking: Waking | None = None,
        wake_slot: Slot | None = None,
    ) -> None:
        super().__init__(handover, location.azureml_conn_id, log, deadline)
        self._waking = waking
        self._wake_slot = wake_slot
        self._reader: WakeReader | None = None
        self._location = location
        self._rules = rules
        self._cursor_store = cursor_store
        self._state: FolderState | None = None
        self.place: tuple[WorkspaceSettings, Datastore] | None = None

    @classmethod
    def of(cls, arguments: FolderArguments, task: BaseOperator, context: Context, deadline: float) -> FolderPoke:
        """Check the rendered arguments, and prepare a wait.

        Raises:
            AirflowFailException: A value cannot be used; the message names the argument.
        """
        me = Owner.of(context["ti"])
        location = BlobLocation(
            datastore=arguments.datastore,
            container_url=arguments.container_url,
            path=arguments.path,
            wasb_conn_id=arguments.wasb_conn_id,
            azureml_conn_id=arguments.azureml_conn_id,
        )
        with airflow_errors():
            # Before anything is logged or stored: a URL may hold a SAS.
            location.check()
            # With a blank key, all sensors without a key of their own would share the changes.
            if arguments.cursor_key is not None:
                as_name("cursor_key", arguments.cursor_key)
            rules = Rules.of(
                settle=in_seconds("settle", arguments.settle),
                ignore_empty=arguments.ignore_empty,
                pattern=arguments.pattern,
                max_changes=arguments.max_changes,
                on_first_poll=arguments.on_first_poll,
            )
            waking = Waking.of(arguments.wake_queue, arguments.resync)
        # Airflow refuses a longer result for a task that is mapped over it, after the batch was committed.
        most = _longest_result(task, me.map_index)
        if most is not None and rules.max_changes > most:
            task.log.info("A task is mapped over these changes: it takes at most %d of them, not max_changes.", most)
            rules = rules._replace(max_changes=most)
        key = arguments.cursor_key if arguments.cursor_key is not None else default_cursor_key(me)
        prefix = normalise_path(arguments.path)
        with airflow_errors():
            records = BlobLocation.of_cursor_store(arguments.cursor_store, arguments.azureml_conn_id)
            if records is not None and records.is_same_folder(location):
                raise _own_record(location.name, prefix)
        store = cursor_store(variable_key(arguments.azureml_conn_id, location.name, prefix, key), records)
        handover = Handover(me, store, states_for(task, me, owner_state), undone, _wanted(rules))
        # Only there each poll is a process of its own.
        slot = wake_slot(store.key) if waking is not None and getattr(task, "reschedule", False) else None
        return cls(handover, location, rules, task.log, deadline, arguments.cursor_store, waking, slot)

    def _begin(self) -> None:
        self._state = self._reader = None

    def _take(self) -> list[Change] | None:
        with self._location.open(self.deadline - time.time()) as (client, location):
            if self._state is None:
                # This folder and that of the cursor may be the same under two names. Only now both addresses are known.
                if self._handover.store.is_in(location.folder):
                    raise _own_record(location.folder.container_url, location.folder.prefix)
                text = self._handover.cursor_text
                cursor = None if text is None else Cursor.decode(text)
                self._state = FolderState(location.folder, self._rules, cursor, before=self._patterns_before())
                if self._waking is not None:
                    self._reader = self._waking.reader(self._rules.patterns, self._log.log, self._wake_state())
            # A datastore can be moved while a task waits.
            self._state.folder = location.folder
            self.place = None if location.store is None else (client.settings, location.store)
            reason = None
            if self._reader is not None:
                if self._handover.is_ahead:
                    # What was decided about the last batch is stored together with what a listing finds.
                    self._reader.forget()
                reason = client.run(self._reader.ask(location))
                if reason is None:
                    metrics.saved(self._location.azureml_conn_id)
                    self._log_poll(f"{self._name}: {NOT_LISTED}")
                    return None
            began = time.monotonic()
            detection = client.run(poll_folder(self._state, location.access))
            metrics.listed(detection.counts.listed, time.monotonic() - began, self._location.azureml_conn_id)
            warning = client.run(nothing_there(location.folder, location.access, detection))
        changes = self._commit(detection, reason)
        # Only after the first poll is stored: a poll that is discarded is repeated, and would repeat the warning.
        if warning:
            self._log.warning("%s: %s", self._location.name, warning)
        return changes

    def _commit(self, detection: Detection, reason: str | None) -> list[Change] | None:
        """Commit what was found, in one write; only then may the changes be returned."""
        assert self._state is not None
        self._log_poll(f"{self._name}: {detection.counts}{because(reason)}")
        if detection.counts.passed_over:
            self._warn_of_pattern(detection.counts.passed_over)
        if detection.must_save or self._handover.is_ahead:
            self._handover.commit(detection.changes, detection.cursor.encode(), detection.undo.encode())
        self._state.accept(detection)
        self._metrics.delivered(len(detection.changes))
        if self._reader is not None:
            self._reader.listed(waits=detection.waits)
            # With changes the wait is over.
            if self._wake_slot is not None and not detection.changes:
                self._store_wake_state(self._wake_slot, self._reader.state)
        return detection.changes or None

    def _store_wake_state(self, slot: Slot, state: WakeState) -> None:
        try:
            slot.save(json.dumps({**self._wake_facts(), "state": state.to_json()}))
        except Exception as error:  # noqa: BLE001 - what is lost costs a listing, and must not cost a try
            # Another process with the same cursor may have written at the same time.
            self._log.warning(
                "What this poll knows of its wake queue could not be stored; the next poll may list the folder. %s",
                text_of(error),
            )

    def _wake_state(self) -> WakeState | None:
        """What an earlier process of this wait knew; None if this process has to list first."""
        text = None if self._wake_slot is None else self._wake_slot.load()
        try:
            stored = {} if text is None else parse(text)
        except ValueError:
            return None
        facts = self._wake_facts()
        # Another record, or other rules, need a listing of their own.
        if not isinstance(stored, dict) or any(stored.get(name) != value for name, value in facts.items()):
            return None
        return WakeState.from_json(stored.get("state"))

    def _wake_facts(self) -> dict[str, Any]:
        rules = [self._rules.settle, self._rules.ignore_empty, self._rules.patterns, self._waking]
        return {"serial": self._handover.serial, "rules": short_hash(rules)}

    @property
    def _name(self) -> str:
        assert self._state is not None
        return f"{self._location.name}/{self._state.folder.prefix}"

    def _patterns_before(self) -> list[str] | None:
        """The patterns with which the cursor was written; None if they are the same, unknown, or matched everything."""
        before = self._handover.wanted_before
        if before is None or before == _wanted(self._rules):
            return None
        with reading(damaged):
            patterns = parse(before)["pattern"]
            return None if patterns is None else [str(pattern) for pattern in patterns]

    def _warn_of_pattern(self, passed_over: int) -> None:
        before = self._patterns_before() or []
        blobs = (
            "1 blob of the folder matches" if passed_over == 1 else f"Each of {passed_over} blobs of the folder matches"
        )
        self._log.warning(
            "The pattern has changed from %s to %s, and the cursor is the same. %s the new pattern and not the old "
            "one, so it may never have been reported, and it will not be: this cursor counts it as seen. To process "
            "such blobs, give this pattern a cursor of its own: another cursor_key, on_first_poll='report'. Help: %s",
            " or ".join(map(repr, before)),
            " or ".join(map(repr, self._rules.patterns or ["*"])),
            blobs,
            PATTERN_CHANGED,
        )

    @property
    def purpose(self) -> str:
        """The folder, what counts as a change, and the place of the cursor."""
        location = self._location
        address = f" ({self._state.folder.container_url})" if self._state and location.datastore else ""
        prefix = normalise_path(location.path)
        woken = "" if self._waking is None else f" Listed after events in the wake queue {self._waking}."
        return (
            f"new or modified blobs directly in {location.name}/{prefix}{address}; {self._rules.describe()}.{woken} "
            f"Cursor: {self._handover.store}"
        )

    def _result(self, batch: list[Any]) -> list[Change]:
        changes_of(batch)
        return batch

    def _named(self, batch: list[Any]) -> str:
        return "1 change" if len(batch) == 1 else f"{len(batch)} changes"

    def trigger(self, poll_interval: float, deadline: float) -> AzureBlobLookTrigger:
        """The trigger that continues to poll."""
        pause = self.pause(poll_interval)
        return AzureBlobLookTrigger(
            **self._location._asdict(),
            settle=self._rules.settle,
            ignore_empty=self._rules.ignore_empty,
            pattern=None if self._rules.patterns is None else list(self._rules.patterns),
            cursor_variable=self._handover.store.key,
            cursor_store=self._cursor_store,
            wake_queue=None if self._waking is None else self._waking.wake_queue,
            resync=3600.0 if self._waking is None else self._waking.resync,
            wake_state=None if self._reader is None else self._reader.state.to_json(),
            serial=self._handover.serial,
            poll_interval=pause,
            deadline=deadline,
            # The pause that the service asked for is made once; the intervals after it are the author's.
            only_wait=self._handover.is_open or pause > poll_interval,
        )


def _wanted(rules: Rules) -> str:
    """What is stored with the cursor: a later poll with another pattern has to notice it."""
    return json.dumps({"pattern": None if rules.patterns is None else list(rules.patterns)})


def _longest_result(task: BaseOperator, map_index: int) -> int | None:
    """The most items that Airflow accepts in a task instance's result; None where no task is mapped over the result."""
    # An instance of a mapped task may return any number of items: a task that is mapped over the results has one
    # instance for each result, not for each item.
    if map_index >= 0 or not task.has_dag() or next(task.iter_mapped_dependants(), None) is None:
        return None
    most: int = conf.getint("core", "max_map_length", fallback=1024)
    return most


def _own_record(place: str, prefix: str) -> InvalidArgument:
    return InvalidArgument(
        "cursor_store",
        f"is the watched folder, {place}/{prefix}; each poll would find its own cursor record there. Name another "
        "folder; one below it is fine",
    )
