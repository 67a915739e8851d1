"""``endpoints``: pipeline endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aml_provider.cli import operator_calls
from aml_provider.cli.execution import command
from aml_provider.cli.lookup import find_endpoint
from aml_provider.cli.records import of_endpoint

if TYPE_CHECKING:
    from argparse import Namespace

    from aml_provider.cli.execution import Prose
    from aml_provider.cli.output import Record
    from aml_provider.hooks.azure_ml import AzureMLHook


@command
def list_(options: Namespace, hook: AzureMLHook) -> list[Record]:
    """List pipeline endpoints."""
    return [of_endpoint(item) for item in hook.list_endpoints(active_only=not options.all)]


@command
def show(options: Namespace, hook: AzureMLHook) -> Record | Prose:
    """Show a pipeline endpoint and the pipelines behind it."""
    endpoint = find_endpoint(hook, options.endpoint)
    if options.as_dag:
        pipeline_id = endpoint.versions[endpoint.default_version]
        return operator_calls.of_endpoint(endpoint, hook.get_pipeline_interface(pipeline_id))
    names = {item.id: item.name for item in hook.list_pipelines(active_only=False)}
    versions = [
        {
            "version": version,
            "pipeline_id": pipeline_id,
            "pipeline_name": names.get(pipeline_id),
            "default": version == endpoint.default_version,
        }
        for version, pipeline_id in endpoint.versions.items()
    ]
    return {**of_endpoint(endpoint), "versions": versions}
