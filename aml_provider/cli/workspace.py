"""``experiments``, ``datastores`` and ``check``: the workspace itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aml_provider.cli.execution import CommandError, command
from aml_provider.cli.records import of_datastore, of_experiment

if TYPE_CHECKING:
    from argparse import Namespace

    from aml_provider.cli.output import Record
    from aml_provider.hooks.azure_ml import AzureMLHook


@command
def list_experiments(options: Namespace, hook: AzureMLHook) -> list[Record]:
    """List experiments."""
    return [of_experiment(item) for item in hook.list_experiments(view="All" if options.all else "ActiveOnly")]


@command
def list_datastores(_: Namespace, hook: AzureMLHook) -> list[Record]:
    """List datastores."""
    return [of_datastore(item) for item in hook.list_datastores()]


@command
def check(options: Namespace, hook: AzureMLHook) -> Record:
    """Test the connection."""
    settings = hook.settings()
    works, message = hook.test_connection()
    if not works:
        raise CommandError(f"Connection {options.conn_id!r} does not work. {message}")
    return {
        "conn_id": options.conn_id,
        "subscription_id": settings.subscription_id,
        "resource_group": settings.resource_group,
        "workspace_name": settings.workspace_name,
        "endpoint": settings.api_url,
        "auth_method": settings.auth_method,
        "message": message,
    }
