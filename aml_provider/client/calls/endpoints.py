"""The operations on pipeline endpoints.

There is no deletion: an endpoint can only be disabled. A change is a PUT of the whole entity.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aml_provider.client.calls.call import Call, Resource, flag, segment
from aml_provider.client.entities import PipelineEndpoint, PublishedPipeline
from aml_provider.client.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Mapping

_ENDPOINTS = Resource("pipelines", "endpoints/pipelines")


def list_endpoints(*, active_only: bool = True, batch_size: int = 100) -> Call[tuple[PipelineEndpoint, ...]]:
    """List pipeline endpoints; a header asks the service for ``batch_size`` of them at most."""
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise InvalidArgument("batch_size", f"is {batch_size!r}; it must be a whole number of at least 1")
    return _ENDPOINTS.read_list(
        "list pipeline endpoints",
        "/PipelineEndpoints",
        PipelineEndpoint.from_wire,
        query=(("activeOnly", flag(value=active_only)),),
        headers=(("BatchSize", str(batch_size)),),
    )


def get_endpoint(endpoint_id: str) -> Call[PipelineEndpoint]:
    """Read one pipeline endpoint by its id."""
    path = f"/PipelineEndpoints/Id/{segment('endpoint_id', endpoint_id)}"
    return _ENDPOINTS.read(f"get pipeline endpoint {endpoint_id!r}", path, PipelineEndpoint.from_wire)


def get_endpoint_by_name(name: str) -> Call[PipelineEndpoint]:
    """Read one pipeline endpoint by its name, which is unique in the workspace."""
    operation = f"get pipeline endpoint {name!r}"
    query = (("Name", name),)
    return _ENDPOINTS.read(operation, "/PipelineEndpoints/Name", PipelineEndpoint.from_wire, query=query)


def create_endpoint(name: str, pipeline_id: str, description: str) -> Call[PipelineEndpoint]:
    """Create a pipeline endpoint whose version 0, its default, is a published pipeline."""
    return _ENDPOINTS.write(
        f"create pipeline endpoint {name!r}",
        "POST",
        "/PipelineEndpoints/Create",
        PipelineEndpoint.from_wire,
        body={"Name": name, "Description": description, "PipelineId": pipeline_id, "Properties": {}},
        repeatable=False,  # the second time it would be refused, because the name is taken
    )


def update_endpoint(endpoint_id: str, wire: Mapping[str, Any]) -> Call[PipelineEndpoint]:
    """Replace a pipeline endpoint as a whole.

    Sent once: a repetition after a failure would also undo what somebody else has written in between. In doubt,
    the caller reads the endpoint again.
    """
    return _ENDPOINTS.write(
        f"update pipeline endpoint {endpoint_id!r}",
        "PUT",
        f"/PipelineEndpoints/{segment('endpoint_id', endpoint_id)}",
        PipelineEndpoint.from_wire,
        # Microsoft's SDK leaves out what is null.
        body={key: value for key, value in wire.items() if value is not None},
        repeatable=False,
    )


def list_pipelines_of_endpoint(endpoint_id: str, *, active_only: bool = True) -> Call[tuple[PublishedPipeline, ...]]:
    """List the published pipelines behind an endpoint."""
    return _ENDPOINTS.read_list(
        f"list the pipelines of pipeline endpoint {endpoint_id!r}",
        f"/PipelineEndpoints/{segment('endpoint_id', endpoint_id)}/pipelines",
        PublishedPipeline.from_wire,
        query=(("activeOnly", flag(value=active_only)),),
    )
