"""The request for a run as a pipeline job: its id and its body (azureml-v2-rest 4)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from aml_provider.client.errors import InvalidArgument
from aml_provider.client.specs.run import submitter_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aml_provider.client.specs.run import RunRequest
    from aml_provider.client.specs.target import PipelineReference, Target

_JOB_ID = re.compile(r"airflow-[0-9a-f]{32}-[0-9]+")
_DATA_ASSET = re.compile(r"[^:/\s]+:[^:/\s]+")
#: A compute that every workspace has and that is not one of its resources.
_SERVERLESS = "serverless"
# The settings whose values are texts in a deployment and something else in a job.
_RESOURCES = {"default_compute": "computes", "default_datastore": "datastores"}
_FLAGS = frozenset({"continue_on_step_failure", "force_rerun"})


def job_id(key: str, ordinal: int) -> str:
    """The id of the job of a submission with this key and ordinal; the client chooses the id.

    Args:
        key: The submission's key, 32 hexadecimal digits.
        ordinal: The number of runs of the same generation that were unsuccessful before this one.
    """
    return f"airflow-{key}-{ordinal}"


def is_own_job_id(run_id: str) -> bool:
    """Whether a run's id has the form of :func:`job_id`, which shows that the run is a pipeline job."""
    return _JOB_ID.fullmatch(run_id) is not None


def check_order(reference: PipelineReference, request: RunRequest, parent_run_id: str | None) -> None:
    """Check, before any request, that the kind of pipeline that an author names can do what the author asks for.

    Raises:
        InvalidArgument: Runs of this kind cannot have one of the values; the message names it.
    """
    if not reference.is_v2:
        if request.compute is not None:
            raise InvalidArgument(
                "compute",
                "goes with component_name or batch_endpoint_name only; the steps of a published pipeline have computes "
                "of their own",
            )
        return
    if parent_run_id is not None:
        raise InvalidArgument(
            "parent_run_id",
            "cannot be used with component_name or batch_endpoint_name, because a pipeline job has no parent run; "
            "leave it out, or connect the jobs with a tag",
        )
    for name, text in request.parameters.items():
        if not text:
            raise InvalidArgument(
                f"parameters[{name!r}]",
                "is an empty text, which the input of a pipeline job cannot be; leave it out if it is optional, or "
                "agree on another value with the component",
            )
    for name, asset in request.datasets.items():
        if not _DATA_ASSET.fullmatch(asset):
            raise InvalidArgument(
                f"datasets[{name!r}]", f"is {asset!r}; a component takes a data asset, written 'name:version'"
            )


def job_to_wire(request: RunRequest, target: Target, *, workspace: str, own_tags: Mapping[str, str]) -> dict[str, Any]:
    """The body of a pipeline job that runs a version of a component (azureml-v2-rest 4.2).

    Args:
        request: The run, which :func:`check_order` has accepted.
        target: The version of the component.
        workspace: The workspace's id in Azure Resource Manager.
        own_tags: This provider's own tags. They go into the tags and into the properties, because the list of jobs can
            only be filtered by the value of a property.

    Raises:
        InvalidArgument: A data path or dataset has a name that no input of the component has.
    """
    properties: dict[str, Any] = {
        "jobType": "Pipeline",
        "componentId": target.id,
        # What Microsoft's SDK uses where a job is made of a component.
        "displayName": target.name,
        "experimentName": request.experiment_name,
        "tags": {**request.tags, **own_tags},
        "properties": dict(own_tags),
        "isArchived": False,
        "jobs": {},
        "inputs": _inputs(request, dict(target.data_inputs or ())),
        "outputs": {},
        "settings": _settings(request, target, workspace),
    }
    if description := request.description or submitter_of(own_tags):
        properties["description"] = description
    return {"properties": properties}


def _inputs(request: RunRequest, types: Mapping[str, str]) -> dict[str, dict[str, str]]:
    uris = {
        f"data_paths[{name!r}]": (name, f"azureml://datastores/{path.datastore}/paths/{path.path}")
        for name, path in request.data_paths.items()
    } | {f"datasets[{name!r}]": (name, f"azureml:{asset}") for name, asset in request.datasets.items()}
    inputs = {name: {"jobInputType": "literal", "value": text} for name, text in request.parameters.items()}
    for argument, (name, uri) in uris.items():
        if name not in types:
            # Whether it is a file or a folder is said by the input's type, never by the path.
            raise InvalidArgument(argument, "is not an input of the component that takes data")
        inputs[name] = {"jobInputType": types[name], "uri": uri}
    return inputs


def _settings(request: RunRequest, target: Target, workspace: str) -> dict[str, Any]:
    """The deployment's settings, then the request's own."""
    settings: dict[str, Any] = dict(target.settings)
    if request.compute is not None:
        settings["default_compute"] = request.compute
    for name, value in settings.items():
        if name in _RESOURCES:
            settings[name] = _resource_id(workspace, _RESOURCES[name], value)
        elif name in _FLAGS:
            settings[name] = value.strip().lower() == "true"
    if request.continue_on_step_failure is not None:
        settings["continue_on_step_failure"] = request.continue_on_step_failure
    # As Microsoft's SDK marks the job of a registered component.
    return {**settings, "_source": "REMOTE.WORKSPACE.JOB"}


def _resource_id(workspace: str, kind: str, name: str) -> str:
    """The id in Azure Resource Manager of a workspace's compute or datastore; an id stays as it is."""
    name = name.removeprefix("azureml:")
    return name if name.startswith("/") or name.lower() == _SERVERLESS else f"{workspace}/{kind}/{name}"
