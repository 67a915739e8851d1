"""The operations on pipeline endpoints.

There is no deletion: an endpoint can only be disabled. A change is a PUT of the whole entity.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aml_provider.client.calls.call import RIGHTS, WRITER, Call, each, flag, segment
from aml_provider.client.entities import PipelineEndpoint, PublishedPipeline
from aml_provider.client.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Mapping

_READ = f"{RIGHTS}/endpoints/pipelines/read"
_WRITE = f"{RIGHTS}/endpoints/pipelines/write"


def list_endpoints(*, active_only: bool = True, batch_size: int = 100) -> Call[tuple[PipelineEndpoint, ...]]:
    """List pipeline endpoints; a header asks the service for ``batch_size`` of them at most."""
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise InvalidArgument("batch_size", f"is {batch_size!r}; it must be a whole number of at least 1")
    return Call(
        operation="list pipeline endpoints",
        method="GET",
        service="pipelines",
        path="/PipelineEndpoints",
        query=(("activeOnly", flag(value=active_only)),),
        headers=(("BatchSize", str(batch_size)),),
        parse=lambda wire: each(PipelineEndpoint.from_wire, wire),
        page_key="continuationToken",
        right=_READ,
    )


def get_endpoint(endpoint_id: str) -> Call[PipelineEndpoint]:
    """Read one pipeline endpoint by its id."""
    return Call(
        operation=f"get pipeline endpoint {endpoint_id!r}",
        method="GET",
        service="pipelines",
        path=f"/PipelineEndpoints/Id/{segment('endpoint_id', endpoint_id)}",
        parse=PipelineEndpoint.from_wire,
        right=_READ,
    )


def get_endpoint_by_name(name: str) -> Call[PipelineEndpoint]:
    """Read one pipeline endpoint by its name, which is unique in the workspace."""
    return Call(
        operation=f"get pipeline endpoint {name!r}",
        method="GET",
        service="pipelines",
        path="/PipelineEndpoints/Name",
        query=(("Name", name),),
        parse=PipelineEndpoint.from_wire,
        right=_READ,
    )


def create_endpoint(name: str, pipeline_id: str, description: str) -> Call[PipelineEndpoint]:
    """Create a pipeline endpoint whose version 0, its default, is a published pipeline."""
    return Call(
        operation=f"create pipeline endpoint {name!r}",
        method="POST",
        service="pipelines",
        path="/PipelineEndpoints/Create",
        body={"Name": name, "Description": description, "PipelineId": pipeline_id, "Properties": {}},
        parse=PipelineEndpoint.from_wire,
        repeatable=False,  # the second time it would be refused, because the name is taken
        right=_WRITE,
        role=WRITER,
    )


def update_endpoint(endpoint_id: str, wire: Mapping[str, Any]) -> Call[PipelineEndpoint]:
    """Replace a pipeline endpoint as a whole.

    Sent once: a repetition after a failure would also undo what somebody else has written in between. In doubt,
    the caller reads the endpoint again.
    """
    return Call(
        operation=f"update pipeline endpoint {endpoint_id!r}",
        method="PUT",
        service="pipelines",
        path=f"/PipelineEndpoints/{segment('endpoint_id', endpoint_id)}",
        # Microsoft's SDK leaves out what is null.
        body={key: value for key, value in wire.items() if value is not None},
        parse=PipelineEndpoint.from_wire,
        repeatable=False,
        right=_WRITE,
        role=WRITER,
    )


def list_pipelines_of_endpoint(endpoint_id: str, *, active_only: bool = True) -> Call[tuple[PublishedPipeline, ...]]:
    """List the published pipelines behind an endpoint."""
    return Call(
        operation=f"list the pipelines of pipeline endpoint {endpoint_id!r}",
        method="GET",
        service="pipelines",
        path=f"/PipelineEndpoints/{segment('endpoint_id', endpoint_id)}/pipelines",
        query=(("activeOnly", flag(value=active_only)),),
        parse=lambda wire: each(PublishedPipeline.from_wire, wire),
        page_key="continuationToken",
        right=_READ,
    )
