"""The operations on published pipelines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aml_provider.client.calls.call import RIGHTS, WRITER, Call, each, flag, nothing, segment
from aml_provider.client.entities import PipelineInterface, PipelineSummary, PublishedPipeline

if TYPE_CHECKING:
    from collections.abc import Mapping

_READ = f"{RIGHTS}/endpoints/pipelines/read"
_WRITE = f"{RIGHTS}/endpoints/pipelines/write"


def list_pipelines(*, active_only: bool = True) -> Call[tuple[PublishedPipeline, ...]]:
    """List the published pipelines."""
    return Call(
        operation="list published pipelines",
        method="GET",
        service="pipelines",
        path="/Pipelines",
        query=(("activeOnly", flag(value=active_only)),),
        parse=lambda wire: each(PublishedPipeline.from_wire, wire),
        page_key="continuationToken",
        right=_READ,
    )


def get_pipeline(pipeline_id: str) -> Call[PublishedPipeline]:
    """Read one published pipeline."""
    return Call(
        operation=f"get published pipeline {pipeline_id!r}",
        method="GET",
        service="pipelines",
        path=f"/Pipelines/{segment('pipeline_id', pipeline_id)}",
        parse=PublishedPipeline.from_wire,
        right=_READ,
    )


def list_pipeline_summaries(*, active_only: bool = True) -> Call[tuple[PipelineSummary, ...]]:
    """List the published pipelines, each with its latest run."""
    return Call(
        operation="list published pipelines with their latest runs",
        method="GET",
        service="pipelines",
        path="/Pipelines/View",
        query=(("activeOnly", flag(value=active_only)),),
        parse=lambda wire: each(PipelineSummary.from_wire, wire),
        page_key="continuationToken",
        right=_READ,
    )


def get_pipeline_summary(pipeline_id: str) -> Call[PipelineSummary]:
    """Read one published pipeline with its latest run."""
    return Call(
        operation=f"get published pipeline {pipeline_id!r} with its latest run",
        method="GET",
        service="pipelines",
        path=f"/Pipelines/{segment('pipeline_id', pipeline_id)}/View",
        parse=PipelineSummary.from_wire,
        right=_READ,
    )


def publish_pipeline(body: Mapping[str, Any]) -> Call[PublishedPipeline]:
    """Publish a pipeline from a graph in the service's own form (``PipelineCreationInfo``)."""
    return Call(
        operation=f"publish pipeline {body.get('Name')!r}",
        method="POST",
        service="pipelines",
        path="/Pipelines/Create",
        body=dict(body),
        parse=PublishedPipeline.from_wire,
        repeatable=False,  # names need not be unique, so the service would make a second one
        right=_WRITE,
        role=WRITER,
    )


def set_pipeline_status(pipeline_id: str, status: str) -> Call[None]:
    """Make a published pipeline ``Active`` or ``Disabled``; the body is that word, as JSON."""
    return Call(
        operation=f"set published pipeline {pipeline_id!r} to {status}",
        method="PUT",
        service="pipelines",
        path=f"/Pipelines/{segment('pipeline_id', pipeline_id)}/status",
        body=status,
        parse=nothing,
        right=_WRITE,
        role=WRITER,
    )


def get_graph(graph_id: str) -> Call[dict[str, Any]]:
    """Read a pipeline's graph of modules, datasets and edges, in the service's own form."""
    return Call(
        operation=f"get graph {graph_id!r}",
        method="GET",
        service="pipelines",
        path=f"/Graphs/{segment('graph_id', graph_id)}",
        parse=_object,
        right=_READ,
    )


def _object(wire: Any) -> dict[str, Any]:
    if not isinstance(wire, dict):
        raise TypeError(f"an object was expected, not {type(wire).__name__}")
    return wire


def get_interface(graph_id: str) -> Call[PipelineInterface]:
    """Read the parameters that a pipeline's graph accepts."""
    return Call(
        operation=f"get the interface of graph {graph_id!r}",
        method="GET",
        service="pipelines",
        path=f"/Graphs/{segment('graph_id', graph_id)}/Interface",
        parse=PipelineInterface.from_wire,
        right=_READ,
    )
