"""Where the record of a task instance's submission is kept, in Airflow's own metadata database."""

from __future__ import annotations

import hashlib
import json
import logging
from typing import TYPE_CHECKING, Any

from aml_provider.durable.record import SubmissionRecord, SubmissionStore
from aml_provider.state import variables
from aml_provider.stored import StoredRecordDamaged, made, overridden, parse, reading

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.providers.common.compat.sdk import Context

log = logging.getLogger(__name__)

_STORE_KEY = "azureml_submission"
# A record has some 400 characters.
_DAG_RUNS_KEPT = 16
# How often to write among those that ended: another DAG run of the task may end, and write, at the same moment.
_MERGES = 3


class TaskStateSubmissionStore:
    """The record in Airflow's task state store (3.3 and later); it outlives retries and clears."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def load(self) -> SubmissionRecord | None:
        """Read the record."""
        return _decode(self._store.get(_STORE_KEY), f"the key {_STORE_KEY} in its task state store")

    def save(self, record: SubmissionRecord) -> None:
        """Replace the record."""
        self._store.set(_STORE_KEY, record._asdict())

    def close(self, record: SubmissionRecord) -> None:
        """Mark the record as finished; it stays, so that a clear can be told from a retry."""
        self.save(record._replace(finished=True))


class VariableSubmissionStore:
    """The record in an Airflow Variable, for versions without a task state store.

    When the task ends, its record moves into a Variable that the task keeps for its last DAG runs: Airflow may not come
    to note that end, and then it retries the task; or a person clears it while its run is still active.

    Args:
        key: The Variable of this task instance.
        archive: The Variable of the task, or of one map index of it, for what has ended.
        run_id: The DAG run.
        try_number: The number of this try; it grows with every retry and clear, and begins anew with a DAG run that was
            deleted and made again.
        is_test: A person tests the task (``airflow tasks test``); to Airflow 2 that is the last try once more.
    """

    def __init__(self, key: str, archive: str, run_id: str, try_number: int, *, is_test: bool = False) -> None:
        self._key = key
        self._archive = archive
        self._run_id = run_id
        self._try_number = try_number
        self._is_test = is_test

    def load(self) -> SubmissionRecord | None:
        """Read the record; if the task had ended, the one that it ended with."""
        record = _decode(variables.read(self._key), f"the Variable {self._key}")
        if record is not None:
            return record
        ended = self._ended()
        if self._run_id not in ended:
            return None
        try_number, fields = ended[self._run_id]
        if self._try_number > try_number or self._is_test:
            return _decode(fields, f"the Variable {self._archive}")
        # Of a DAG run that had the same name and is no more; its later tries must not take it for their own.
        del ended[self._run_id]
        self._write(ended)
        return None

    def save(self, record: SubmissionRecord) -> None:
        """Replace the record.

        Raises:
            RuntimeError: It cannot be read back, so that no submission may follow.
        """
        text = json.dumps(record._asdict())
        variables.write(self._key, text, "Azure ML: a submission of a task that has not ended")
        if variables.read(self._key) != text:
            raise overridden(self._key)

    def close(self, record: SubmissionRecord) -> None:
        """Move the record to those that ended; only once it is there, delete the Variable."""
        finished = record._replace(finished=True)
        entry = (self._try_number, finished._asdict())
        # Where it is, it says the same; the task has ended, and must not fail for what is wrong with the others.
        problem: Exception = overridden(self._archive)
        try:
            for _ in range(_MERGES):
                ended = self._ended()
                ended.pop(self._run_id, None)
                ended[self._run_id] = entry
                self._write(ended)
                if self._ended().get(self._run_id) == entry:
                    variables.delete(self._key)
                    return
        except StoredRecordDamaged as damaged:
            problem = damaged
        log.warning("%s. Until then the record of this task stays in %s.", problem, self._key)
        self.save(finished)

    def _ended(self) -> dict[str, Any]:
        """Number of the last try and record of each DAG run, the one that ended last at the end."""
        stored = variables.read(self._archive)
        with reading(_damaged(f"the Variable {self._archive}")):
            ended = parse(stored) if stored is not None else {}
            return {run: (int(number), dict(fields)) for run, (number, fields) in ended.items()}

    def _write(self, ended: dict[str, Any]) -> None:
        kept = dict(list(ended.items())[-_DAG_RUNS_KEPT:])
        variables.write(self._archive, json.dumps(kept), "Azure ML: the last submissions of a task that ended")


def open_submission_store(context: Context) -> SubmissionStore:
    """The best place that this Airflow has for a task instance's record."""
    store = context.get("task_state_store")
    if store is not None:
        return TaskStateSubmissionStore(store)
    ti: Any = context["ti"]
    return VariableSubmissionStore(
        f"azureml_submission_{_short([ti.dag_id, ti.run_id, ti.task_id, ti.map_index])}",
        f"azureml_ended_{_short([ti.dag_id, ti.task_id, ti.map_index])}",
        ti.run_id,
        ti.try_number,
        is_test=bool(getattr(ti, "test_mode", False)),
    )


def stored_record(dag_id: str, run_id: str, task_id: str, map_index: int) -> SubmissionRecord | None:
    """Read a task instance's record in Airflow's API server, from 3.3 on; a task has :func:`open_submission_store`.

    Raises:
        RuntimeError: It is there, but not in Airflow's database.
        StoredRecordDamaged: It cannot be read.
    """
    from airflow.state import TaskScope, get_state_backend

    scope = TaskScope(dag_id=dag_id, run_id=run_id, task_id=task_id, map_index=map_index)
    stored = get_state_backend().get(scope, _STORE_KEY)
    if stored is None:
        return None
    place = f"the key {_STORE_KEY} in its task state store"
    with reading(_damaged(place)):
        found = parse(stored)
    # A reference to where it is.
    if isinstance(found, str) or (isinstance(found, dict) and "key" not in found):
        raise RuntimeError("The workers' state_store_backend keeps its record where the API server cannot read it")
    return _decode(stored, place)


def _short(names: list[Any]) -> str:
    return hashlib.sha256(json.dumps(names).encode()).hexdigest()[:32]


def _decode(stored: Any, place: str) -> SubmissionRecord | None:
    if stored is None:
        return None
    with reading(_damaged(place)):
        # A later version of this package may have stored more.
        return made(SubmissionRecord, parse(stored) if isinstance(stored, str) else stored)


def _damaged(place: str) -> Callable[[str], StoredRecordDamaged]:
    return lambda problem: StoredRecordDamaged(
        f"The record of this task's submission is damaged ({problem}), so whether it has a run cannot be told. See in "
        f"the workspace whether one of this task is active, and then delete {place}: the next try submits a new run. A "
        "secrets backend or the environment may have such a Variable too"
    )
