"""The operations on pipeline runs and their steps, as the pipelines service has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from aml_provider.client.calls.call import RIGHTS, Call, Resource, nothing, segment
from aml_provider.client.entities import Output, PipelineRun, StepStatus
from aml_provider.client.entities.runs import step_status_code

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeVar

    T = TypeVar("T")

# No action has the name of this service's runs: the documented role for submitting published pipelines has those of the
# run history (Microsoft Learn, "Manage access to Azure Machine Learning workspaces", role MLOps).
_RUNS = Resource("pipelines", "experiments/runs")
_SUBMIT = (
    f"{RIGHTS}/endpoints/pipelines/read",
    f"{RIGHTS}/experiments/runs/write",
    f"{RIGHTS}/experiments/runs/submit/action",
)


def _submit(
    operation: str, path: str, query: tuple[tuple[str, str], ...], body: Mapping[str, Any]
) -> Call[PipelineRun]:
    return _RUNS.write(
        operation,
        "POST",
        path,
        PipelineRun.from_wire,
        query=query,
        body=body,
        repeatable=False,  # the service has no idempotency key and never lets a client choose the run's id
        right=" and ".join(_SUBMIT),
    )


def submit_pipeline(
    pipeline_id: str, body: Mapping[str, Any], *, parent_run_id: str | None = None
) -> Call[PipelineRun]:
    """Submit a run of a published pipeline."""
    path = f"/PipelineRuns/PipelineSubmit/{segment('pipeline_id', pipeline_id)}"
    query = (("parentRunId", parent_run_id),) if parent_run_id else ()
    return _submit(f"submit published pipeline {pipeline_id!r}", path, query, body)


def submit_endpoint(
    endpoint_id: str, body: Mapping[str, Any], *, version: str | None = None, parent_run_id: str | None = None
) -> Call[PipelineRun]:
    """Submit a run of a pipeline endpoint: of the given version, else of the default version."""
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
    path = f"/PipelineRuns/{segment('run_id', run_id)}"
    return _RUNS.read(f"get pipeline run {run_id!r}", path, PipelineRun.from_wire)


def cancel_run(run_id: str) -> Call[None]:
    """Request the cancellation of a pipeline run. It takes some time, and a repeated request changes nothing."""
    path = f"/PipelineRuns/{segment('run_id', run_id)}/Execution"
    return _RUNS.write(f"cancel pipeline run {run_id!r}", "DELETE", path, nothing)


def list_runs_of_pipeline(pipeline_id: str) -> Call[tuple[PipelineRun, ...]]:
    """List all runs of a published pipeline."""
    operation = f"list the runs of published pipeline {pipeline_id!r}"
    path = f"/PipelineRuns/Pipeline/{segment('pipeline_id', pipeline_id)}"
    return _RUNS.read_list(operation, path, PipelineRun.from_wire)


def _of_steps(
    operation: str, run_id: str, path: str, nodes: tuple[str, ...], parse: Callable[[Any], T], **options: Any
) -> Call[T]:
    """A query about steps: a POST whose body is the path to a node in the graph, one id for each level."""
    path = f"/PipelineRuns/{segment('run_id', run_id)}/{path}"
    return _RUNS.read(operation, path, parse, method="POST", body=list(nodes), **options)


def list_step_statuses(run_id: str) -> Call[dict[str, StepStatus]]:
    """Read the status of each step, by node."""

    def parse(wire: Any) -> dict[str, StepStatus]:
        return {node: StepStatus.from_wire(item) for node, item in wire.items()}

    return _of_steps(f"list the step statuses of run {run_id!r}", run_id, "Graph/AllNodes/Status", (), parse)


def list_step_status_codes(run_id: str) -> Call[dict[str, str]]:
    """Read the name of each step's status, by node."""

    def parse(wire: Any) -> dict[str, str]:
        return {node: step_status_code(item) for node, item in wire.items()}

    return _of_steps(f"list the step status codes of run {run_id!r}", run_id, "Graph/AllNodes/StatusCode", (), parse)


def get_step_status(run_id: str, node_id: str) -> Call[StepStatus]:
    """Read the status of one step."""
    operation = f"get the status of step {node_id!r} of run {run_id!r}"
    return _of_steps(operation, run_id, "Graph/Node/Status", (node_id,), StepStatus.from_wire)


def get_step_status_code(run_id: str, node_id: str) -> Call[str]:
    """Read the name of one step's status."""
    operation = f"get the status code of step {node_id!r} of run {run_id!r}"
    return _of_steps(operation, run_id, "Graph/Node/StatusCode", (node_id,), _code)


def _code(wire: Any) -> str:
    if isinstance(wire, bool) or not isinstance(wire, (str, int)):
        raise TypeError(f"a status was expected, not {type(wire).__name__}")
    return step_status_code(wire)


def get_step_log(run_id: str, node_id: str, stream: Literal["STDOUT", "STDERR", "JobLog"]) -> Call[str]:
    """Read a step's log; the service answers plain text."""
    operation = f"get the {stream} of step {node_id!r} of run {run_id!r}"
    return _of_steps(operation, run_id, f"Graph/Shareable/{stream}", (node_id,), str, text=True)


def list_step_outputs(run_id: str, node_id: str) -> Call[dict[str, Output]]:
    """Read the places of a step's outputs, by name."""
    return _of_steps(
        f"list the outputs of step {node_id!r} of run {run_id!r}",
        run_id,
        "Outputs",
        (node_id,),
        lambda wire: {name: Output.from_wire(item) for name, item in wire.items()},
        secrets=lambda outputs: (secret for output in outputs.values() for secret in output.secrets),
    )


def get_pipeline_output(run_id: str, name: str) -> Call[Output]:
    """Read the place of an output of the pipeline itself."""
    operation = f"get output {name!r} of run {run_id!r}"
    path = f"/PipelineRuns/{segment('run_id', run_id)}/PipelineRunOutputs/{segment('name', name)}"
    return _RUNS.read(operation, path, Output.from_wire, secrets=lambda output: output.secrets)
