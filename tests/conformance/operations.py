"""The operations of Microsoft's SDK: its public methods and properties, found by inspecting its classes.

An operation is named after the class that defines it: a method that a pipeline run inherits unchanged
from ``Run`` is an operation of ``Run``.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azureml.core import Datastore, Experiment, Run, Workspace
from azureml.data.azure_storage_datastore import AzureBlobDatastore
from azureml.pipeline.core import (
    PipelineEndpoint,
    PipelineRun,
    PortDataReference,
    PublishedPipeline,
    Schedule,
    ScheduleRecurrence,
    StepRun,
    StepRunOutput,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType

# Base classes first.
CLASSES = (
    Workspace,
    PublishedPipeline,
    PipelineEndpoint,
    Schedule,
    ScheduleRecurrence,
    Run,
    PipelineRun,
    StepRun,
    StepRunOutput,
    PortDataReference,
    Experiment,
    Datastore,
    AzureBlobDatastore,
)

DOCUMENTATION = Path(__file__).resolve().parents[2] / "docs/emulator-details.md"
_HEADING = "## Checked with Microsoft's SDK"


def public_operations() -> dict[str, CodeType]:
    """Every operation with its code, in the order of the classes."""
    found: dict[str, CodeType] = {}
    for owner in CLASSES:
        for name in sorted(dir(owner)):
            if name.startswith("_") or _inherited(owner, name):
                continue
            function = _function(inspect.getattr_static(owner, name))
            if function is not None:
                found[f"{owner.__name__}.{name}"] = inspect.unwrap(function).__code__
    return found


def excused_operations() -> dict[str, str]:
    """The operations that are not examined, with the reason: the table in the emulator's documentation."""
    _, _, section = DOCUMENTATION.read_text(encoding="utf-8").partition(_HEADING)
    excused: dict[str, str] = {}
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `") and len(cells) == 2:
            for name in re.findall(r"`([A-Z]\w+\.\w+)`", cells[0]):
                if name in excused:
                    raise ValueError(f"{DOCUMENTATION.name} excuses {name} twice")
                excused[name] = cells[1]
    return excused


def _inherited(owner: type, name: str) -> bool:
    mine = inspect.getattr_static(owner, name)
    others = [other for other in CLASSES if other is not owner and issubclass(owner, other)]
    return any(inspect.getattr_static(other, name, None) is mine for other in others)


def _function(attribute: Any) -> Callable[..., Any] | None:
    """The function behind a class attribute; None for a constant."""
    if isinstance(attribute, (staticmethod, classmethod)):
        return attribute.__func__
    if isinstance(attribute, property):
        return attribute.fget
    return attribute if inspect.isfunction(attribute) else None
