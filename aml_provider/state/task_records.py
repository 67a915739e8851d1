"""Stores of the submission record of a task instance, in Airflow's own metadata database."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from aml_provider.client.help import text_of
from aml_provider.compat import is_tasks_test
from aml_provider.durable.record import SubmissionRecord, SubmissionStore
from aml_provider.state import variables
from aml_provider.state.slots import TaskStateSlot, VariableSlot, short_hash
from aml_provider.stored import StoredRecordDamaged, made, overridden, parse, reading

if TYPE_CHECKING:
    from collections.abc import Callable

    from aml_provider.compat import Context

log = logging.getLogger(__name__)

_STORE_KEY = "azureml_submission"
# A submission record has about 700 characters, and up to 2,000 more until its task has ended.
_DAG_RUNS_KEPT = 16
# Attempts to write to the archive: another DAG run of the task may end, and write, at the same moment.
_MERGES = 3


class TaskStateSubmissionStore:
    """Keeps the record in Airflow's task state store (3.3 and later), where it survives retries and clears.

    Args:
        store: Airflow's task state store.
        earlier: Where an Airflow without a task state store kept the record: it may have been upgraded since an earlier
            try. None: there was no earlier try.
    """

    def __init__(self, store: Any, earlier: VariableSubmissionStore | None = None) -> None:
        self._slot = TaskStateSlot(store, _STORE_KEY)
        self._earlier = earlier

    def load(self) -> SubmissionRecord | None:
        """Read the record; one of an earlier Airflow moves into the task state store."""
        record = _decode(self._slot.load(), f"the {self._slot}")
        if record is None and self._earlier is not None:
            record = self._earlier.load_unended()
            if record is not None:
                self.save(record)
                self._earlier.forget()
        return record

    def save(self, record: SubmissionRecord) -> None:
        """Replace the record."""
        self._slot.save(json.dumps(record._asdict()))

    def close(self, record: SubmissionRecord) -> None:
        """Store the record as finished. It is not deleted, so that a clear can be distinguished from a retry."""
        self.save(record._replace(finished=True))


class VariableSubmissionStore:
    """Keeps the record in an Airflow Variable, for versions without a task state store.

    When the task ends, its record moves into the archive, a Variable with the records of the task's last DAG runs. The
    record is still needed if Airflow crashes before it stores the end of the task, and then retries the task, or if a
    person clears the task while its run is still active.

    Args:
        key: The Variable of this task instance.
        archive: The Variable for the ended instances of the task, or of one map index of it.
        run_id: The DAG run.
        try_number: The number of this try. It grows with every retry and clear, and starts again at 1 if a DAG run is
            deleted and created again.
        is_test: Whether a person tests the task (``airflow tasks test``). A test has the number of the last try.
    """

    def __init__(self, key: str, archive: str, run_id: str, try_number: int, *, is_test: bool = False) -> None:
        self._slot = VariableSlot(key, "Azure ML: a submission of a task that has not ended")
        self._archive = archive
        self._run_id = run_id
        self._try_number = try_number
        self._is_test = is_test

    def load_unended(self) -> SubmissionRecord | None:
        """Read the record of a task that has not ended."""
        return _decode(self._slot.load(), f"the {self._slot}")

    def load(self) -> SubmissionRecord | None:
        """Read the record; if the task has ended, from the archive."""
        record = self.load_unended()
        if record is not None:
            return record
        ended = self._ended()
        if self._run_id not in ended:
            return None
        try_number, fields = ended[self._run_id]
        if self._try_number > try_number or self._is_test:
            return _decode(fields, f"the Variable {self._archive}")
        # It belongs to a deleted DAG run of the same name; later tries of this one must not take it for their own.
        del ended[self._run_id]
        self._write(ended)
        return None

    def save(self, record: SubmissionRecord) -> None:
        """Replace the record.

        Raises:
            RuntimeError: The record cannot be read back, so no submission may follow.
        """
        self._slot.save(json.dumps(record._asdict()))

    def close(self, record: SubmissionRecord) -> None:
        """Move the record to the archive; the Variable is deleted only when the archive has the record."""
        finished = record._replace(finished=True)
        entry = (self._try_number, finished._asdict())
        # If that fails, the record stays where it is: the task has ended, and must not fail because of the archive.
        problem: Exception = overridden(self._archive)
        try:
            for _ in range(_MERGES):
                ended = self._ended()
                ended.pop(self._run_id, None)
                ended[self._run_id] = entry
                self._write(ended)
                if self._ended().get(self._run_id) == entry:
                    self._slot.delete()
                    return
        except StoredRecordDamaged as damaged:
            problem = damaged
        log.warning(
            "%s. Until that is fixed, this task's submission record stays in %s.", text_of(problem), self._slot.key
        )
        self.save(finished)

    def forget(self) -> None:
        """Delete the Variable of this task instance, because its record has moved."""
        self._slot.delete()

    def _ended(self) -> dict[str, Any]:
        """The number of the last try and the record of each archived DAG run, the latest one last."""
        stored = variables.read(self._archive)
        with reading(_damaged(f"the Variable {self._archive}")):
            ended = parse(stored) if stored is not None else {}
            return {run: (int(number), dict(fields)) for run, (number, fields) in ended.items()}

    def _write(self, ended: dict[str, Any]) -> None:
        kept = dict(list(ended.items())[-_DAG_RUNS_KEPT:])
        variables.write(self._archive, json.dumps(kept), "Azure ML: the last submissions of a task that ended")


def open_submission_store(context: Context) -> SubmissionStore:
    """Open the task state store if this Airflow has one, else the Variable."""
    store, ti = context.get("task_state_store"), context["ti"]
    if store is None:
        return _variable_store(ti)
    # The first try has no record, and a look-up of a Variable asks the secrets backend first.
    return TaskStateSubmissionStore(store, _variable_store(ti) if ti.try_number > 1 else None)


def _variable_store(ti: Any) -> VariableSubmissionStore:
    return VariableSubmissionStore(
        f"azureml_submission_{short_hash([ti.dag_id, ti.run_id, ti.task_id, ti.map_index])}",
        f"azureml_ended_{short_hash([ti.dag_id, ti.task_id, ti.map_index])}",
        ti.run_id,
        ti.try_number,
        is_test=is_tasks_test(ti),
    )


def stored_record(dag_id: str, run_id: str, task_id: str, map_index: int) -> SubmissionRecord | None:
    """Read the submission record of a task instance in Airflow's API server (3.3 and later).

    A task uses :func:`open_submission_store` instead.

    Raises:
        RuntimeError: The record exists, but not in Airflow's database.
        StoredRecordDamaged: The record cannot be read.
    """
    from airflow.state import TaskScope, get_state_backend

    scope = TaskScope(dag_id=dag_id, run_id=run_id, task_id=task_id, map_index=map_index)
    stored = get_state_backend().get(scope, _STORE_KEY)
    if stored is None:
        return None
    place = f"the key {_STORE_KEY} in its task state store"
    with reading(_damaged(place)):
        found = parse(stored)
    # With another backend, the database holds only a reference to the record.
    if isinstance(found, str) or (isinstance(found, dict) and "key" not in found):
        raise RuntimeError(
            "The workers' state_store_backend keeps the submission record where the API server cannot read it"
        )
    return _decode(stored, place)


def _decode(stored: Any, place: str) -> SubmissionRecord | None:
    if stored is None:
        return None
    with reading(_damaged(place)):
        # A later version of this package may have stored more.
        return made(SubmissionRecord, parse(stored) if isinstance(stored, str) else stored)


def _damaged(place: str) -> Callable[[str], StoredRecordDamaged]:
    return lambda problem: StoredRecordDamaged(
        f"The submission record of this task is damaged ({problem}), so whether it has a run is not known. Check in "
        f"the workspace whether a run of this task is active, then delete {place}: the next try submits a new run. A "
        "secrets backend or the environment may have such a Variable too"
    )
