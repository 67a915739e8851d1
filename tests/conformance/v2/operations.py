"""The operations of Microsoft's v2 SDK that the tests know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from azure.ai.ml.operations import (
    BatchDeploymentOperations,
    BatchEndpointOperations,
    ComponentOperations,
    DatastoreOperations,
    JobOperations,
    ScheduleOperations,
    WorkspaceOperations,
)
from examination import excused_in, operations_of

if TYPE_CHECKING:
    from types import CodeType

CLASSES = (
    WorkspaceOperations,
    DatastoreOperations,
    ComponentOperations,
    BatchEndpointOperations,
    BatchDeploymentOperations,
    JobOperations,
    ScheduleOperations,
)

HEADING = "Checked with Microsoft's v2 SDK"
"""The section of the documentation about this SDK."""


def public_operations() -> dict[str, CodeType]:
    """Every operation with its code."""
    return operations_of(CLASSES)


def excused_operations() -> dict[str, str]:
    """The operations that are not examined, with the reason."""
    return excused_in(HEADING)
