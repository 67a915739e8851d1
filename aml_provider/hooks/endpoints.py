"""The hook's methods for pipeline endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aml_provider.client.arguments import ACTIVE, DISABLED
from aml_provider.hooks.operation import in_event_loop, operation
from aml_provider.hooks.workspace import WorkspaceHook

if TYPE_CHECKING:
    from aml_provider.client.calls import Call
    from aml_provider.client.entities import PipelineEndpoint, PublishedPipeline
    from aml_provider.client.http.messages import Flow


class EndpointMethods(WorkspaceHook):
    """Methods for pipeline endpoints.

    A change reads the endpoint and writes it back whole, so that what others have set is kept. After a lost reply the
    endpoint is read again, and written again only if that is still needed. Azure ML has no lock for this: of two
    simultaneous changes, the later one wins.
    """

    @operation
    def list_endpoints(self, *, active_only: bool = True) -> Flow[tuple[PipelineEndpoint, ...]]:
        """List the workspace's pipeline endpoints; with ``active_only``, without disabled endpoints."""
        from aml_provider.client.flows.endpoints import list_endpoints

        return list_endpoints(active_only=active_only)

    async_list_endpoints = in_event_loop(list_endpoints)

    @operation
    def get_endpoint(self, endpoint_id: str) -> Flow[PipelineEndpoint]:
        """Read one pipeline endpoint by its id."""
        from aml_provider.client import calls
        from aml_provider.client.flows.finding import ENDPOINT, advised

        return advised(calls.get_endpoint(endpoint_id), ENDPOINT, endpoint_id)

    async_get_endpoint = in_event_loop(get_endpoint)

    @operation
    def find_endpoint(self, name: str) -> Flow[PipelineEndpoint]:
        """Find the pipeline endpoint of this name, active or not; names are unique in a workspace.

        Raises:
            PipelineError: It does not exist; the message suggests similar names.
        """
        from aml_provider.client.flows.endpoints import find_endpoint

        return find_endpoint(name)

    async_find_endpoint = in_event_loop(find_endpoint)

    @operation
    def list_pipelines_of_endpoint(
        self, endpoint_id: str, *, active_only: bool = True
    ) -> Call[tuple[PublishedPipeline, ...]]:
        """List the published pipelines behind an endpoint, whose ``versions`` map each version to a pipeline.

        Args:
            endpoint_id: The pipeline endpoint.
            active_only: Leave out pipelines that are disabled.
        """
        from aml_provider.client import calls

        return calls.list_pipelines_of_endpoint(endpoint_id, active_only=active_only)

    async_list_pipelines_of_endpoint = in_event_loop(list_pipelines_of_endpoint)

    @operation
    def create_endpoint(self, name: str, pipeline_id: str, *, description: str = "") -> Flow[PipelineEndpoint]:
        """Create a pipeline endpoint whose version 0, its default, is a published pipeline.

        Args:
            name: Its name, which no other endpoint of the workspace may have.
            pipeline_id: The published pipeline.
            description: The description of the endpoint.

        Raises:
            PipelineError: The name is taken.
        """
        from aml_provider.client.flows.endpoints import create_endpoint

        return create_endpoint(name, pipeline_id, description=description)

    async_create_endpoint = in_event_loop(create_endpoint)

    @operation
    def add_endpoint_version(
        self, endpoint_id: str, pipeline_id: str, *, set_default: bool = False
    ) -> Flow[PipelineEndpoint]:
        """Add a published pipeline to an endpoint, as its next version.

        A pipeline that is already a version is not added again, so this may be repeated.

        Args:
            endpoint_id: The pipeline endpoint.
            pipeline_id: The published pipeline.
            set_default: Make this version the default version.
        """
        from aml_provider.client.flows.endpoints import add_version

        return add_version(endpoint_id, pipeline_id, set_default=set_default)

    async_add_endpoint_version = in_event_loop(add_endpoint_version)

    @operation
    def set_default_endpoint_version(self, endpoint_id: str, version: str) -> Flow[PipelineEndpoint]:
        """Set the version that runs if a submission names none.

        Args:
            endpoint_id: The pipeline endpoint.
            version: The version: a decimal number, as text.

        Raises:
            PipelineError: The endpoint has no such version.
        """
        from aml_provider.client.flows.endpoints import set_default_version

        return set_default_version(endpoint_id, version)

    async_set_default_endpoint_version = in_event_loop(set_default_endpoint_version)

    @operation
    def update_endpoint(
        self, endpoint_id: str, *, name: str | None = None, description: str | None = None
    ) -> Flow[PipelineEndpoint]:
        """Change the name or the description of an endpoint; an argument that is None changes nothing.

        Args:
            endpoint_id: The pipeline endpoint.
            name: Its new name.
            description: Its new description.
        """
        from aml_provider.client.flows.endpoints import update_endpoint

        return update_endpoint(endpoint_id, name=name, description=description)

    async_update_endpoint = in_event_loop(update_endpoint)

    @operation
    def enable_endpoint(self, endpoint_id: str) -> Flow[PipelineEndpoint]:
        """Enable a pipeline endpoint, so that runs can be submitted to it."""
        from aml_provider.client.flows.endpoints import set_endpoint_status

        return set_endpoint_status(endpoint_id, ACTIVE)

    async_enable_endpoint = in_event_loop(enable_endpoint)

    @operation
    def disable_endpoint(self, endpoint_id: str) -> Flow[PipelineEndpoint]:
        """Disable a pipeline endpoint, so that no runs can be submitted to it; its pipelines are not changed."""
        from aml_provider.client.flows.endpoints import set_endpoint_status

        return set_endpoint_status(endpoint_id, DISABLED)

    async_disable_endpoint = in_event_loop(disable_endpoint)

    @operation
    def archive_endpoint(self, endpoint_id: str) -> Flow[PipelineEndpoint]:
        """Disable a pipeline endpoint and free its name: it gets a random name, as with Microsoft's SDK.

        Only :meth:`update_endpoint` can restore the old name.
        """
        from aml_provider.client.flows.endpoints import archive_endpoint

        return archive_endpoint(endpoint_id)

    async_archive_endpoint = in_event_loop(archive_endpoint)
