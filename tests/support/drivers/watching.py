"""Runs a blob sensor by hand, as a worker and a triggerer would, with Airflow's Variables in a dict."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from aml_provider.compat import AIRFLOW_V_3_0_PLUS, TaskDeferred
from aml_provider.sensors.blob import AzureBlobChangeSensor
from aml_provider.state.slots import VariableSlot
from aml_provider.triggers.blob import AzureBlobLookTrigger

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest


def context_of(run_id: str = "run1", *, dag_id: str = "dag", map_index: int = -1) -> Any:
    """The part of Airflow's context that a sensor reads: its task instance."""
    return {
        "ti": SimpleNamespace(
            dag_id=dag_id, run_id=run_id, task_id="watch", map_index=map_index, max_tries=0, try_number=1
        ),
    }


def variables_in_memory(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Keep Variables in a dict: Airflow's own need a database and a task that runs; tests/dags has both.

    For the same reason, a rescheduled sensor of Airflow 2 has had no process before.
    """
    variables: dict[str, str] = {}
    monkeypatch.setattr(VariableSlot, "_read", lambda slot: variables.get(slot.key))
    monkeypatch.setattr(VariableSlot, "_write", lambda slot, text: variables.__setitem__(slot.key, text))
    if not AIRFLOW_V_3_0_PLUS:
        monkeypatch.setattr("airflow.sensors.base._orig_start_date", lambda **_: None)
    return variables


def sensor(kind: type[AzureBlobChangeSensor] = AzureBlobChangeSensor, **arguments: Any) -> AzureBlobChangeSensor:
    defaults: dict[str, Any] = {"task_id": "watch", "path": "incoming", "poke_interval": 0.1}
    return kind(**{**defaults, **arguments})


def look(watcher: AzureBlobChangeSensor, context: Any = None) -> list[Any]:
    """Poll once, in a process of its own; names and kinds of what it takes."""
    watcher._wait = None
    taken = watcher.poke(context or context_of()).xcom_value
    return [(change["path"], change["change"]) for change in taken or ()]


def deferred(watcher: AzureBlobChangeSensor, context: Any = None) -> AzureBlobLookTrigger:
    """Run the worker's part up to the deferral, and make the trigger as the triggerer does, from what is stored."""
    try:
        taken = watcher.execute(context or context_of())
    except TaskDeferred as deferral:
        path, arguments = deferral.trigger.serialize()
        assert path == "aml_provider.triggers.blob.AzureBlobLookTrigger"
        return AzureBlobLookTrigger(**arguments)
    raise AssertionError(f"it did not defer but returned {taken}")


def fire(trigger: AzureBlobLookTrigger, limit: float = 30.0) -> Any:
    """Run the trigger until its event."""

    async def first() -> Any:
        async with asyncio.timeout(limit):
            return (await anext(aiter(trigger.run()))).payload

    return asyncio.run(first())


def fires_within(trigger: AzureBlobLookTrigger, enough: Callable[[], bool]) -> bool:
    """Run the trigger until it fires, or until it has polled enough; returns whether it fired."""

    async def race() -> bool:
        event = asyncio.ensure_future(anext(aiter(trigger.run())))
        async with asyncio.timeout(120):
            while not event.done() and not enough():  # noqa: ASYNC110 - what it waits for is on another thread
                await asyncio.sleep(0.01)
        if event.done():
            return True
        event.cancel()
        await asyncio.wait([event])
        return False

    return asyncio.run(race())


class Said:
    """Everything that was logged or printed; Airflow 3 prints what a task logs, Airflow 2 does not."""

    def __init__(self, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
        caplog.set_level(logging.DEBUG)
        self._caplog = caplog
        self._capsys = capsys
        self._printed = ""

    def __str__(self) -> str:
        captured = self._capsys.readouterr()
        self._printed += captured.out + captured.err
        return self._caplog.text + self._printed
