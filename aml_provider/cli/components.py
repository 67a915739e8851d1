"""``components``: registered components."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aml_provider.cli import operator_calls
from aml_provider.cli.execution import command
from aml_provider.cli.records import of_component, of_component_version

if TYPE_CHECKING:
    from argparse import Namespace

    from aml_provider.cli.execution import Prose
    from aml_provider.cli.output import Record
    from aml_provider.hooks.azure_ml import AzureMLHook


@command
def list_(options: Namespace, hook: AzureMLHook) -> list[Record]:
    """List components."""
    return [of_component(item) for item in hook.list_components(active_only=not options.all)]


@command
def show(options: Namespace, hook: AzureMLHook) -> Record | Prose:
    """Show a version of a component and its inputs."""
    component = hook.get_component(options.component, options.component_version)
    return operator_calls.of_component(component) if options.as_dag else of_component_version(component)
