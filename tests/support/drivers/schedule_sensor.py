"""The sensor for what schedules start: polled by one DAG run after the other, or woken by its trigger."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from types import SimpleNamespace

from support.airflow.task import Log

from aml_provider.sensors.schedule import AzureMLScheduleRunSensor
from aml_provider.triggers.schedule_run import AzureMLScheduleLookTrigger

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


class Sensor(AzureMLScheduleRunSensor):
    log = Log()


def context_of(run_id, began=LONG_AGO):
    ti = SimpleNamespace(dag_id="dag", run_id=run_id, task_id="watch", map_index=-1, max_tries=0)
    return {"ti": ti, "dag_run": SimpleNamespace(data_interval_start=began, run_after=began)}


def poll(run_id, began=LONG_AGO, **arguments):
    return Sensor(task_id="watch", **arguments).poke(context_of(run_id, began)).xcom_value


def event_of(kwargs, workspace):
    """The event of a trigger with these stored arguments, an hour later; it must not fire before."""

    async def first():
        event = asyncio.ensure_future(anext(AzureMLScheduleLookTrigger(**json.loads(json.dumps(kwargs))).run()))
        done, _ = await asyncio.wait({event}, timeout=0.5)
        assert not done, "it fired for nothing"
        await asyncio.to_thread(workspace.clock.advance, 3660)
        return (await asyncio.wait_for(event, 240)).payload

    return asyncio.run(first())
