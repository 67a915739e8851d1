"""The graphs of pipelines and the modules that are their nodes: PascalCase."""

from __future__ import annotations

from aml_provider.emulator.wire.pipelines import PipelinesWire, data_path, dataset_value
from aml_provider.emulator.workspace.body import Body, JsonObject
from aml_provider.emulator.workspace.models import DataParameter, DataPath, Parameter, Pipeline, Step
from aml_provider.emulator.workspace.new_run import module_id

_ENTITY_KEYS = frozenset({"id", "etag", "createddate", "lastmodifieddate", "entitystatus", "defaultcompute"})


class GraphsWire:
    """Writes graphs, their interfaces and modules."""

    def __init__(self, wire: PipelinesWire) -> None:
        self._wire = wire

    def graph(self, pipeline: Pipeline) -> JsonObject:
        """``GraphEntity``: the graph as it was published, or derived from the steps, with one node for each step."""
        nodes = {"ModuleNodes": [_node(step) for step in pipeline.steps], "DatasetNodes": [], "Edges": []}
        # A published graph can write its keys in another case.
        given = {key: item for key, item in (pipeline.graph or {}).items() if key.lower() not in _ENTITY_KEYS}
        return {
            **(given or nodes),
            "DefaultCompute": None,
            **self._wire.entity(pipeline.graph_id, "Active", pipeline.created, pipeline.created),
        }

    def interface(self, pipeline: Pipeline) -> JsonObject:
        """``EntityInterface``: the parameters of a pipeline."""
        return {
            "Parameters": [
                {
                    **_declared(item, item.default),
                    "MinMaxRules": [],
                    "EnumRules": [],
                    "Type": self._wire.enum("parameter", item.type),
                }
                for item in pipeline.parameters
            ],
            "DataPathParameters": [
                {
                    **_declared(item, data_path(item.default) if isinstance(item.default, DataPath) else None),
                    "DataTypeId": "DataPath",
                }
                for item in pipeline.data_paths
            ],
            "DataPathParameterList": [_declared(item, dataset_value(item)) for item in pipeline.datasets],
            "MetadataParameters": [],
            "Ports": {"Inputs": [], "Outputs": []},
        }

    def module(self, pipeline: Pipeline, step: Step, module: str) -> JsonObject:
        """A module with an empty interface: the emulator does not know the inputs of a step."""
        empty: JsonObject = {"Parameters": [], "MetadataParameters": []}
        structure = {"CommandLinePattern": None, "Inputs": [], "Outputs": [], "Arguments": [], **empty}
        return {
            "Data": {
                "Name": step.name,
                "Description": None,
                "ModuleExecutionType": None,
                "ModuleType": None,
                "StepType": "PythonScriptStep",
                "UploadState": self._wire.enum("upload", "Completed"),
                "IsDeterministic": False,
                "StructuredInterface": structure,
                "Hash": None,
                "tags": {},
                "Properties": {},
                **self._wire.entity(module, "Active", pipeline.created, pipeline.created),
            },
            "Interface": {
                "Ports": {"Inputs": [], "Outputs": []},
                "DataPathParameters": [],
                "DataPathParameterList": [],
                **empty,
            },
        }


def modules(pipeline: Pipeline) -> dict[str, Step]:
    """The steps of a pipeline by the ids of their modules."""
    found = {module_id(step): step for step in pipeline.steps}
    steps = {step.node_id: step for step in pipeline.steps}
    for node in Body(pipeline.graph or {}).objects("ModuleNodes"):
        module = node.text("ModuleId")
        if module is not None:
            found[module] = steps[node.required("Id")]
    return found


def _declared(item: Parameter | DataParameter, default: object) -> JsonObject:
    return {
        "Name": item.name,
        "Documentation": item.documentation,
        "DefaultValue": default,
        "IsOptional": item.optional,
    }


def _node(step: Step) -> JsonObject:
    return {
        "Id": step.node_id,
        "ModuleId": module_id(step),
        "ModuleType": None,
        "Comment": step.name,
        "ModuleParameters": [],
        "ModuleMetadataParameters": [],
        "ModuleOutputSettings": [],
        "ModuleInputSettings": [],
        "UseGraphDefaultCompute": False,
        "Runconfig": None,
        "CloudSettings": None,
        "RegenerateOutput": False,
    }
