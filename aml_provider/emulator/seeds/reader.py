"""Reading a workspace from a seed or state file, and writing it back in the same format."""

from __future__ import annotations

import copy
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import yaml

from aml_provider.emulator.seeds.shape import SeedError, check
from aml_provider.emulator.workspace.component_models import BatchEndpoint, Component, ComponentInput, Deployment
from aml_provider.emulator.workspace.errors import ServiceError
from aml_provider.emulator.workspace.job_schedule_models import JobSchedule
from aml_provider.emulator.workspace.models import (
    DataParameter,
    DataPath,
    Datastore,
    DataType,
    Endpoint,
    Experiment,
    Job,
    Metric,
    Parameter,
    Permission,
    Pipeline,
    Run,
    Step,
    StepRun,
    stable_id,
)
from aml_provider.emulator.workspace.recurrence import Recurrence
from aml_provider.emulator.workspace.schedule_models import DatastoreTrigger, Schedule
from aml_provider.emulator.workspace.submission import Submission
from aml_provider.emulator.workspace.workspace import DATA_TYPES, Workspace

T = TypeVar("T")
Seed = str | Path | Mapping[str, Any]


def read(seed: Seed) -> Mapping[str, Any]:
    """The description of a workspace in ``demo``, ``none``, a YAML or JSON file, or a mapping.

    Raises:
        SeedError: It does not describe a workspace; the message names the wrong key, and in a file its line.
        OSError: The file cannot be read.
    """
    if isinstance(seed, Mapping):
        return check(seed)
    if seed == "none":
        return {}
    if seed == "demo":
        text = (resources.files(__package__) / "demo.yaml").read_text(encoding="utf-8")
    else:
        try:
            text = Path(seed).read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise SeedError(f"{seed}: {error}") from error
    return check(_parsed(text, str(seed)), text, str(seed))


def _parsed(text: str, source: str) -> object:
    try:
        # State files are JSON, and this parser is much faster than YAML's.
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise SeedError(f"{source}: {error}") from error


def fill(workspace: Workspace, seed: Mapping[str, Any]) -> None:
    """Fill an empty workspace from a description.

    Raises:
        SeedError: The description contradicts itself, or refers to things that it does not contain.
    """
    # The workspace changes these values, and a reset needs the description again.
    seed = copy.deepcopy(seed)
    now = workspace.clock.now()
    workspace.location = seed.get("location", workspace.location)
    for store in _each("datastores", seed, lambda item: Datastore(**{"created": now, **item})):
        workspace.datastores[store.name] = store
    workspace.default_datastore_name = seed.get("default_datastore")
    if workspace.default_datastore_name not in (None, *workspace.datastores):
        raise SeedError(f"default_datastore {workspace.default_datastore_name} is not one of the datastores")
    for pipeline in _each("pipelines", seed, lambda item: _pipeline(item, now)):
        if pipeline.id in workspace.pipelines:
            raise SeedError(f"two pipelines have the id {pipeline.id}")
        workspace.pipelines[pipeline.id] = pipeline
    for endpoint in _each("endpoints", seed, lambda item: _endpoint(item, now)):
        if missing := set(endpoint.versions.values()) - workspace.pipelines.keys():
            raise SeedError(f"endpoint {endpoint.name} refers to unknown pipelines {', '.join(sorted(missing))}")
        workspace.endpoints[endpoint.id] = endpoint
    for schedule in _each("schedules", seed, lambda item: _schedule(item, now)):
        _check_references(workspace, schedule)
        workspace.schedules.load(schedule)
    for component in _each("components", seed, lambda item: _component(item, now)):
        if any(other.id == component.id for other in workspace.components.all()):
            raise SeedError(f"two components are {component.id}")
        workspace.components.load(component)
    for batch_endpoint in _each("batch_endpoints", seed, lambda item: _batch_endpoint(item, now)):
        _check_deployments(workspace, batch_endpoint)
        workspace.batch_endpoints.load(batch_endpoint)
    for data_type in (
        _each("data_types", seed, lambda item: DataType(**item)) if "data_types" in seed else _built_in(now)
    ):
        workspace.data_types[data_type.id] = data_type
    for experiment in _each("experiments", seed, lambda item: _experiment(item, now)):
        workspace.experiments.load(experiment)
    if seed.get("permissions") is not None:
        workspace.permissions = list(_each("permissions", seed, lambda item: Permission(**item)))
    for run in _each("runs", seed, _run):
        workspace.add_run(run)
    # After the runs, as a schedule can refer to a job.
    for job_schedule in _each("job_schedules", seed, lambda item: _job_schedule(item, now)):
        _load_job_schedule(workspace, job_schedule)


def dump(workspace: Workspace) -> dict[str, Any]:
    """The description of a workspace; ``fill`` creates the same workspace from it."""
    with workspace.lock:
        return {
            "clock": workspace.clock.now(),
            "location": workspace.location,
            "job_schedules": [asdict(item) for item in workspace.job_schedules.all()],
            "data_types": [asdict(item) for item in workspace.data_types.values()],
            "datastores": [asdict(item) for item in workspace.datastores.values()],
            "default_datastore": workspace.default_datastore_name,
            "pipelines": [asdict(item) for item in workspace.pipelines.values()],
            "endpoints": [asdict(item) for item in workspace.endpoints.values()],
            "schedules": [asdict(item) for item in workspace.schedules.all()],
            "batch_endpoints": [asdict(item) for item in workspace.batch_endpoints.all()],
            "components": [asdict(item) for item in workspace.components.all()],
            "experiments": [asdict(item) for item in workspace.experiments.records()],
            "permissions": [asdict(item) for item in workspace.permissions],
            "runs": [asdict(item) for item in workspace.runs.values()],
        }


def save(workspace: Workspace, path: Path) -> None:
    """Write a workspace to a file atomically. It contains account keys, so only its owner can read it."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(dump(workspace), file)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def check_place(path: Path) -> None:
    """Check at the start, not at the first change, that a workspace can be written to a file.

    Raises:
        OSError: The folder of the file is missing or read-only; the error names it.
    """
    try:
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise OSError(error.errno, os.strerror(error.errno or 0), str(path.parent)) from error


def _each(key: str, seed: Mapping[str, Any], build: Callable[[Mapping[str, Any]], T]) -> Iterable[T]:
    for index, item in enumerate(seed.get(key) or ()):
        try:
            yield build(item)
        except (TypeError, KeyError, ValueError) as error:
            raise SeedError(f"{key}[{index}] ({item.get('name') or item.get('id')}): {error}") from error


def _pipeline(item: Mapping[str, Any], now: float) -> Pipeline:
    values = dict(item)
    values["parameters"] = [_parameter(each) for each in item.get("parameters") or ()]
    values["data_paths"] = [_data_parameter(each) for each in item.get("data_paths") or ()]
    values["datasets"] = [DataParameter(**each) for each in item.get("datasets") or ()]
    pipeline = Pipeline(**{"created": now, "modified": now, **values, "steps": []})
    pipeline.id = pipeline.id or stable_id(f"pipeline/{pipeline.name}")
    # As in the service, a graph never changes: one with another interface has another id.
    interface = (pipeline.parameters, pipeline.data_paths, pipeline.datasets)
    pipeline.graph_id = pipeline.graph_id or stable_id(f"graph/{pipeline.id}/{interface}")
    pipeline.steps = [_step(each, pipeline.id) for each in item.get("steps") or ()]
    return pipeline


def _parameter(item: Mapping[str, Any]) -> Parameter:
    default = item.get("default")
    # YAML parses 5 and true as number and boolean; the service stores texts.
    return Parameter(**{**item, "default": default if default is None else str(default)})


def _data_parameter(item: Mapping[str, Any]) -> DataParameter:
    default = item.get("default")
    return DataParameter(**{**item, "default": DataPath(**default) if default else None})


def _step(item: Mapping[str, Any], pipeline_id: str) -> Step:
    node_id = item.get("node_id") or stable_id(f"node/{pipeline_id}/{item['name']}")[:8]
    return Step(**{**item, "node_id": node_id})


def _component(item: Mapping[str, Any], now: float) -> Component:
    inputs = [_component_input(each) for each in item.get("inputs") or ()]
    component = Component(**{"created": now, **item, "inputs": inputs, "steps": []})
    component.steps = [_step(each, f"component/{component.id}") for each in item.get("steps") or ()]
    return component


def _component_input(item: Mapping[str, Any]) -> ComponentInput:
    # As for a parameter, the service stores texts.
    texts = {name: str(item[name]) for name in ("default", "min", "max") if item.get(name) is not None}
    return ComponentInput(**{**item, **texts})


def _batch_endpoint(item: Mapping[str, Any], now: float) -> BatchEndpoint:
    endpoint = BatchEndpoint(**{"created": now, **item, "deployments": []})
    times = {"created": endpoint.created, "modified": endpoint.created}
    endpoint.deployments = [Deployment(**{**times, **each}) for each in item.get("deployments") or ()]
    endpoint.modified = endpoint.modified or endpoint.created
    return endpoint


def _check_deployments(workspace: Workspace, endpoint: BatchEndpoint) -> None:
    where = f"batch endpoint {endpoint.name}"
    if endpoint.name in {item.name for item in workspace.batch_endpoints.all()}:
        raise SeedError(f"two batch endpoints have the name {endpoint.name}")
    for deployment in endpoint.deployments:
        if workspace.components.referred(deployment.component) is None:
            raise SeedError(f"{where} refers to the unknown component {deployment.component}")
    if endpoint.default_deployment not in (None, *(item.name for item in endpoint.deployments)):
        raise SeedError(f"{where} has no deployment {endpoint.default_deployment}")


def _job_schedule(item: Mapping[str, Any], now: float) -> JobSchedule:
    return JobSchedule(**{"created": now, "modified": now, "anchored": now, **item})


def _load_job_schedule(workspace: Workspace, schedule: JobSchedule) -> None:
    if schedule.name in {item.name for item in workspace.job_schedules.all()}:
        raise SeedError(f"two job schedules have the name {schedule.name}")
    try:
        workspace.job_schedules.load(schedule)
    except ServiceError as error:
        raise SeedError(f"job schedule {schedule.name}: {error}") from error


def _endpoint(item: Mapping[str, Any], now: float) -> Endpoint:
    endpoint = Endpoint(**{"created": now, "modified": now, **item})
    endpoint.id = endpoint.id or stable_id(f"endpoint/{endpoint.name}")
    return endpoint


def _schedule(item: Mapping[str, Any], now: float) -> Schedule:
    values = {"created": now, "modified": now, "anchored": now, **item}
    submission, recurrence, trigger = item["submission"], item.get("recurrence"), item.get("trigger")
    paths = {name: DataPath(**path) for name, path in (submission.get("data_paths") or {}).items()}
    values["submission"] = Submission(**{**submission, "data_paths": paths})
    if recurrence is not None:
        lists = {name: tuple(recurrence.get(name) or ()) for name in ("hours", "minutes", "week_days")}
        values["recurrence"] = Recurrence(**{**recurrence, **lists})
    if trigger is not None:
        values["trigger"] = DatastoreTrigger(**trigger)
    schedule = Schedule(**values)
    schedule.id = schedule.id or stable_id(f"schedule/{schedule.name}")
    return schedule


def _check_references(workspace: Workspace, schedule: Schedule) -> None:
    where = f"schedule {schedule.name}"
    if schedule.id in {item.id for item in workspace.schedules.all()}:
        raise SeedError(f"two schedules have the id {schedule.id}")
    if (schedule.recurrence is None) == (schedule.trigger is None):
        raise SeedError(f"{where} needs either a recurrence or a trigger")
    if (schedule.pipeline_id is None) == (schedule.endpoint_id is None):
        raise SeedError(f"{where} needs either pipeline_id or endpoint_id")
    for kind, name, known in (
        ("pipeline", schedule.pipeline_id, workspace.pipelines),
        ("endpoint", schedule.endpoint_id, workspace.endpoints),
        ("datastore", schedule.trigger and schedule.trigger.datastore, workspace.datastores),
    ):
        if name is not None and name not in known:
            raise SeedError(f"{where} refers to the unknown {kind} {name}")


def _run(item: Mapping[str, Any]) -> Run:
    steps = [_step_run(each) for each in item["steps"]]
    paths = {name: DataPath(**path) for name, path in item["data_paths"].items()}
    # State files of versions before the v2 API have no job.
    job = Job(**item["job"]) if item.get("job") else None
    return Run(**{**item, "steps": steps, "data_paths": paths, "metrics": _metrics(item["metrics"]), "job": job})


def _step_run(item: Mapping[str, Any]) -> StepRun:
    step, blobs, own = Step(**item["step"]), [tuple(blob) for blob in item["blobs"]], item.get("data_paths")
    paths = None if own is None else {name: DataPath(**path) for name, path in own.items()}
    metrics = _metrics(item["metrics"])
    return StepRun(**{**item, "step": step, "blobs": blobs, "data_paths": paths, "metrics": metrics})


def _metrics(items: Mapping[str, Mapping[str, Any]]) -> dict[str, Metric]:
    return {name: Metric(**metric) for name, metric in items.items()}


def _experiment(item: Mapping[str, Any], now: float) -> Experiment:
    return Experiment(**{"id": stable_id(f"experiment/{item['name']}"), "created": now, **item})


def _built_in(now: float) -> Iterable[DataType]:
    """The data types that Microsoft's SDK would otherwise register one by one."""
    return (DataType(name, name, name, is_directory=name == "AnyDirectory", created=now) for name in DATA_TYPES)
