"""Flows that find the pipeline, endpoint or component that an author names, and read its interface."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aml_provider.client import calls
from aml_provider.client.errors import PipelineDisabled, PipelineError
from aml_provider.client.flows.components import find_component, find_deployment
from aml_provider.client.flows.datastores import check_datastores
from aml_provider.client.flows.endpoints import find_endpoint
from aml_provider.client.flows.finding import ENDPOINT, PIPELINE, no_such_name, only_named, read_by_id
from aml_provider.client.help import sentence
from aml_provider.client.specs.component_inputs import check_inputs
from aml_provider.client.specs.target import Target
from aml_provider.client.text import some_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aml_provider.client.entities import (
        BatchDeployment,
        ComponentVersion,
        PipelineEndpoint,
        PipelineInterface,
        PublishedPipeline,
    )
    from aml_provider.client.http.messages import Flow
    from aml_provider.client.specs.run import RunRequest
    from aml_provider.client.specs.target import PipelineReference

# The id of a component's version in Azure Resource Manager.
_IN_WORKSPACE = re.compile(r"(?P<workspace>/.+)/components/(?P<name>[^/]+)/versions/(?P<version>[^/]+)", re.IGNORECASE)


@dataclass
class Known:
    """The parts of a workspace that have been read and are not read again."""

    #: By graph id: a graph never changes.
    interfaces: dict[str, PipelineInterface] = field(default_factory=dict)
    #: The names of datastores in small letters, as the service ignores case.
    datastores: set[str] = field(default_factory=set)
    #: The workspace's id in Azure Resource Manager.
    workspace: str = ""
    #: By name and version: a version of a component never changes.
    components: dict[tuple[str, str], ComponentVersion] = field(default_factory=dict)


_KNOWN: dict[str, Known] = {}


def known_of(identity: str, workspace: str) -> Known:
    """The parts of a workspace that this process has read.

    Args:
        identity: Its :attr:`~.WorkspaceSettings.identity`.
        workspace: Its id in Azure Resource Manager.
    """
    return _KNOWN.setdefault(identity, Known(workspace=workspace))


def find_pipeline(name: str) -> Flow[PublishedPipeline]:
    """Find the one active published pipeline of this name.

    Raises:
        AmbiguousName: Several are active; the message lists their ids, versions and dates.
        PipelineDisabled: It is not active; the message says how to enable it.
        PipelineError: There is no such pipeline; the message suggests similar names.
    """
    pipelines: tuple[PublishedPipeline, ...] = yield calls.list_pipelines()
    found = only_named(PIPELINE, name, (item for item in pipelines if item.is_active), "pipeline_name")
    if found is not None:
        return found
    # Inactive ones are listed only where no active one has the name.
    everything: tuple[PublishedPipeline, ...] = yield PIPELINE.listing()
    disabled = [pipeline for pipeline in everything if pipeline.name == name and not pipeline.is_active]
    if disabled:
        raise PipelineDisabled(f"pipeline_name: {how_to_enable(disabled)}")
    raise no_such_name(PIPELINE, name, everything, "pipeline_name")


def how_to_enable(pipelines: Sequence[PublishedPipeline]) -> str:
    """The text of an error: which of these pipelines are not active, and how the last of them is enabled."""
    name, last = pipelines[0].name, pipelines[-1].id
    if len(pipelines) == 1:
        problem = f"published pipeline {name!r} ({last}) is {pipelines[0].status}"
    else:
        named = some_of([f"{item.id} ({item.status})" for item in pipelines], ", ")
        problem = f"none of the published pipelines named {name!r} is active: {named}"
    return (
        f"{problem}; enable it with AzureMLEnablePipelineOperator(pipeline_id={last!r}) or the command "
        f"`pipelines enable {last}`, or give another one."
    )


def find_pipeline_of_id(pipeline_id: str, subject: str = "pipeline_id") -> Flow[PublishedPipeline]:
    """Read the published pipeline of this id, active or not.

    An error message begins with ``subject``: the argument, or what refers to the pipeline.

    Raises:
        PipelineError: There is no such pipeline; the message says if the id is a name, and lists similar ids.
    """
    return read_by_id(PIPELINE, calls.get_pipeline(pipeline_id), pipeline_id, subject)


def find_target(reference: PipelineReference, known: Known) -> Flow[Target]:
    """Find the pipeline, endpoint or component of a reference, with as few requests as possible.

    A version of a component that is read is added to ``known``.

    Raises:
        PipelineError: There is no such pipeline, endpoint or component, or there are several.
    """
    if reference.is_v2:
        return (yield from _find_component(reference, known))
    version = reference.endpoint_version
    if reference.pipeline_id is not None:
        return Target("pipeline", reference.pipeline_id, pipeline_id=reference.pipeline_id)
    if reference.pipeline_name is not None:
        pipeline = yield from find_pipeline(reference.pipeline_name)
        return Target("pipeline", pipeline.id, pipeline_id=pipeline.id)
    if reference.endpoint_id is not None:
        return Target("endpoint", reference.endpoint_id, version)
    assert reference.endpoint_name is not None
    endpoint = yield from find_endpoint(reference.endpoint_name)
    _check_active("endpoint_name", endpoint)
    return Target("endpoint", endpoint.id, version, _pipeline_behind(endpoint, version))


def find_target_for(
    request: RunRequest, reference: PipelineReference, known: Known, *, validate: bool = True
) -> Flow[Target]:
    """Find the pipeline, endpoint or component of a reference, and make sure that it accepts a request.

    The parts of the workspace that are read are added to ``known``.

    Args:
        request: The request.
        reference: The pipeline, endpoint or component.
        known: The parts of the workspace that have been read.
        validate: False: only find it, with as few requests as possible. A component that gets data is read anyway,
            because a job says for each of its inputs whether it is a file or a folder.

    Raises:
        PipelineError: There is no such pipeline, endpoint or component, there are several, or it cannot be run.
        InvalidParameters: It does not accept the request.
        InvalidArgument: A datastore does not exist.
    """
    target = yield from find_target(reference, known)
    if validate:
        target = yield from accept(request, target, known)
        yield from check_datastores(request.datastores(), known.datastores, of_job=reference.is_v2)
    elif target.kind == "component" and (request.data_paths or request.datasets):
        target, _ = yield from _read_component(target, known)
    return target


def accept(request: RunRequest, target: Target, known: Known) -> Flow[Target]:
    """Make sure that a target can be run and that its interface accepts a request; returns the target as it was read.

    Raises:
        PipelineError: The target does not exist, or it cannot be run.
        InvalidParameters: It does not accept the request.
    """
    if target.kind == "component":
        target, component = yield from _read_component(target, known)
        check_inputs(request, component)
        return target
    target, pipeline, interface = yield from inspect_target(target, known)
    request.check(interface, f"published pipeline {pipeline.name!r} ({pipeline.id})")
    return target


def _find_component(reference: PipelineReference, known: Known) -> Flow[Target]:
    """Find the version of a component. It is read only if that is necessary to find the newest version."""
    name, version = reference.component_name, reference.component_version
    settings: Mapping[str, str] = {}
    if reference.batch_endpoint_name is not None:
        deployment = yield from find_deployment(reference.batch_endpoint_name, reference.deployment_name)
        name, version = _component_of(deployment, reference.batch_endpoint_name, known.workspace)
        settings = deployment.settings
    assert name is not None
    if version is None:
        newest = yield from find_component(name)
        version = newest.version
        known.components[name, version] = newest
    version_id = f"{known.workspace}/components/{name}/versions/{version}"
    return Target("component", version_id, version, version_id, name=name, settings=tuple(settings.items()))


def _component_of(deployment: BatchDeployment, endpoint_name: str, workspace: str) -> tuple[str, str]:
    """The component's name and version behind a deployment, which must be in the workspace.

    Raises:
        PipelineError: It is in a registry, or in another workspace.
    """
    # Microsoft's tools write the id with the prefix, too.
    found = _IN_WORKSPACE.fullmatch(deployment.component_id.removeprefix("azureml:"))
    # Ids in Azure Resource Manager ignore case; the name and the version do not.
    if found is None or found["workspace"].casefold() != workspace.casefold():
        raise PipelineError(
            f"deployment_name: deployment {deployment.name!r} of batch endpoint {endpoint_name!r} runs the component "
            f"{deployment.component_id}, which is not one of this workspace's, so that its inputs cannot be read; "
            "register the component in the workspace and give its component_name"
        )
    return found["name"], found["version"]


def _read_component(target: Target, known: Known) -> Flow[tuple[Target, ComponentVersion]]:
    """Read a version of a component, unless it is known already, and make sure that a job can be made of it.

    Raises:
        PipelineError: It does not exist, or it is not a pipeline.
    """
    assert target.version is not None
    key = target.name, target.version
    if key not in known.components:
        known.components[key] = yield from find_component(*key)
    component = known.components[key]
    if not component.is_pipeline:
        raise PipelineError(
            f"component_name: {component} is of type {component.type or 'unknown'}; only a pipeline component can be "
            "run as a job of its own. Give one, or make a pipeline component that has this one as a step"
        )
    return target._replace(data_inputs=component.data_inputs), component


def _check_active(argument: str, endpoint: PipelineEndpoint) -> None:
    if not endpoint.is_active:
        raise PipelineDisabled(
            f"{argument}: pipeline endpoint {endpoint.name!r} ({endpoint.id}) is {endpoint.status}; enable it with "
            f"AzureMLHook().enable_endpoint({endpoint.id!r}), or give another one. Nothing was submitted."
        )


def _pipeline_behind(endpoint: PipelineEndpoint, version: str | None) -> str:
    wanted = endpoint.default_version if version is None else version
    if wanted not in endpoint.versions:
        which = f"version {wanted!r}" if version is not None else f"version {wanted!r}, which is its default one"
        *earlier, last = sorted(endpoint.versions, key=lambda name: (len(name), name)) or ["none"]
        known = ", ".join([*earlier[-9:], last])
        more = f"{len(earlier) - 9} earlier ones and " if len(earlier) > 9 else ""
        raise PipelineError(f"endpoint_version: endpoint {endpoint.name!r} has no {which}; it has {more}{known}")
    return endpoint.versions[wanted]


def inspect_target(target: Target, known: Known) -> Flow[tuple[Target, PublishedPipeline, PipelineInterface]]:
    """Read the interface of a target, unless it is known already, and make sure that the target can be run.

    Raises:
        PipelineDisabled: It is not active.
        PipelineError: There is no such pipeline or endpoint.
    """
    pipeline_id = target.pipeline_id
    if pipeline_id is None:
        endpoint = yield from read_by_id(ENDPOINT, calls.get_endpoint(target.id), target.id)
        _check_active("endpoint_id", endpoint)
        pipeline_id = _pipeline_behind(endpoint, target.version)
    # The author did not name the pipeline behind an endpoint, so no argument is at fault.
    subject = "pipeline_id" if target.kind == "pipeline" else f"{target} runs a pipeline that cannot be run"
    pipeline = yield from find_pipeline_of_id(pipeline_id, subject)
    if not pipeline.is_active:
        raise PipelineDisabled(f"{subject}: {sentence(how_to_enable([pipeline]))} Nothing was submitted.")
    if pipeline.graph_id not in known.interfaces:
        known.interfaces[pipeline.graph_id] = yield calls.get_interface(pipeline.graph_id)
    interface = known.interfaces[pipeline.graph_id].with_defaults(pipeline.defaults)
    return target._replace(pipeline_id=pipeline_id), pipeline, interface


def read_interface(pipeline_id: str) -> Flow[PipelineInterface]:
    """Read the interface of a published pipeline, active or not."""
    pipeline: PublishedPipeline = yield calls.get_pipeline(pipeline_id)
    interface: PipelineInterface = yield calls.get_interface(pipeline.graph_id)
    return interface.with_defaults(pipeline.defaults)
