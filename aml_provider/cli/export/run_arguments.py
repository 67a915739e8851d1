"""The arguments of the run operator that start the same runs as a native schedule."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aml_provider.cli.export.native_times import NotExpressible
from aml_provider.client.errors import InvalidArgument
from aml_provider.client.models import DataPath
from aml_provider.client.specs.job import check_order
from aml_provider.client.specs.run import RunRequest
from aml_provider.client.specs.target import ONE_OF, ONE_OF_V2, PipelineReference
from aml_provider.client.text import unsigned

if TYPE_CHECKING:
    from aml_provider.client.entities import JobSchedule, PipelineEndpoint, PublishedPipeline, Schedule

_OURS = "airflow."
# Part of each submission, and without meaning for the operator, or set by it.
_V1_KEYS = frozenset(
    {
        "ContinueRunOnStepFailure",
        "DataPathAssignments",
        "DataSetDefinitionValueAssignments",
        "Description",
        "ExperimentName",
        "ParameterAssignments",
        "Properties",
        "RunSource",
        "RunType",
        "ScheduleId",
        "tags",
    }
)
_V2_KEYS = frozenset(
    {
        "componentId",
        "description",
        "displayName",
        "experimentName",
        "inputs",
        "isArchived",
        "jobType",
        "properties",
        "settings",
        "status",
        "tags",
    }
)
_COMPONENT = re.compile(r"(?i)(?P<workspace>/subscriptions/.+)/components/(?P<name>[^/]+)/versions/(?P<version>[^/]+)")
_DATASTORE_PATH = re.compile(
    r"(?i)azureml:/?(?P<workspace>/subscriptions/.+?)?/datastores/(?P<store>[^/]+)/paths/(?P<path>.*)"
)
_ASSET = re.compile(r"azureml:(?P<asset>[^:/\s]+:[^:/\s]+)")
_ASSET_ID = re.compile(
    r"(?i)(?:azureml:)?(?P<workspace>/subscriptions/.+)/data/(?P<name>[^/]+)/versions/(?P<version>[^/]+)"
)
_COMPUTE_ID = re.compile(r"(?i)(?P<workspace>/subscriptions/.+)/computes/(?P<name>[^/]+)")
# The service fills these in when a job starts: ${{creation_context.trigger_time}}.
_MACRO = re.compile(r"\$\{\{")
_CONTINUES = frozenset({"continue_on_step_failure", "continueonstepfailure", "continuerunonstepfailure"})
_COMPUTES = frozenset({"default_compute", "defaultcompute", "defaultcomputetarget", "default_compute_target"})


@dataclass(frozen=True, kw_only=True)
class RunArguments:
    """The run operator's arguments for the runs of a native schedule.

    Attributes:
        subject: What is run, for people: ``published pipeline 'score-files'``.
        arguments: The operator's arguments in the order in which they are written. Values are text, bools,
            :class:`~aml_provider.client.models.DataPath`, or mappings of names to text or data paths.
        notes: What could not be carried over; each note is a sentence.
    """

    subject: str
    arguments: dict[str, Any]
    notes: list[str] = field(default_factory=list)


def of_schedule(
    schedule: Schedule, pipelines: Mapping[str, PublishedPipeline], endpoints: Mapping[str, PipelineEndpoint]
) -> RunArguments:
    """Read the arguments of a v1 schedule.

    Args:
        schedule: The schedule.
        pipelines: The published pipelines by id, to name the pipeline.
        endpoints: The pipeline endpoints by id.

    Raises:
        NotExpressible: The operator would not accept them.
    """
    request = schedule.wire.get("PipelineSubmissionInfo") or {}
    notes: list[str] = []
    if schedule.endpoint_id:
        target = {"endpoint_id": schedule.endpoint_id}
        subject = _named("pipeline endpoint", endpoints.get(schedule.endpoint_id), schedule.endpoint_id)
    elif schedule.pipeline_id:
        target = {"pipeline_id": schedule.pipeline_id}
        subject = _named("published pipeline", pipelines.get(schedule.pipeline_id), schedule.pipeline_id)
    else:
        raise NotExpressible("names neither a published pipeline nor a pipeline endpoint")
    paths = {}
    for name, path in _mapping(request.get("DataPathAssignments")).items():
        place = path if isinstance(path, Mapping) else {}
        paths[name] = DataPath(str(place.get("DataStoreName") or ""), str(place.get("RelativePath") or ""))
    datasets = {}
    for name, dataset in _mapping(request.get("DataSetDefinitionValueAssignments")).items():
        reference = dataset.get("SavedDataSetReference") if isinstance(dataset, Mapping) else None
        if isinstance(reference, Mapping) and reference.get("Id"):
            datasets[name] = str(reference["Id"])
        else:
            notes.append(f"The dataset {name!r} is not a saved dataset. Give the run this data in another way.")
    properties = [name for name in _mapping(request.get("Properties")) if not name.startswith(_OURS)]
    if properties:
        notes.append(f"The operator sets no properties of runs: {', '.join(map(repr, properties))}.")
    notes += [_lost(key) for key, value in request.items() if key not in _V1_KEYS and value]
    return _checked(
        subject,
        {
            **target,
            "experiment_name": schedule.experiment_name,
            "parameters": _texts(request.get("ParameterAssignments"), notes),
            "data_paths": _unsigned_paths(paths, notes),
            "datasets": datasets,
            "tags": _tags(request.get("tags"), notes),
            "description": _unsigned_description(schedule.description, notes),
            "continue_on_step_failure": _flag(request.get("ContinueRunOnStepFailure")),
        },
        notes,
    )


def of_job_schedule(schedule: JobSchedule, workspace: str) -> RunArguments:
    """Read the arguments of a job schedule.

    Args:
        schedule: The schedule.
        workspace: The workspace's id in Azure Resource Manager.

    Raises:
        NotExpressible: It starts something else than jobs of a component of the workspace, or the operator would not
            accept the arguments.
    """
    if not schedule.creates_jobs:
        raise NotExpressible(f"does not start pipeline jobs: its action is {schedule.action!r}")
    component = _COMPONENT.fullmatch(schedule.component_id)
    job = schedule.job
    if component is None or component["workspace"].lower() != workspace.lower() or job.get("sourceJobId"):
        what = "starts copies of a job" if job.get("sourceJobId") else "does not run a component of this workspace"
        raise NotExpressible(
            f"{what}, and the run operator runs registered components. Register the pipeline as a component of this "
            "workspace, make the schedule run that component, then export it"
        )
    notes: list[str] = []
    parameters: dict[str, Any] = {}
    paths: dict[str, DataPath] = {}
    datasets: dict[str, str] = {}
    for name, item in schedule.inputs.items():
        uri = item.get("uri")
        if uri is None:
            parameters[name] = item.get("value")
        else:
            _take_data(name, str(uri), workspace, paths, datasets, notes)
            if item.get("mode"):
                notes.append(f"The input {name!r} has the mode {item['mode']!r}; the operator leaves the mode open.")
    for name, value in list(parameters.items()):
        if _MACRO.search(str(value)):
            del parameters[name]
            notes.append(
                f"The input {name!r} has a macro of the service, {value!r}. Use a template of Airflow, such as "
                "'{{ dag_run.run_after }}'."
            )
    arguments = {
        "component_name": component["name"],
        "component_version": component["version"],
        "experiment_name": schedule.experiment_name,
        "parameters": _texts(parameters, notes),
        "data_paths": _unsigned_paths(paths, notes),
        "datasets": datasets,
        "tags": _tags({**_mapping(schedule.wire["properties"].get("tags")), **_mapping(job.get("tags"))}, notes),
        "description": _unsigned_description(str(job.get("description") or ""), notes),
        **_settings(job.get("settings"), workspace, notes),
    }
    notes += [_lost(key) for key, value in job.items() if key not in _V2_KEYS and value]
    for name, text in list(arguments["parameters"].items()):
        if not text:
            del arguments["parameters"][name]
            notes.append(f"The input {name!r} is an empty text, which the operator does not send.")
    return _checked(f"component {component['name']!r}, version {component['version']}", arguments, notes)


def _take_data(
    name: str, uri: str, workspace: str, paths: dict[str, DataPath], datasets: dict[str, str], notes: list[str]
) -> None:
    # Addresses have another form of the workspace's id.
    own = (workspace.lower(), workspace.lower().replace("/providers/microsoft.machinelearningservices", ""))
    path, asset, asset_id = (form.fullmatch(uri) for form in (_DATASTORE_PATH, _ASSET, _ASSET_ID))
    if path is not None and (path["workspace"] or workspace).lower() in own:
        paths[name] = DataPath(path["store"], path["path"])
        return
    if asset is not None:
        datasets[name] = asset["asset"]
        return
    if asset_id is not None and asset_id["workspace"].lower() in own:
        datasets[name] = f"{asset_id['name']}:{asset_id['version']}"
        return
    notes.append(
        f"The input {name!r} is {unsigned(uri)!r}, neither a path of a datastore of this workspace nor a data asset. "
        "Register it as a data asset, and give it to the operator in datasets."
    )


def _settings(value: Any, workspace: str, notes: list[str]) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    for key, item in _mapping(value).items():
        name = key.lower()
        compute = _COMPUTE_ID.fullmatch(str(item)) if name in _COMPUTES else None
        if name in _CONTINUES:
            arguments["continue_on_step_failure"] = _flag(item)
        elif name in _COMPUTES and item:
            is_own = compute is not None and compute["workspace"].lower() == workspace.lower()
            arguments["compute"] = compute["name"] if compute is not None and is_own else str(item)
        elif item and not key.startswith("_"):
            notes.append(_lost(f"settings.{key}"))
    return arguments


def _checked(subject: str, arguments: Mapping[str, Any], notes: list[str]) -> RunArguments:
    given = {name: value for name, value in arguments.items() if value not in (None, "", {})}
    try:
        request = RunRequest.of(
            **{
                name: value
                for name, value in {"experiment_name": "", **given}.items()
                if name not in (*ONE_OF, *ONE_OF_V2, "component_version")
            }
        )
        reference = PipelineReference(**{name: given[name] for name in PipelineReference._fields if name in given})
        check_order(reference.check(), request, None)
    except InvalidArgument as error:
        raise NotExpressible(f"starts runs that the run operator cannot start: {error.text}") from None
    return RunArguments(subject=subject, arguments=given, notes=notes)


def _texts(values: Any, notes: list[str]) -> dict[str, str]:
    found = {}
    for name, value in _mapping(values).items():
        text = "" if value is None else str(value)
        if unsigned(text) == text:
            found[name] = text
        else:
            notes.append(
                f"The parameter {name!r} is an address with a signature, which is not written to a file. Take it from "
                "an Airflow Variable or connection."
            )
    return found


def _unsigned_paths(paths: Mapping[str, DataPath], notes: list[str]) -> dict[str, DataPath]:
    found = {name: path for name, path in paths.items() if unsigned(path.path) == path.path}
    notes += [
        f"The data path {name!r} has a signature, which is not written to a file." for name in paths.keys() - found
    ]
    return found


def _tags(values: Any, notes: list[str]) -> dict[str, str]:
    given = {name: str(value) for name, value in _mapping(values).items() if name and not name.startswith(_OURS)}
    found = {name: text for name, text in given.items() if unsigned(text) == text and unsigned(name) == name}
    notes += [
        f"The tag {unsigned(name)!r} has a signature, which is not written to a file."
        for name in given
        if name not in found
    ]
    return found


def _unsigned_description(text: str, notes: list[str]) -> str:
    if unsigned(text) == text:
        return text
    notes.append("The description has a signature, which is not written to a file.")
    return ""


def _mapping(value: Any) -> dict[str, Any]:
    return {str(name): item for name, item in value.items()} if isinstance(value, Mapping) else {}


def _flag(value: Any) -> bool | None:
    return None if value is None else str(value).lower() == "true"


def _lost(key: str) -> str:
    return f"The operator has no argument for {key!r}."


def _named(kind: str, item: PublishedPipeline | PipelineEndpoint | None, item_id: str) -> str:
    return f"{kind} {item_id!r}" if item is None else f"{kind} {item.name!r}"
