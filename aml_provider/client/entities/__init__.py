"""The entities that the service returns, as immutable dataclasses read from its JSON.

They are imported at run time only: the operators that a DAG file imports do not need them (25 dataclasses cost 15 ms).
"""

from __future__ import annotations

from aml_provider.client.entities.components import (
    BatchDeployment,
    BatchEndpoint,
    Component,
    ComponentInput,
    ComponentVersion,
)
from aml_provider.client.entities.experiments import Experiment
from aml_provider.client.entities.job_schedules import JobSchedule
from aml_provider.client.entities.metrics import MetricValue
from aml_provider.client.entities.permissions import Permission
from aml_provider.client.entities.pipelines import (
    Parameter,
    PipelineEndpoint,
    PipelineInterface,
    PipelineSummary,
    PublishedPipeline,
)
from aml_provider.client.entities.runs import HistoryRun, Output, PipelineRun, RunDetails, RunState, StepStatus
from aml_provider.client.entities.schedules import Schedule
from aml_provider.client.entities.stores import Artifact, Datastore, ServicePrincipal
from aml_provider.client.entities.wire import enum_name, read_time
from aml_provider.client.entities.workspace import Workspace

__all__ = [
    "Artifact",
    "BatchDeployment",
    "BatchEndpoint",
    "Component",
    "ComponentInput",
    "ComponentVersion",
    "Datastore",
    "Experiment",
    "HistoryRun",
    "JobSchedule",
    "MetricValue",
    "Output",
    "Parameter",
    "Permission",
    "PipelineEndpoint",
    "PipelineInterface",
    "PipelineRun",
    "PipelineSummary",
    "PublishedPipeline",
    "RunDetails",
    "RunState",
    "Schedule",
    "ServicePrincipal",
    "StepStatus",
    "Workspace",
    "enum_name",
    "read_time",
]
