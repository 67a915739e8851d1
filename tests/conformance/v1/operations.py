"""The operations of Microsoft's SDK that the tests know."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
from examination import excused_in, operations_of

if TYPE_CHECKING:
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

HEADING = "Checked with Microsoft's SDK"
"""The section of the documentation about this SDK."""


def public_operations() -> dict[str, CodeType]:
    """Every operation with its code."""
    return operations_of(CLASSES)


def excused_operations() -> dict[str, str]:
    """The operations that are not examined, with the reason."""
    return excused_in(HEADING)
