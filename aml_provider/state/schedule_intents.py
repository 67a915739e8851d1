"""Where the intent to create a native schedule is kept, in Airflow's own metadata database."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from aml_provider.client.schedule_upkeep import Intent
from aml_provider.state import variables

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from aml_provider.client.schedule_upkeep import Intents

_STORE_KEY = "azureml_schedule_intent"


class TaskStateIntents:
    """The intent in Airflow's task state store (3.3 and later)."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def load(self) -> Intent | None:
        """Read the intent."""
        return _decode(self._store.get(_STORE_KEY))

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
        return _decode(variables.read(self._key))

    def save(self, intent: Intent) -> None:
        """Replace the intent.

        Raises:
            RuntimeError: It cannot be read back, so that no creation may follow.
        """
        text = json.dumps(intent._asdict())
        variables.write(self._key, text, "Azure ML: the creation of a schedule is under way")
        if variables.read(self._key) != text:
            raise variables.overridden(self._key)

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


def _decode(stored: Any) -> Intent | None:
    fields = json.loads(stored) if isinstance(stored, str) else stored
    if fields is None:
        return None
    # What is no intent fails here: taking it for none would make a second schedule.
    return Intent(**{name: value for name, value in fields.items() if name in Intent._fields})
