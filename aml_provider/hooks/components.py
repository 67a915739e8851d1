"""The hook's methods for components and batch endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aml_provider.hooks.operation import in_event_loop, operation
from aml_provider.hooks.workspace import WorkspaceHook

if TYPE_CHECKING:
    from aml_provider.client.calls import Call
    from aml_provider.client.entities import BatchDeployment, BatchEndpoint, Component, ComponentVersion
    from aml_provider.client.http.messages import Flow


class ComponentMethods(WorkspaceHook):
    """Methods for components, and for the batch endpoints whose deployments name them."""

    @operation
    def list_components(self, *, active_only: bool = True) -> Call[tuple[Component, ...]]:
        """List the workspace's registered components; with ``active_only``, without archived components."""
        from aml_provider.client import calls

        return calls.list_components(active_only=active_only)

    async_list_components = in_event_loop(list_components)

    @operation
    def get_component(self, name: str, version: str | None = None) -> Flow[ComponentVersion]:
        """Read a version of a component: its type, and the inputs that it accepts.

        Args:
            name: The component.
            version: The version; None: the newest version that is not archived.

        Raises:
            PipelineError: There is no such component or version; the message suggests others.
        """
        from aml_provider.client.flows.components import find_component

        return find_component(name, version)

    async_get_component = in_event_loop(get_component)

    @operation
    def list_batch_endpoints(self) -> Call[tuple[BatchEndpoint, ...]]:
        """List the workspace's batch endpoints."""
        from aml_provider.client import calls

        return calls.list_batch_endpoints()

    async_list_batch_endpoints = in_event_loop(list_batch_endpoints)

    @operation
    def get_batch_endpoint(self, name: str) -> Flow[BatchEndpoint]:
        """Read a batch endpoint, with the name of its default deployment.

        Raises:
            PipelineError: It does not exist; the message suggests similar names.
        """
        from aml_provider.client.flows.components import find_batch_endpoint

        return find_batch_endpoint(name)

    async_get_batch_endpoint = in_event_loop(get_batch_endpoint)

    @operation
    def list_batch_deployments(self, endpoint_name: str) -> Call[tuple[BatchDeployment, ...]]:
        """List the deployments of a batch endpoint, each with the component that it runs and its settings."""
        from aml_provider.client import calls

        return calls.list_batch_deployments(endpoint_name)

    async_list_batch_deployments = in_event_loop(list_batch_deployments)
