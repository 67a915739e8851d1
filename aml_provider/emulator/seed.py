"""Reading a workspace from a seed or state file, and writing it back in the same format."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import yaml

from aml_provider.emulator.models import (
    DataParameter,
    DataPath,
    Datastore,
    Endpoint,
    Experiment,
    Parameter,
    Pipeline,
    Run,
    Step,
    StepRun,
    stable_id,
)
from aml_provider.emulator.state import DATA_TYPES, Workspace

T = TypeVar("T")
Seed = str | Path | Mapping[str, Any]
_KEYS = frozenset({"location", "datastores", "pipelines", "endpoints", "data_types", "experiments", "runs", "clock"})


class SeedError(ValueError):
    """A seed that does not describe a workspace."""


def read(seed: Seed) -> Mapping[str, Any]:
    """The description that ``demo``, ``none``, a YAML or JSON file, or a mapping holds."""
    if isinstance(seed, Mapping):
        return seed
    if seed == "none":
        return {}
    if seed == "demo":
        text = (resources.files(__package__) / "seeds" / "demo.yaml").read_text(encoding="utf-8")
    else:
        text = Path(seed).read_text(encoding="utf-8")
    found = yaml.safe_load(text)
    if not isinstance(found, Mapping):
        raise SeedError(f"{seed}: expected a mapping with {', '.join(sorted(_KEYS))}")
    return found


def fill(workspace: Workspace, seed: Mapping[str, Any]) -> None:
    """Put what a description holds into an empty workspace.

    Raises:
        SeedError: The description has unknown keys or refers to things that it does not hold.
    """
    if unknown := seed.keys() - _KEYS:
        raise SeedError(f"unknown {', '.join(sorted(unknown))}; known are {', '.join(sorted(_KEYS))}")
    now = workspace.clock.now()
    workspace.location = seed.get("location", workspace.location)
    for store in _each("datastores", seed, lambda item: Datastore(**item)):
        workspace.datastores[store.name] = store
    for pipeline in _each("pipelines", seed, lambda item: _pipeline(item, now)):
        if pipeline.id in workspace.pipelines:
            raise SeedError(f"two pipelines have the id {pipeline.id}")
        workspace.pipelines[pipeline.id] = pipeline
    for endpoint in _each("endpoints", seed, lambda item: _endpoint(item, now)):
        if missing := set(endpoint.versions.values()) - workspace.pipelines.keys():
            raise SeedError(f"endpoint {endpoint.name} refers to unknown pipelines {', '.join(sorted(missing))}")
        workspace.endpoints[endpoint.id] = endpoint
    workspace.data_types = dict(seed.get("data_types") or {name: name == "AnyDirectory" for name in DATA_TYPES})
    for experiment in _each("experiments", seed, lambda item: Experiment(**item)):
        workspace.experiments[experiment.name] = experiment
    for run in _each("runs", seed, _run):
        workspace.add_run(run)


def dump(workspace: Workspace) -> dict[str, Any]:
    """The description of a workspace, from which ``fill`` makes the same one."""
    with workspace.lock:
        return {
            "clock": workspace.clock.now(),
            "location": workspace.location,
            "data_types": dict(workspace.data_types),
            "datastores": [asdict(item) for item in workspace.datastores.values()],
            "pipelines": [asdict(item) for item in workspace.pipelines.values()],
            "endpoints": [asdict(item) for item in workspace.endpoints.values()],
            "experiments": [asdict(item) for item in workspace.experiments.values()],
            "runs": [asdict(item) for item in workspace.runs.values()],
        }


def save(workspace: Workspace, path: Path) -> None:
    """Write a workspace to a file, whole or not at all; it holds account keys and so is for its owner only."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(dump(workspace), file)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _each(key: str, seed: Mapping[str, Any], build: Callable[[Mapping[str, Any]], T]) -> Iterable[T]:
    for item in seed.get(key) or ():
        try:
            yield build(item)
        except (TypeError, KeyError) as error:
            raise SeedError(f"{key}: {item.get('name', item)}: {error}") from error


def _pipeline(item: Mapping[str, Any], now: float) -> Pipeline:
    values = dict(item)
    values["parameters"] = [_parameter(each) for each in item.get("parameters") or ()]
    values["data_paths"] = [_data_parameter(each) for each in item.get("data_paths") or ()]
    values["datasets"] = [DataParameter(**each) for each in item.get("datasets") or ()]
    pipeline = Pipeline(**{"created": now, "modified": now, **values, "steps": []})
    pipeline.id = pipeline.id or stable_id(f"pipeline/{pipeline.name}")
    pipeline.graph_id = pipeline.graph_id or stable_id(f"graph/{pipeline.id}")
    pipeline.steps = [_step(each, pipeline.id) for each in item.get("steps") or ()]
    return pipeline


def _parameter(item: Mapping[str, Any]) -> Parameter:
    default = item.get("default")
    # YAML reads 5 and true as such; the service keeps texts.
    return Parameter(**{**item, "default": default if default is None else str(default)})


def _data_parameter(item: Mapping[str, Any]) -> DataParameter:
    default = item.get("default")
    return DataParameter(**{**item, "default": DataPath(**default) if default else None})


def _step(item: Mapping[str, Any], pipeline_id: str) -> Step:
    node_id = item.get("node_id") or stable_id(f"node/{pipeline_id}/{item['name']}")[:8]
    return Step(**{**item, "node_id": node_id})


def _endpoint(item: Mapping[str, Any], now: float) -> Endpoint:
    endpoint = Endpoint(**{"created": now, "modified": now, **item})
    endpoint.id = endpoint.id or stable_id(f"endpoint/{endpoint.name}")
    return endpoint


def _run(item: Mapping[str, Any]) -> Run:
    steps = [
        StepRun(**{**each, "step": Step(**each["step"]), "blobs": [tuple(blob) for blob in each["blobs"]]})
        for each in item["steps"]
    ]
    paths = {name: DataPath(**path) for name, path in item["data_paths"].items()}
    return Run(**{**item, "steps": steps, "data_paths": paths})
