"""What Airflow stores of a deferred task when its trigger has fired, and reads when the task resumes."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

from airflow.models.taskinstance import TaskInstance
from airflow.triggers.base import TriggerEvent
from stored_rows.story import IS_AIRFLOW_2


def fired(kwargs: dict[str, Any], event: dict[str, Any]) -> str:
    """The column ``next_kwargs`` of a task that deferred with these arguments, as text."""
    ti = SimpleNamespace(next_kwargs=dict(kwargs), trigger_id=1, state="deferred", scheduled_dttm=None)
    if IS_AIRFLOW_2:
        TriggerEvent(event).handle_submit(task_instance=ti, session=None)  # type: ignore[arg-type]
        column = TaskInstance.__table__.c.next_kwargs.type
        return json.dumps(column.process_bind_param(ti.next_kwargs, None))
    from airflow.models.trigger import handle_event_submit
    from airflow.sdk.serde import serialize

    # As the worker does it when the task defers.
    ti.next_kwargs = json.loads(json.dumps(serialize(ti.next_kwargs)))
    session = SimpleNamespace(flush=lambda: None)
    handle_event_submit(TriggerEvent(event), task_instance=ti, session=session)
    assert str(ti.state) == "scheduled"
    return json.dumps(ti.next_kwargs)


def read(text: str) -> dict[str, Any]:
    """What the task is resumed with; as Airflow does it on a worker."""
    stored = json.loads(text)
    if IS_AIRFLOW_2:
        found: dict[str, Any] = TaskInstance.__table__.c.next_kwargs.type.process_result_value(stored, None)
        return found
    try:
        from airflow.sdk.serde import deserialize

        found = deserialize(stored)  # type: ignore[assignment]
    except (ImportError, KeyError, AttributeError, TypeError):
        from airflow.serialization.serialized_objects import BaseSerialization

        found = BaseSerialization.deserialize(stored)
    return found
