"""``batch-endpoints``: batch endpoints and the components behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aml_provider.cli import operator_calls
from aml_provider.cli.execution import command
from aml_provider.cli.records import of_batch_deployment, of_batch_endpoint

if TYPE_CHECKING:
    from argparse import Namespace

    from aml_provider.cli.execution import Prose
    from aml_provider.cli.output import Record
    from aml_provider.hooks.azure_ml import AzureMLHook


@command
def list_(options: Namespace, hook: AzureMLHook) -> list[Record]:  # noqa: ARG001 - all commands take both
    """List batch endpoints."""
    return [of_batch_endpoint(item) for item in hook.list_batch_endpoints()]


@command
def show(options: Namespace, hook: AzureMLHook) -> Record | Prose:
    """Show a batch endpoint and its deployments."""
    endpoint = hook.get_batch_endpoint(options.batch_endpoint)
    deployments = hook.list_batch_deployments(endpoint.name)
    if options.as_dag:
        name, version = operator_calls.default_component(endpoint, deployments)
        return operator_calls.of_batch_endpoint(endpoint, hook.get_component(name, version))
    rows = [{**of_batch_deployment(item), "default": item.name == endpoint.default_deployment} for item in deployments]
    return {**of_batch_endpoint(endpoint), "deployments": rows}
