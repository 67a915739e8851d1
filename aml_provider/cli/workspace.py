"""``experiments``, ``datastores`` and ``check``: the workspace itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aml_provider.cli.execution import CommandError, UsageError, command
from aml_provider.cli.records import of_datastore, of_experiment
from aml_provider.cli.rights import check_rights
from aml_provider.client.rights import APIS

if TYPE_CHECKING:
    from argparse import Namespace

    from aml_provider.cli.execution import Prose
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
def check(options: Namespace, hook: AzureMLHook) -> Record | Prose:
    """Test the connection, or list what its identity may do."""
    if options.rights is not None:
        return check_rights(hook, options.rights, [options.api] if options.api else APIS)
    if options.api:
        raise UsageError("--api needs --rights.")
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
