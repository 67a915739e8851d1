"""The hook's methods for datastores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aml_provider.hooks.operation import in_event_loop, operation
from aml_provider.hooks.workspace import WorkspaceHook

if TYPE_CHECKING:
    from aml_provider.client.calls import Call
    from aml_provider.client.entities import Datastore
    from aml_provider.client.http.messages import Flow


class DatastoreMethods(WorkspaceHook):
    """Methods for datastores. Their credentials are in the results, but are never shown.

    The connection's ``datastore_api`` says where datastores are read. Only v1's service changes and deletes them.
    """

    @operation
    def list_datastores(self) -> Flow[tuple[Datastore, ...]]:
        """List the workspace's datastores.

        A list from Azure Resource Manager does not contain credentials: ``account_key`` and similar attributes of its
        items raise InvalidArgument.
        """
        from aml_provider.client.flows.datastores import list_datastores

        return list_datastores()

    async_list_datastores = in_event_loop(list_datastores)

    @operation
    def get_datastore(self, name: str) -> Flow[Datastore]:
        """Read a datastore with its credentials, which its repr does not show."""
        from aml_provider.client.flows.datastores import find_datastore

        return find_datastore(name, "name")

    async_get_datastore = in_event_loop(get_datastore)

    @operation
    def get_default_datastore(self) -> Flow[Datastore]:
        """Read the workspace's default datastore: ``workspaceblobstore``, unless somebody has chosen another."""
        from aml_provider.client.flows.datastores import find_default_datastore

        return find_default_datastore()

    async_get_default_datastore = in_event_loop(get_default_datastore)

    @operation
    def set_default_datastore(self, name: str) -> Call[None]:
        """Make a datastore the workspace's default."""
        from aml_provider.client import calls

        return calls.set_default_datastore(name)

    async_set_default_datastore = in_event_loop(set_default_datastore)

    @operation
    def delete_datastore(self, name: str) -> Call[None]:
        """Unregister a datastore; its storage is not changed."""
        from aml_provider.client import calls

        return calls.delete_datastore(name)

    async_delete_datastore = in_event_loop(delete_datastore)
