"""The JSON of run history: camelCase."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from aml_provider.emulator.wire.pipelines import failure_text
from aml_provider.emulator.workspace.errors import ServiceError, camel_envelope
from aml_provider.emulator.workspace.files import container_of
from aml_provider.emulator.workspace.models import Experiment, Run, stable_id
from aml_provider.emulator.workspace.times import optional_wire_time, wire_time

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aml_provider.emulator.workspace.body import JsonObject
    from aml_provider.emulator.workspace.timeline import RunView

_COUNTED = (
    "NotStarted",
    "Starting",
    "Provisioning",
    "Preparing",
    "Queued",
    "Running",
    "Completed",
    "Failed",
    "Canceled",
    "NotResponding",
)
RUN_FIELDS = (
    "runId",
    "parentRunId",
    "rootRunId",
    "experimentId",
    "runNumber",
    "runUuid",
    "status",
    "runType",
    "target",
    "name",
    "displayName",
    "description",
    "createdUtc",
    "startTimeUtc",
    "endTimeUtc",
    "userId",
)
EXPERIMENT_FIELDS = ("experimentId", "name", "description", "createdUtc", "archivedTime")


def experiment_dto(experiment: Experiment) -> JsonObject:
    """``ExperimentDto``."""
    return {
        "experimentId": experiment.id,
        "name": experiment.name,
        "description": experiment.description,
        "createdUtc": wire_time(experiment.created),
        "archivedTime": optional_wire_time(experiment.archived),
        "tags": experiment.tags,
    }


def run_dto(run: Run, view: RunView, now: float) -> JsonObject:
    """``RunDto`` of a pipeline run."""
    return _dto(
        run,
        runNumber=run.number,
        runId=run.id,
        parentRunId=run.parent_run_id,
        status=view.history_status,
        createdUtc=wire_time(run.created),
        startTimeUtc=optional_wire_time(view.started),
        endTimeUtc=optional_wire_time(view.ended),
        name=run.description or run.experiment,
        displayName=run.display_name,
        description=run.description,
        runType="azureml.PipelineRun",
        target="None",
        tags=run.history_tags,
        properties=run.history_properties,
        error=_error(failure_text(run, view), now),
    )


def step_dto(run: Run, index: int, view: RunView, now: float) -> JsonObject:
    """``RunDto`` of one of its steps."""
    step_run, step_view = run.steps[index], view.steps[index]
    return _dto(
        run,
        runNumber=step_run.number,
        runId=step_run.id,
        parentRunId=run.id,
        status=step_view.history_status,
        createdUtc=wire_time(run.created if step_view.queued is None else step_view.queued),
        startTimeUtc=optional_wire_time(step_view.started),
        endTimeUtc=optional_wire_time(step_view.ended),
        name=step_run.step.name,
        displayName=step_run.step.name if step_run.display_name is None else step_run.display_name,
        description=step_run.description,
        runType="azureml.StepRun",
        target=step_run.step.target,
        tags=step_run.tags,
        properties=step_run.properties,
        error=_error(step_view.error, now),
    )


def _dto(run: Run, **own: Any) -> JsonObject:
    return {
        "rootRunId": run.root_run_id,
        "experimentId": run.experiment_id,
        "userId": "local",
        "token": None,
        "tokenExpiryTimeUtc": None,
        "warnings": None,
        "revision": 1,
        "runUuid": stable_id(own["runId"]),
        "parentRunUuid": stable_id(own["parentRunId"]) if own["parentRunId"] else None,
        "rootRunUuid": stable_id(run.root_run_id),
        "createdBy": {"userObjectId": "local", "userTenantId": "local", "userName": "Local User"},
        "options": None,
        "heartbeatEnabled": False,
        "dataContainerId": container_of(own["runId"]),
        "hidden": run.hidden,
        "runTypeV2": {"orchestrator": None, "traits": []},
        "scriptName": None,
        "runDefinition": None,
        "createdFrom": None,
        "cancelUri": None,
        "completeUri": None,
        "diagnosticsUri": None,
        "primaryMetricName": None,
        "queueingInfo": None,
        **own,
    }


def run_counts(statuses: Iterable[str]) -> dict[str, int]:
    """``RunCountsDto``: the number of runs in each status."""
    counts = Counter(statuses)
    return {status[:1].lower() + status[1:]: counts[status] for status in _COUNTED}


def run_details(dto: JsonObject, log_files: dict[str, str]) -> JsonObject:
    """``RunDetailsDto`` of a run or step."""
    same = ("runId", "target", "status", "startTimeUtc", "endTimeUtc", "error", "warnings", "properties")
    return {
        **{key: dto[key] for key in same},
        "services": {},
        "inputDatasets": [],
        "outputDatasets": [],
        "runDefinition": None,
        # Microsoft's SDK raises KeyError if this is absent.
        "logFiles": log_files,
    }


def _error(message: str | None, now: float) -> JsonObject | None:
    if message is None:
        return None
    return camel_envelope(ServiceError(400, message, inner="StepFailed"), now)
