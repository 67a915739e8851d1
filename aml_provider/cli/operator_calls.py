"""``--as-dag``: the call of the run operator for what a command shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aml_provider.cli.execution import CommandError, Prose
from aml_provider.operator_call import Input, operator_call

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aml_provider.client.entities import (
        BatchDeployment,
        BatchEndpoint,
        ComponentInput,
        ComponentVersion,
        PipelineEndpoint,
        PipelineInterface,
        PublishedPipeline,
    )


def of_pipeline(
    pipeline: PublishedPipeline, interface: PipelineInterface, pipelines: Sequence[PublishedPipeline]
) -> Prose:
    """The call that runs a published pipeline: by its name, if no other one of the workspace has it, else by its id."""
    is_unique = sum(item.name == pipeline.name for item in pipelines) == 1
    target = {"pipeline_name": pipeline.name} if is_unique else {"pipeline_id": pipeline.id}
    return _of_interface(pipeline.name, target, interface)


def of_endpoint(endpoint: PipelineEndpoint, interface: PipelineInterface) -> Prose:
    """The call that runs the default version of a pipeline endpoint."""
    return _of_interface(endpoint.name, {"endpoint_name": endpoint.name}, interface)


def of_component(component: ComponentVersion) -> Prose:
    """The call that runs a version of a component.

    Raises:
        CommandError: The component is not a pipeline component, so that it can only be a step.
    """
    target = {"component_name": component.name, "component_version": component.version}
    return _of_inputs(component, component.name, target)


def of_batch_endpoint(endpoint: BatchEndpoint, component: ComponentVersion) -> Prose:
    """The call that runs the component of a batch endpoint's default deployment; raises as :func:`of_component`."""
    return _of_inputs(component, endpoint.name, {"batch_endpoint_name": endpoint.name})


def default_component(endpoint: BatchEndpoint, deployments: Sequence[BatchDeployment]) -> tuple[str, str]:
    """The name and version of the component behind a batch endpoint's default deployment.

    Raises:
        CommandError: There is no such deployment, or it has a model instead of a component.
    """
    deployment = next((item for item in deployments if item.name == endpoint.default_deployment), None)
    if deployment is None or not deployment.component_id:
        what = "no default deployment" if deployment is None else "a default deployment without a component"
        raise CommandError(f"Batch endpoint {endpoint.name!r} has {what}, so the run operator cannot run it.")
    # …/components/{name}/versions/{version}
    _, name, _, version = deployment.component_id.rsplit("/", 3)
    return name, version


def _of_interface(name: str, target: Mapping[str, str], interface: PipelineInterface) -> Prose:
    text = operator_call(
        name,
        target,
        parameters=[
            Input(item.name, item.type, item.default, item.required, item.documentation)
            for item in interface.parameters.values()
        ],
        data_paths=[
            Input(item, "DataPath", "/".join(path).rstrip("/") if path else None, required=not path)
            for item in sorted(interface.data_paths)
            for path in [interface.data_path_defaults.get(item)]
        ],
        datasets=[Input(item, "id of a saved dataset") for item in sorted(interface.datasets)],
    )
    return Prose([{"code": text}], text)


def _of_inputs(component: ComponentVersion, name: str, target: Mapping[str, str]) -> Prose:
    if not component.is_pipeline:
        raise CommandError(
            f"{component} has the type {component.type!r}; the run operator runs pipeline components only."
        )
    inputs = list(component.inputs.values())
    text = operator_call(
        name,
        target,
        parameters=[
            # A job cannot have an empty text.
            Input(item.name, _type(item), item.default, item.required, item.description, omitted=item.default == "")
            for item in inputs
            if not item.takes_data
        ],
        data_paths=[
            Input(item.name, item.type, None, item.required, item.description)
            for item in sorted(inputs, key=lambda item: item.name)
            if item.takes_data
        ],
    )
    return Prose([{"code": text}], text)


def _type(item: ComponentInput) -> str:
    limits = [item.type or "any type"]
    limits += [f"at least {item.minimum}"] if item.minimum else []
    limits += [f"at most {item.maximum}"] if item.maximum else []
    limits += [f"one of {' | '.join(item.choices)}"] if item.choices else []
    return ", ".join(limits)
