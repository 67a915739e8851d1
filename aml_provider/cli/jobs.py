"""``jobs``: pipeline jobs. To show, read or cancel a job, the commands of ``runs`` are used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aml_provider.cli.execution import command
from aml_provider.cli.lookup import pipeline_names
from aml_provider.cli.records import of_run
from aml_provider.cli.submission import mapping

if TYPE_CHECKING:
    from argparse import Namespace

    from aml_provider.cli.output import Record
    from aml_provider.hooks.azure_ml import AzureMLHook


@command
def list_(options: Namespace, hook: AzureMLHook) -> list[Record]:
    """List pipeline jobs."""
    properties = mapping("--property", options.property)
    found = hook.list_jobs(properties=properties, tag=options.tag, limit=options.limit)
    names = pipeline_names(hook, found)
    return [of_run(item, names) for item in found]
