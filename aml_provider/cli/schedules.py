"""``schedules``: native schedules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aml_provider.cli.execution import UsageError, command, confirm
from aml_provider.cli.lookup import find_endpoint, find_pipeline, find_schedule
from aml_provider.cli.records import of_schedule, of_schedule_plan

if TYPE_CHECKING:
    from argparse import Namespace

    from aml_provider.cli.output import Record
    from aml_provider.hooks.azure_ml import AzureMLHook


@command
def list_(options: Namespace, hook: AzureMLHook) -> list[Record]:
    """List native schedules."""
    if options.pipeline is not None and options.endpoint is not None:
        raise UsageError("Give --pipeline or --endpoint, not both.")
    found = hook.list_schedules(
        active_only=not options.all,
        pipeline_id=None if options.pipeline is None else find_pipeline(hook, options.pipeline).id,
        endpoint_id=None if options.endpoint is None else find_endpoint(hook, options.endpoint).id,
    )
    return [of_schedule(item) for item in found]


@command
def show(options: Namespace, hook: AzureMLHook) -> Record:
    """Show a native schedule: what it runs and when, and its last run."""
    schedule = find_schedule(hook, options.schedule)
    last = hook.get_last_run_of_schedule(schedule.id)
    return {
        **of_schedule(schedule),
        **of_schedule_plan(schedule),
        "last_run_id": last.id if last else None,
        "last_run_status": last.status if last else None,
    }


@command
def disable(options: Namespace, hook: AzureMLHook) -> Record:
    """Disable a native schedule."""
    schedule = find_schedule(hook, options.schedule)
    if schedule.is_active:
        confirm(f"This disables schedule {schedule.name!r} ({schedule.id}).", yes=options.yes)
    return of_schedule(hook.disable_schedule(schedule.id))


@command
def enable(options: Namespace, hook: AzureMLHook) -> Record:
    """Enable a native schedule."""
    return of_schedule(hook.enable_schedule(find_schedule(hook, options.schedule).id))
