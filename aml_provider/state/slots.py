"""Places for one text in Airflow's metadata database."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from aml_provider.state import variables
from aml_provider.stored import overridden

if TYPE_CHECKING:
    from aml_provider.compat import Context
    from aml_provider.stored import Slot


class TaskStateSlot:
    """A key of Airflow's task state store (3.3 and later). Its JSON value survives retries and clears.

    Args:
        store: Airflow's task state store.
        key: The key.
        earlier: Where an Airflow without a task state store kept the value; None: nowhere.
    """

    def __init__(self, store: Any, key: str, earlier: VariableSlot | None = None) -> None:
        self._store = store
        self._key = key
        self._earlier = earlier

    def __str__(self) -> str:
        return f"key {self._key} in its task state store"

    def load(self) -> str | None:
        """Read the value as JSON text; None if there is none. A value of an earlier Airflow is moved to here."""
        stored = self._store.get(self._key)
        if stored is None and self._earlier is not None and (text := self._earlier.load()) is not None:
            self.save(text)
            self._earlier.delete()
            return text
        return stored if stored is None or isinstance(stored, str) else json.dumps(stored)

    def save(self, text: str) -> None:
        """Replace the value by the value of this JSON text."""
        self._store.set(self._key, json.loads(text))

    def delete(self) -> None:
        """Delete the value."""
        self._store.delete(self._key)


class VariableSlot:
    """An Airflow Variable.

    Args:
        description: The Variable's description, for people who see it in Airflow's UI.
    """

    def __init__(self, key: str, description: str) -> None:
        self.key = key
        self._description = description

    def __str__(self) -> str:
        return f"Variable {self.key}"

    def load(self) -> str | None:
        """Read the Variable. Returns None only if it is certain that it does not exist.

        Raises:
            StorageError: It exists and cannot be read at the moment.
        """
        return self._read()

    def save(self, text: str) -> None:
        """Replace the Variable.

        Raises:
            StorageError: It cannot be read back: a secrets backend or the environment overrides it.
        """
        self._write(text)
        if self._read() != text:
            raise overridden(self.key)

    def delete(self) -> None:
        """Delete the Variable, if there is one."""
        variables.delete(self.key)

    def _read(self) -> str | None:
        return variables.read(self.key)

    def _write(self, text: str) -> None:
        variables.write(self.key, text, self._description)


def intent_slot(context: Context) -> Slot:
    """The place where a task instance stores its intent to create a native schedule.

    It is the best place that this Airflow has: since 3.3 the task state store, before 3.3 a Variable. A retry after an
    upgrade of Airflow finds what the try before the upgrade has stored.
    """
    store = context.get("task_state_store")
    ti: Any = context["ti"]
    key = f"azureml_schedule_intent_{short_hash([ti.dag_id, ti.run_id, ti.task_id, ti.map_index])}"
    variable = VariableSlot(key, "Azure ML: the creation of a schedule is under way")
    if store is None:
        return variable
    # The first try has stored nothing, and a look-up of a Variable asks the secrets backend first.
    return TaskStateSlot(store, "azureml_schedule_intent", variable if ti.try_number > 1 else None)


def short_hash(names: list[Any]) -> str:
    """A hash of 32 hexadecimal digits, which replaces these names in the key of a Variable."""
    return hashlib.sha256(json.dumps(names).encode()).hexdigest()[:32]
