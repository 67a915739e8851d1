"""The place where a task instance stores its intent to create a native schedule."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from aml_provider.state.slots import TaskStateSlot, VariableSlot

if TYPE_CHECKING:
    from aml_provider.compat import Context
    from aml_provider.stored import Slot


def intent_slot(context: Context) -> Slot:
    """The best place that this Airflow has: the task state store since 3.3, before that a Variable."""
    store = context.get("task_state_store")
    if store is not None:
        return TaskStateSlot(store, "azureml_schedule_intent")
    ti: Any = context["ti"]
    name = json.dumps([ti.dag_id, ti.run_id, ti.task_id, ti.map_index])
    key = f"azureml_schedule_intent_{hashlib.sha256(name.encode()).hexdigest()[:32]}"
    return VariableSlot(key, "Azure ML: the creation of a schedule is under way")
