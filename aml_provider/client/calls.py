"""One pure function for each operation of the workspace API: what is asked, and how the answer is read.

A :class:`Call` says everything that a driver needs to know, also whether it is safe to send twice. Paths, methods and
bodies are those that Microsoft's own SDK sends (``tests/captures``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar
from urllib.parse import quote

from aml_provider.client.entities import (
    Datastore,
    HistoryRun,
    PipelineEndpoint,
    PipelineInterface,
    PipelineRun,
    PublishedPipeline,
    RunDetails,
    Workspace,
)
from aml_provider.client.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")

Service = Literal["arm", "pipelines", "history", "datastore"]

RIGHTS = "Microsoft.MachineLearningServices/workspaces"


@dataclass(frozen=True)
class Call(Generic[T]):
    """One operation of the workspace API.

    Args:
        operation: What it does, with its subject, for messages: ``get published pipeline 'x'``.
        method: The HTTP method.
        service: Which service answers; it decides the prefix before the path.
        path: The path below the workspace.
        parse: Reads the reply's JSON into the result.
        query: Query parameters in order.
        body: The JSON body; None sends none.
        repeatable: Whether sending it twice does the same as sending it once.
        right: The action that a role must grant, for the message of a 403.
        role: A built-in role that grants it.
        text: Whether the reply is plain text rather than JSON.
    """

    operation: str
    method: str
    service: Service
    path: str
    parse: Callable[[Any], T]
    query: tuple[tuple[str, str], ...] = ()
    body: Any = None
    repeatable: bool = True
    right: str = f"{RIGHTS}/read"
    role: str = "Reader"
    text: bool = False


def segment(argument: str, value: str) -> str:
    """A value as one segment of a path.

    Raises:
        InvalidArgument: It would lead to another path: nothing, or one of the two dots that URLs resolve.
    """
    if not isinstance(value, str) or value.strip() in {"", ".", ".."}:
        raise InvalidArgument(argument, f"is {value!r}; it must name something")
    return quote(value, safe="")


def each(read: Callable[[Any], T], wire: Any) -> tuple[T, ...]:
    """A list's items. What is no list is no empty list either: "none" is an answer that much is built upon."""
    if not isinstance(wire, list):
        raise TypeError(f"a list was expected, not {type(wire).__name__}")
    return tuple(read(item) for item in wire)


def nothing(_: Any) -> None:
    """Read an answer whose body does not matter."""


def get_workspace() -> Call[Workspace]:
    """Read the workspace's own record."""
    return Call(
        operation="get the workspace",
        method="GET",
        service="arm",
        path="",
        query=(("api-version", "2022-05-01"),),
        parse=Workspace.from_wire,
    )


def list_pipelines(*, active_only: bool = True) -> Call[tuple[PublishedPipeline, ...]]:
    """List the published pipelines; the service does not page this list."""
    return Call(
        operation="list published pipelines",
        method="GET",
        service="pipelines",
        path="/Pipelines",
        query=(("activeOnly", "true" if active_only else "false"),),
        parse=lambda wire: each(PublishedPipeline.from_wire, wire),
        right=f"{RIGHTS}/endpoints/pipelines/read",
    )


def get_pipeline(pipeline_id: str) -> Call[PublishedPipeline]:
    """Read one published pipeline."""
    return Call(
        operation=f"get published pipeline {pipeline_id!r}",
        method="GET",
        service="pipelines",
        path=f"/Pipelines/{segment('pipeline_id', pipeline_id)}",
        parse=PublishedPipeline.from_wire,
        right=f"{RIGHTS}/endpoints/pipelines/read",
    )


def get_interface(graph_id: str) -> Call[PipelineInterface]:
    """Read the parameters that a pipeline's graph accepts."""
    return Call(
        operation=f"get the interface of graph {graph_id!r}",
        method="GET",
        service="pipelines",
        path=f"/Graphs/{segment('graph_id', graph_id)}/Interface",
        parse=PipelineInterface.from_wire,
        right=f"{RIGHTS}/endpoints/pipelines/read",
    )


def get_endpoint(endpoint_id: str) -> Call[PipelineEndpoint]:
    """Read one pipeline endpoint by its id."""
    return Call(
        operation=f"get pipeline endpoint {endpoint_id!r}",
        method="GET",
        service="pipelines",
        path=f"/PipelineEndpoints/Id/{segment('endpoint_id', endpoint_id)}",
        parse=PipelineEndpoint.from_wire,
        right=f"{RIGHTS}/endpoints/pipelines/read",
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
        right=f"{RIGHTS}/endpoints/pipelines/read",
    )


def _submit(
    operation: str, path: str, query: tuple[tuple[str, str], ...], body: Mapping[str, Any]
) -> Call[PipelineRun]:
    return Call(
        operation=operation,
        method="POST",
        service="pipelines",
        path=path,
        query=query,
        body=body,
        parse=PipelineRun.from_wire,
        repeatable=False,  # the service has no idempotency key and never lets a client choose the run's id
        right=f"{RIGHTS}/endpoints/pipelines/read and {RIGHTS}/pipelineruns/write",
        role="AzureML Data Scientist",
    )


def submit_pipeline(
    pipeline_id: str, body: Mapping[str, Any], *, parent_run_id: str | None = None
) -> Call[PipelineRun]:
    """Submit a run of a published pipeline."""
    return _submit(
        f"submit published pipeline {pipeline_id!r}",
        f"/PipelineRuns/PipelineSubmit/{segment('pipeline_id', pipeline_id)}",
        (("parentRunId", parent_run_id),) if parent_run_id else (),
        body,
    )


def submit_endpoint(
    endpoint_id: str, body: Mapping[str, Any], *, version: str | None = None, parent_run_id: str | None = None
) -> Call[PipelineRun]:
    """Submit a run of a pipeline endpoint: of the given version, else of its default one."""
    path = f"/PipelineRuns/PipelineEndpointSubmit/Id/{segment('endpoint_id', endpoint_id)}"
    query: tuple[tuple[str, str], ...] = ()
    if version is not None:
        # The SDK sends the version in the path and in the query.
        path = f"{path}/{segment('endpoint_version', version)}"
        query = (("pipelineVersion", version),)
    if parent_run_id:
        query = (*query, ("parentRunId", parent_run_id))
    return _submit(f"submit pipeline endpoint {endpoint_id!r}", path, query, body)


def get_run(run_id: str) -> Call[PipelineRun]:
    """Read a pipeline run and its status."""
    return Call(
        operation=f"get pipeline run {run_id!r}",
        method="GET",
        service="pipelines",
        path=f"/PipelineRuns/{segment('run_id', run_id)}",
        parse=PipelineRun.from_wire,
        right=f"{RIGHTS}/pipelineruns/read",
    )


def cancel_run(run_id: str) -> Call[None]:
    """Ask for a pipeline run's end; the service takes its time, and a repeated request changes nothing."""
    return Call(
        operation=f"cancel pipeline run {run_id!r}",
        method="DELETE",
        service="pipelines",
        path=f"/PipelineRuns/{segment('run_id', run_id)}/Execution",
        parse=nothing,
        right=f"{RIGHTS}/pipelineruns/write",
        role="AzureML Data Scientist",
    )


def list_runs_of_pipeline(pipeline_id: str) -> Call[tuple[PipelineRun, ...]]:
    """List all runs of a published pipeline."""
    return Call(
        operation=f"list the runs of published pipeline {pipeline_id!r}",
        method="GET",
        service="pipelines",
        path=f"/PipelineRuns/Pipeline/{segment('pipeline_id', pipeline_id)}",
        parse=lambda wire: each(PipelineRun.from_wire, wire),
        right=f"{RIGHTS}/pipelineruns/read",
    )


def get_step_output(run_id: str, node_id: str, stream: Literal["STDOUT", "STDERR"]) -> Call[str]:
    """Read what a step wrote; the service answers plain text."""
    return Call(
        operation=f"get the {stream} of step {node_id!r} of run {run_id!r}",
        method="POST",
        service="pipelines",
        path=f"/PipelineRuns/{segment('run_id', run_id)}/Graph/Shareable/{stream}",
        body=[node_id],
        parse=str,
        text=True,
        right=f"{RIGHTS}/pipelineruns/read",
    )


@dataclass(frozen=True)
class RunPage:
    """One page of runs from the run history."""

    runs: tuple[HistoryRun, ...]
    next_token: str | None

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> RunPage:
        """Read the envelope that all history queries share."""
        return cls(
            runs=each(HistoryRun.from_wire, wire["value"]),
            next_token=wire.get("continuationToken") or None,
        )


def query_runs(
    experiment: str, filter_text: str, *, order_by: str = "CreatedUtc desc", top: int = 500, token: str | None = None
) -> Call[RunPage]:
    """Search an experiment's runs with a filter in the history's OData-like syntax."""
    body: dict[str, Any] = {"filter": filter_text, "orderby": order_by, "top": top}
    if token is not None:
        body["continuationToken"] = token
    return Call(
        operation=f"query the runs of experiment {experiment!r}",
        method="POST",
        service="history",
        path=f"/experiments/{segment('experiment_name', experiment)}/runs:query",
        body=body,
        parse=RunPage.from_wire,
        right=f"{RIGHTS}/experiments/runs/read",
    )


def list_steps(experiment: str, run_id: str, *, token: str | None = None) -> Call[RunPage]:
    """List the step runs below a pipeline run."""
    query: tuple[tuple[str, str], ...] = (("$orderby", "StartTimeUtc desc"), ("$top", "500"))
    if token is not None:
        query = (*query, ("$continuationToken", token))
    return Call(
        operation=f"list the steps of run {run_id!r}",
        method="GET",
        service="history",
        path=f"/experiments/{segment('experiment_name', experiment)}/runs/{segment('run_id', run_id)}/children",
        query=query,
        parse=RunPage.from_wire,
        right=f"{RIGHTS}/experiments/runs/read",
    )


def get_run_details(experiment: str, run_id: str) -> Call[RunDetails]:
    """Read a run's error and the addresses of its logs."""
    return Call(
        operation=f"get the details of run {run_id!r}",
        method="GET",
        service="history",
        path=f"/experiments/{segment('experiment_name', experiment)}/runs/{segment('run_id', run_id)}/details",
        parse=RunDetails.from_wire,
        right=f"{RIGHTS}/experiments/runs/read",
    )


def get_history_run(experiment: str, run_id: str) -> Call[HistoryRun]:
    """Read a run as the run history knows it, with the tags that people and we may change."""
    return Call(
        operation=f"get run {run_id!r} of experiment {experiment!r}",
        method="GET",
        service="history",
        path=f"/experiments/{segment('experiment_name', experiment)}/runs/{segment('run_id', run_id)}",
        parse=HistoryRun.from_wire,
        right=f"{RIGHTS}/experiments/runs/read",
    )


def tag_run(experiment: str, run_id: str, tags: Mapping[str, str | None]) -> Call[HistoryRun]:
    """Add tags to a run; the service merges them into those that are there."""
    return Call(
        operation=f"tag run {run_id!r}",
        method="PATCH",
        service="history",
        path=f"/experiments/{segment('experiment_name', experiment)}/runs/{segment('run_id', run_id)}",
        body={"runId": run_id, "tags": dict(tags)},
        parse=HistoryRun.from_wire,
        right=f"{RIGHTS}/experiments/runs/write",
        role="AzureML Data Scientist",
    )


def get_datastore(name: str) -> Call[Datastore]:
    """Read a datastore with its credentials."""
    return Call(
        operation=f"get datastore {name!r}",
        method="GET",
        service="datastore",
        path=f"/datastores/{segment('datastore', name)}",
        parse=Datastore.from_wire,
        right=f"{RIGHTS}/datastores/read and {RIGHTS}/datastores/listsecrets/action",
        role="AzureML Data Scientist",
    )


@dataclass(frozen=True)
class DatastorePage:
    """One page of datastores."""

    datastores: tuple[Datastore, ...]
    next_token: str | None


def list_datastores(*, token: str | None = None) -> Call[DatastorePage]:
    """List the workspace's datastores with their credentials."""
    query: tuple[tuple[str, str], ...] = (("count", "100"), ("includeSecret", "true"))
    if token is not None:
        query = (*query, ("continuationToken", token))
    return Call(
        operation="list datastores",
        method="GET",
        service="datastore",
        path="/datastores",
        query=query,
        parse=lambda wire: DatastorePage(
            datastores=each(Datastore.from_wire, wire["value"]),
            next_token=wire.get("continuationToken") or None,
        ),
        right=f"{RIGHTS}/datastores/read",
        role="AzureML Data Scientist",
    )
