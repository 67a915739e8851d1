"""What the triggerer makes of a row of its table."""

from __future__ import annotations

import asyncio

from airflow import __version__
from airflow.jobs.triggerer_job_runner import TriggerRunner


def inflated(number, row):
    """What the triggerer makes of it."""
    runner = TriggerRunner()
    if __version__.startswith("2."):
        # As update_triggers() does, which wants a task instance.
        return runner.get_trigger_by_classpath(row.classpath)(**row.kwargs), runner
    from airflow.executors import workloads

    made = []

    class Runner(TriggerRunner):
        async def run_trigger(self, trigger_id, trigger, *_, **__):
            made.append(trigger)

    runner = Runner()
    runner.job_id = 1
    runner.to_create.append(
        workloads.RunTrigger(id=number, ti=None, classpath=row.classpath, encrypted_kwargs=row.encrypted_kwargs)
    )

    async def create():
        await runner.create_triggers()
        await asyncio.gather(*(details["task"] for details in runner.triggers.values()))

    asyncio.run(create())
    assert not runner.failed_triggers
    return made[0], runner
