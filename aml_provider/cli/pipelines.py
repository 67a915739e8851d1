"""``pipelines``: published pipelines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aml_provider.cli import operator_calls
from aml_provider.cli.execution import command, confirm, say
from aml_provider.cli.lookup import find_pipeline, pick
from aml_provider.cli.records import of_interface, of_pipeline
from aml_provider.client.flows import pipelines as flows
from aml_provider.client.flows.finding import PIPELINE

if TYPE_CHECKING:
    from argparse import Namespace

    from aml_provider.cli.execution import Prose
    from aml_provider.cli.output import Record
    from aml_provider.hooks.azure_ml import AzureMLHook


@command
def list_(options: Namespace, hook: AzureMLHook) -> list[Record]:
    """List published pipelines."""
    return [of_pipeline(item) for item in hook.list_pipelines(active_only=not options.all)]


@command
def show(options: Namespace, hook: AzureMLHook) -> Record | Prose:
    """Show a published pipeline and its interface."""
    pipelines = hook.list_pipelines(active_only=False)
    pipeline = pick(PIPELINE, options.pipeline, pipelines)
    interface = hook.get_pipeline_interface(pipeline.id)
    if options.as_dag:
        return operator_calls.of_pipeline(pipeline, interface, pipelines)
    return {**of_pipeline(pipeline), **of_interface(interface)}


@command
def disable(options: Namespace, hook: AzureMLHook) -> Record:
    """Disable the active schedules of a published pipeline, and then the pipeline."""
    pipeline = find_pipeline(hook, options.pipeline)
    schedules = hook.list_schedules(active_only=True, pipeline_id=pipeline.id)
    if pipeline.is_active or schedules:
        listed = "".join(f"\n  {item.name} ({item.id})" for item in schedules)
        what = f"This disables published pipeline {pipeline.name!r} ({pipeline.id})"
        confirm(f"{what} and, before it, its schedules:{listed}\n" if schedules else f"{what}.", yes=options.yes)
    hook.run(flows.disable_pipeline(pipeline_id=pipeline.id, log=say))
    return of_pipeline(hook.get_pipeline(pipeline.id))


@command
def enable(options: Namespace, hook: AzureMLHook) -> Record:
    """Enable a published pipeline."""
    pipeline = find_pipeline(hook, options.pipeline)
    hook.run(flows.enable_pipeline(pipeline_id=pipeline.id, log=say))
    return of_pipeline(hook.get_pipeline(pipeline.id))
