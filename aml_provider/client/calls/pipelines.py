"""The operations on published pipelines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aml_provider.client.calls.call import Call, Resource, flag, nothing, segment
from aml_provider.client.entities import PipelineInterface, PipelineSummary, PublishedPipeline

if TYPE_CHECKING:
    from collections.abc import Mapping

_PIPELINES = Resource("pipelines", "endpoints/pipelines")


def list_pipelines(*, active_only: bool = True) -> Call[tuple[PublishedPipeline, ...]]:
    """List the published pipelines."""
    query = (("activeOnly", flag(value=active_only)),)
    return _PIPELINES.read_list("list published pipelines", "/Pipelines", PublishedPipeline.from_wire, query=query)


def get_pipeline(pipeline_id: str) -> Call[PublishedPipeline]:
    """Read one published pipeline."""
    path = f"/Pipelines/{segment('pipeline_id', pipeline_id)}"
    return _PIPELINES.read(f"get published pipeline {pipeline_id!r}", path, PublishedPipeline.from_wire)


def list_pipeline_summaries(*, active_only: bool = True) -> Call[tuple[PipelineSummary, ...]]:
    """List the published pipelines, each with its latest run."""
    return _PIPELINES.read_list(
        "list published pipelines with their latest runs",
        "/Pipelines/View",
        PipelineSummary.from_wire,
        query=(("activeOnly", flag(value=active_only)),),
    )


def get_pipeline_summary(pipeline_id: str) -> Call[PipelineSummary]:
    """Read one published pipeline with its latest run."""
    operation = f"get published pipeline {pipeline_id!r} with its latest run"
    path = f"/Pipelines/{segment('pipeline_id', pipeline_id)}/View"
    return _PIPELINES.read(operation, path, PipelineSummary.from_wire)


def publish_pipeline(body: Mapping[str, Any]) -> Call[PublishedPipeline]:
    """Publish a pipeline from a graph in the service's own form (``PipelineCreationInfo``)."""
    return _PIPELINES.write(
        f"publish pipeline {body.get('Name')!r}",
        "POST",
        "/Pipelines/Create",
        PublishedPipeline.from_wire,
        body=dict(body),
        repeatable=False,  # names need not be unique, so the service would make a second one
    )


def set_pipeline_status(pipeline_id: str, status: str) -> Call[None]:
    """Make a published pipeline ``Active`` or ``Disabled``; the body of the request is that word, as JSON."""
    operation = f"set published pipeline {pipeline_id!r} to {status}"
    path = f"/Pipelines/{segment('pipeline_id', pipeline_id)}/status"
    return _PIPELINES.write(operation, "PUT", path, nothing, body=status)


def get_graph(graph_id: str) -> Call[dict[str, Any]]:
    """Read a pipeline's graph of modules, datasets and edges, in the service's own form."""
    return _PIPELINES.read(f"get graph {graph_id!r}", f"/Graphs/{segment('graph_id', graph_id)}", _object)


def _object(wire: Any) -> dict[str, Any]:
    if not isinstance(wire, dict):
        raise TypeError(f"an object was expected, not {type(wire).__name__}")
    return wire


def get_interface(graph_id: str) -> Call[PipelineInterface]:
    """Read the parameters that a pipeline's graph accepts."""
    path = f"/Graphs/{segment('graph_id', graph_id)}/Interface"
    return _PIPELINES.read(f"get the interface of graph {graph_id!r}", path, PipelineInterface.from_wire)
