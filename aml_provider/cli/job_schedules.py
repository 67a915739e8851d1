"""``job-schedules``: the native schedules of Azure ML v2."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aml_provider.cli.execution import command, confirm, say
from aml_provider.cli.records import of_job_schedule, of_job_schedule_plan
from aml_provider.client.errors import ScheduleError

if TYPE_CHECKING:
    from argparse import Namespace

    from aml_provider.cli.output import Record
    from aml_provider.hooks.azure_ml import AzureMLHook


@command
def list_(options: Namespace, hook: AzureMLHook) -> list[Record]:
    """List job schedules."""
    return [of_job_schedule(item) for item in hook.list_job_schedules(active_only=not options.all)]


@command
def show(options: Namespace, hook: AzureMLHook) -> Record:
    """Show a job schedule: what it runs and when, and its last job."""
    schedule = hook.get_job_schedule(options.name)
    try:
        jobs = hook.list_jobs_of_job_schedule(schedule.name)
    except ScheduleError as error:
        say(str(error))
        jobs = ()
    dated = [job for job in jobs if job.created is not None]
    last = max(dated, key=lambda job: (job.created, job.id), default=None)
    return {
        **of_job_schedule(schedule),
        **of_job_schedule_plan(schedule),
        "last_job_id": last.id if last else None,
        "last_job_status": last.status if last else None,
    }


@command
def disable(options: Namespace, hook: AzureMLHook) -> Record:
    """Disable a job schedule."""
    schedule = hook.get_job_schedule(options.name)
    if schedule.is_active:
        confirm(f"This disables job schedule {schedule.name!r}.", yes=options.yes)
    return of_job_schedule(hook.disable_job_schedule(schedule.name))


@command
def enable(options: Namespace, hook: AzureMLHook) -> Record:
    """Enable a job schedule."""
    return of_job_schedule(hook.enable_job_schedule(options.name))


@command
def trigger(options: Namespace, hook: AzureMLHook) -> Record:
    """Start a job of a job schedule now."""
    schedule = hook.get_job_schedule(options.name)
    return {"name": schedule.name, "job_id": hook.trigger_job_schedule(schedule.name)}


@command
def delete(options: Namespace, hook: AzureMLHook) -> Record:
    """Disable and delete a job schedule."""
    schedule = hook.get_job_schedule(options.name)
    confirm(f"This deletes job schedule {schedule.name!r}. Jobs that it has started continue.", yes=options.yes)
    hook.delete_job_schedule(schedule.name)
    return {"name": schedule.name, "status": "Deleted"}
