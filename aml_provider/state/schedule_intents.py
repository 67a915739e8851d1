"""Where the intent to create a native schedule is kept, in Airflow's own metadata database."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from aml_provider.durable.schedule import Intent
from aml_provider.state import variables
from aml_provider.stored import StoredRecordDamaged, made, overridden, parse, reading

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from aml_provider.durable.schedule import Intents

_STORE_KEY = "azureml_schedule_intent"


class TaskStateIntents:
    """The intent in Airflow's task state store (3.3 and later)."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def load(self) -> Intent | None:
        """Read the intent."""
        return _decode(self._store.get(_STORE_KEY), f"the key {_STORE_KEY} in its task state store")

    def save(self, intent: Intent) -> None:
        """Replace the intent."""
        self._store.set(_STORE_KEY, intent._asdict())

    def clear(self) -> None:
        """Forget the intent."""
        self._store.delete(_STORE_KEY)


class VariableIntents:
    """The intent in an Airflow Variable, for versions without a task state store."""

    def __init__(self, key: str) -> None:
        self._key = key

    def load(self) -> Intent | None:
        """Read the intent."""
        return _decode(variables.read(self._key), f"the Variable {self._key}")

    def save(self, intent: Intent) -> None:
        """Replace the intent.

        Raises:
            RuntimeError: It cannot be read back, so that no creation may follow.
        """
        text = json.dumps(intent._asdict())
        variables.write(self._key, text, "Azure ML: the creation of a schedule is under way")
        if variables.read(self._key) != text:
            raise overridden(self._key)

    def clear(self) -> None:
        """Delete the Variable."""
        variables.delete(self._key)


def open_intents(context: Context) -> Intents:
    """The best place that this Airflow has for a task instance's intent."""
    store = context.get("task_state_store")
    if store is not None:
        return TaskStateIntents(store)
    ti: Any = context["ti"]
    name = json.dumps([ti.dag_id, ti.run_id, ti.task_id, ti.map_index])
    return VariableIntents(f"azureml_schedule_intent_{hashlib.sha256(name.encode()).hexdigest()[:32]}")


def _decode(stored: Any, place: str) -> Intent | None:
    if stored is None:
        return None

    def damaged(problem: str) -> StoredRecordDamaged:
        return StoredRecordDamaged(
            f"The record of a schedule that this task was about to create is damaged ({problem}). See in the workspace "
            f"whether the schedule is there, and then delete {place}"
        )

    with reading(damaged):
        return made(Intent, parse(stored) if isinstance(stored, str) else stored)
