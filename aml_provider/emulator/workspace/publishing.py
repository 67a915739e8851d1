"""Publishing a pipeline: from a new graph, or from that of another pipeline or a run."""

from __future__ import annotations

import graphlib
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from aml_provider.emulator.workspace.body import Body
from aml_provider.emulator.workspace.dependencies import graph_edges
from aml_provider.emulator.workspace.errors import bad_request
from aml_provider.emulator.workspace.models import DataParameter, Parameter, Pipeline, Step
from aml_provider.emulator.workspace.new_run import module_id
from aml_provider.emulator.workspace.submission import check_names, data_path, data_paths, dataset_values

if TYPE_CHECKING:
    from aml_provider.emulator.workspace.workspace import Workspace

PARAMETER_TYPES = ("Int", "Double", "Bool", "String", "Undefined")


def published(workspace: Workspace, body: object) -> Pipeline:
    """The pipeline that a ``PipelineCreationInfo`` describes; it is not added to the workspace.

    Its graph is ``Graph``, or the one with the id ``GraphId``, or that of the run ``ExperimentId`` (older clients).
    Without ``GraphInterface`` its parameters are those of the pipeline with that graph.

    Raises:
        ServiceError: Something in the body is missing, wrong or unknown.
    """
    given = Body(body)
    now = workspace.clock.now()
    pipeline = Pipeline(
        name=given.required("Name"),
        id=str(uuid.uuid4()),
        graph_id=str(uuid.uuid4()),
        description=given.text("Description"),
        version=given.text("Version"),
        continue_on_step_failure=given.flag("ContinueRunOnStepFailure") or False,
        enable_notification=given.flag("EnableNotification") or False,
        properties=given.texts("Properties"),
        tags=given.tags(),
        created=now,
        modified=now,
    )
    graph = given.object("Graph")
    source = _source(workspace, given, graph)
    if graph is not None and "ModuleNodes" in graph:
        pipeline.steps = _steps(workspace, graph)
        pipeline.graph = given.mapping("Graph")
    elif source is not None:
        pipeline.steps, pipeline.graph = list(source.steps), source.graph
    else:
        raise bad_request("Graph with its ModuleNodes, or GraphId, is required.", "GraphRequired")
    interface = given.object("GraphInterface")
    if interface is not None:
        _read_interface(pipeline, interface)
    elif source is not None:
        pipeline.parameters, pipeline.data_paths = source.parameters, source.data_paths
        pipeline.datasets = source.datasets
    _assign(pipeline, given)
    return pipeline


def _source(workspace: Workspace, given: Body, graph: Body | None) -> Pipeline | None:
    """The published pipeline whose graph the body names, if it names one."""
    run_id = given.text("ExperimentId")
    if run_id is not None:
        return workspace.pipeline(workspace.run(run_id).pipeline_id)
    graph_id = given.text("GraphId")
    if graph_id is not None:
        return workspace.pipeline_of_graph(graph_id)
    if graph is None or (graph_id := graph.text("Id")) is None:
        return None
    if "ModuleNodes" not in graph:
        return workspace.pipeline_of_graph(graph_id)
    return next((item for item in workspace.pipelines.values() if item.graph_id == graph_id), None)


def _steps(workspace: Workspace, graph: Body) -> list[Step]:
    """The graph's nodes as steps; each step comes after the steps whose outputs it takes."""
    # The emulator cannot run the code of an unknown module: it takes a second and succeeds.
    known = {module_id(step): step for pipeline in workspace.pipelines.values() for step in pipeline.steps}
    steps: dict[str, Step] = {}
    for node in graph.objects("ModuleNodes"):
        node_id = node.required("Id")
        if node_id in steps:
            raise bad_request(f"Two ModuleNodes have the Id {node_id}.")
        step = known.get(node.text("ModuleId") or "") or Step(name=node.text("Comment") or node_id)
        steps[node_id] = replace(step, node_id=node_id)
    if not steps:
        raise bad_request("ModuleNodes is empty; a pipeline needs a step.", "GraphRequired")
    before: dict[str, list[str]] = {node_id: [] for node_id in steps}
    for source, target in graph_edges(graph):
        if source in steps and target in steps:
            before[target].append(source)
    try:
        return [steps[node_id] for node_id in graphlib.TopologicalSorter(before).static_order()]
    except graphlib.CycleError as error:
        raise bad_request(f"Edges form a cycle: {' -> '.join(error.args[1])}.", "GraphInvalid") from error


def _read_interface(pipeline: Pipeline, interface: Body) -> None:
    pipeline.parameters = [_parameter(item) for item in interface.objects("Parameters")]
    pipeline.data_paths = [_path_parameter(item) for item in interface.objects("DataPathParameters")]
    pipeline.datasets = [_dataset_parameter(item) for item in interface.objects("DataPathParameterList")]
    declared: list[Parameter | DataParameter] = [*pipeline.parameters, *pipeline.data_paths, *pipeline.datasets]
    names = [item.name for item in declared]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise bad_request(f"GraphInterface names these parameters twice: {', '.join(twice)}.")


def _parameter(item: Body) -> Parameter:
    return Parameter(
        **_declared(item), type=item.choice("Type", PARAMETER_TYPES) or "Undefined", default=item.scalar("DefaultValue")
    )


def _path_parameter(item: Body) -> DataParameter:
    parameter, default = DataParameter(**_declared(item)), item.get("DefaultValue")
    return parameter if default is None else replace(parameter, default=data_path(parameter.name, default))


def _dataset_parameter(item: Body) -> DataParameter:
    parameter, value = DataParameter(**_declared(item)), item.mapping("DefaultValue")
    return _with_dataset(parameter, value) if value else parameter


def _declared(item: Body) -> dict[str, Any]:
    """The fields that all kinds of parameters have."""
    return {
        "name": item.required("Name"),
        "optional": item.flag("IsOptional") or False,
        "documentation": item.text("Documentation"),
    }


def _with_dataset(parameter: DataParameter, value: dict[str, Any]) -> DataParameter:
    """The parameter with a ``DataSetDefinitionValue`` as its default."""
    saved = Body(value).object("SavedDataSetReference")
    if saved is not None:
        return replace(parameter, default=saved.required("Id"), value=None)
    return replace(parameter, default=None, value=value)


def _assign(pipeline: Pipeline, given: Body) -> None:
    """Set the defaults of parameters to the assigned values."""
    texts, paths, datasets = given.texts("ParameterAssignments"), data_paths(given), dataset_values(given)
    check_names("parameter", texts, [item.name for item in pipeline.parameters])
    check_names("data path parameter", paths, [item.name for item in pipeline.data_paths])
    check_names("dataset parameter", datasets, [item.name for item in (*pipeline.datasets, *pipeline.data_paths)])
    pipeline.parameters = [replace(item, default=texts.get(item.name, item.default)) for item in pipeline.parameters]
    pipeline.data_paths = [replace(item, default=paths.get(item.name, item.default)) for item in pipeline.data_paths]
    pipeline.datasets = [
        _with_dataset(item, datasets[item.name]) if item.name in datasets else item for item in pipeline.datasets
    ]
