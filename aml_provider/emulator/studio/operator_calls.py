"""The call of the run operator on a page; the command ``show --as-dag`` prints the same text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aml_provider.emulator.workspace.component_models import DATA_TYPES
from aml_provider.emulator.workspace.models import DataPath
from aml_provider.operator_call import Input, operator_call

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aml_provider.emulator.workspace.component_models import Component, ComponentInput
    from aml_provider.emulator.workspace.models import DataParameter, Pipeline


def call_of_pipeline(pipeline: Pipeline, name: str, target: Mapping[str, str]) -> str:
    """The call that runs a published pipeline, named as ``target`` says."""
    return operator_call(
        name,
        target,
        parameters=[
            Input(item.name, item.type, item.default, item.required, item.documentation or "")
            for item in pipeline.parameters
        ],
        data_paths=[_data_path(item) for item in sorted(pipeline.data_paths, key=lambda item: item.name)],
        datasets=[Input(name, "id of a saved dataset") for name in sorted(item.name for item in pipeline.datasets)],
    )


def call_of_component(component: Component) -> str | None:
    """The call that runs a version of a component; None: it can only be a step of another one."""
    if component.type != "pipeline":
        return None
    return operator_call(
        component.name,
        {"component_name": component.name, "component_version": component.version},
        parameters=[
            Input(
                item.name, _type(item), item.default, item.required, item.description or "", omitted=item.default == ""
            )
            for item in component.inputs
            if item.type not in DATA_TYPES
        ],
        data_paths=[
            Input(item.name, item.type, None, item.required, item.description or "")
            for item in sorted(component.inputs, key=lambda item: item.name)
            if item.type in DATA_TYPES
        ],
    )


def _data_path(item: DataParameter) -> Input:
    path = item.default
    default = f"{path.datastore}/{path.path}".rstrip("/") if isinstance(path, DataPath) else None
    return Input(item.name, "DataPath", default, required=default is None)


def _type(item: ComponentInput) -> str:
    limits = [item.type or "any type"]
    limits += [f"at least {item.min}"] if item.min else []
    limits += [f"at most {item.max}"] if item.max else []
    limits += [f"one of {' | '.join(item.enum)}"] if item.enum else []
    return ", ".join(limits)
