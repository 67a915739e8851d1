"""Checks that a seed has the keys and types of a workspace, and reports where it does not."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from typing import Any, Union, get_args, get_origin, get_type_hints

import yaml

from aml_provider.emulator.clock import LAST_INSTANT, shown
from aml_provider.emulator.workspace.component_models import (
    COMPONENT_TYPES,
    INPUT_TYPES,
    BatchEndpoint,
    Component,
    ComponentInput,
)
from aml_provider.emulator.workspace.job_schedule_models import JobSchedule
from aml_provider.emulator.workspace.models import (
    Datastore,
    DataType,
    Endpoint,
    Experiment,
    Parameter,
    Permission,
    Pipeline,
    Run,
    Step,
)
from aml_provider.emulator.workspace.publishing import PARAMETER_TYPES
from aml_provider.emulator.workspace.recurrence import Recurrence
from aml_provider.emulator.workspace.schedule_models import Schedule
from aml_provider.emulator.workspace.submission import ENTITY_STATUSES, Submission

_KEYS: Mapping[str, Any] = {
    "batch_endpoints": list[BatchEndpoint],
    "clock": float,
    "components": list[Component],
    "data_types": list[DataType],
    "datastores": list[Datastore],
    "default_datastore": str | None,
    "endpoints": list[Endpoint],
    "experiments": list[Experiment],
    "job_schedules": list[JobSchedule],
    "location": str,
    "permissions": list[Permission],
    "pipelines": list[Pipeline],
    "runs": list[Run],
    "schedules": list[Schedule],
}
# The reader derives these if they are missing.
_OPTIONAL = {"id", "created"}
_CHOICES = {
    (Pipeline, "status"): ENTITY_STATUSES,
    (Endpoint, "status"): ENTITY_STATUSES,
    (Schedule, "status"): ENTITY_STATUSES,
    (Parameter, "type"): PARAMETER_TYPES,
    (Component, "type"): COMPONENT_TYPES,
    (ComponentInput, "type"): INPUT_TYPES,
}
# YAML parses 5 and true as number and boolean; here their text is meant.
_SCALARS = {(Parameter, "default"), *((ComponentInput, name) for name in ("default", "min", "max"))}
# For instants and durations in seconds; the clock ends earlier.
_MOST_SECONDS = 1e10
_NAMES = {
    str: "a text",
    int: "a whole number",
    float: f"a number from 0 to {_MOST_SECONDS:g}",
    bool: "true or false",
    type(None): "null",
}

Path = tuple[str | int, ...]


class SeedError(ValueError):
    """A seed that does not describe a workspace."""


class _Misfit(Exception):
    """A value that does not fit; the path leads to it."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(problem)
        self.path = path


def check(seed: object, text: str | None = None, source: str = "the seed") -> Mapping[str, Any]:
    """Check that a seed has the shape of a workspace; returns the seed.

    Args:
        seed: The parsed seed.
        text: The YAML or JSON from which it was parsed, to find the line of a mistake.
        source: Its name in messages.

    Raises:
        SeedError: A key is unknown or missing, or a value has the wrong type; the message says where.
    """
    try:
        return _checked(seed)
    except _Misfit as misfit:
        line = "" if text is None else f", line {_line(text, misfit.path)}"
        raise SeedError(f"{source}{line}: {_dotted(misfit.path) or 'it'} {misfit}") from misfit


def _checked(seed: object) -> Mapping[str, Any]:
    if not isinstance(seed, Mapping):
        raise _Misfit((), f"is {_shown(seed)}, not a mapping with {', '.join(_KEYS)}")
    _check_keys(seed, (), _KEYS)
    for key, value in seed.items():
        # A key without a value is null in YAML.
        if value is not None:
            _check(value, _KEYS[key], (key,))
    if (clock := seed.get("clock")) is not None and clock > LAST_INSTANT:
        raise _Misfit(("clock",), f"is {shown(clock)}, which is after the year 2199, where the clock ends")
    return seed


def _check(value: object, kind: Any, path: Path) -> None:
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Any:
        return
    if origin in (Union, types.UnionType):
        _check_union(value, inner, path)
    elif dataclasses.is_dataclass(kind) and isinstance(kind, type):
        _check_record(value, kind, path)
    elif origin in (list, tuple):
        if not isinstance(value, (list, tuple)):
            raise _Misfit(path, f"is {_shown(value)}, not a list")
        repeats = origin is list or inner[-1] is Ellipsis
        if not repeats and len(value) != len(inner):
            raise _Misfit(path, f"has {len(value)} items, not {len(inner)}")
        for index, item in enumerate(value):
            _check(item, inner[0] if repeats else inner[index], (*path, index))
    elif origin in (dict, Mapping):
        if not isinstance(value, Mapping):
            raise _Misfit(path, f"is {_shown(value)}, not a mapping")
        for key, item in value.items():
            if not isinstance(key, str):
                raise _Misfit((*path, key), f"is a key that is not a text; write it in quotes: {str(key)!r}")
            _check(item, inner[1], (*path, key))
    elif not _fits(value, kind):
        hint = "; write it in quotes" if kind is str and isinstance(value, (bool, int, float)) else ""
        raise _Misfit(path, f"is {_shown(value)}, not {_NAMES[kind]}{hint}")


def _check_union(value: object, kinds: tuple[Any, ...], path: Path) -> None:
    plain = [kind for kind in kinds if kind in _NAMES]
    if any(_fits(value, kind) for kind in plain):
        return
    others = [kind for kind in kinds if kind not in _NAMES]
    if not others:
        # Null means left out; the message need not mention it.
        _check(value, next(kind for kind in plain if kind is not type(None)), path)
    elif not isinstance(value, (Mapping, list, tuple)):
        raise _Misfit(path, f"is {_shown(value)}, not a mapping or list")
    else:
        _check(value, others[0], path)


def _check_record(value: object, kind: type[Any], path: Path) -> None:
    if not isinstance(value, Mapping):
        raise _Misfit(path, f"is {_shown(value)}, not a mapping")
    names = {"Recurrence": Recurrence, "Submission": Submission, "Step": Step}
    hints = get_type_hints(kind, localns={**names, "Mapping": Mapping})
    _check_keys(value, path, hints)
    for field in dataclasses.fields(kind):
        if field.name not in value:
            needed = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
            if needed and field.name not in _OPTIONAL:
                raise _Misfit(path, f"has no {field.name}")
            continue
        item, place = value[field.name], (*path, field.name)
        if (kind, field.name) in _SCALARS and isinstance(item, (bool, int, float)):
            continue
        _check(item, hints[field.name], place)
        known = _CHOICES.get((kind, field.name))
        if known is not None and item not in known:
            raise _Misfit(place, f"is {_shown(item)}, not one of {', '.join(known)}")


def _check_keys(value: Mapping[Any, Any], path: Path, known: Mapping[str, Any]) -> None:
    for key in value:
        if key not in known:
            raise _Misfit((*path, key), f"is not a known key; known keys are {', '.join(sorted(known))}")


def _fits(value: object, kind: Any) -> bool:
    if kind is float:
        # A comparison is false for NaN, and works for whole numbers too large for a float.
        return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= _MOST_SECONDS
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return kind in _NAMES and isinstance(value, kind)


def _shown(value: object) -> str:
    # Not the value itself: it may be an account key.
    if isinstance(value, (bool, int, float)):
        return shown(value)
    kinds = {str: "a text", list: "a list", dict: "a mapping", type(None): "empty"}
    return kinds.get(type(value), type(value).__name__)


def _dotted(path: Path) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def _line(text: str, path: Path) -> int:
    """The line of the value at a path, or of its last existing parent."""
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    for part in path:
        below = None
        if isinstance(node, yaml.MappingNode):
            below = next((value for key, value in node.value if key.value == str(part)), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            below = node.value[part]
        if below is None:
            break
        node = below
    return node.start_mark.line + 1 if node is not None else 1
