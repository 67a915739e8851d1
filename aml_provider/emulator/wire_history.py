"""The records of run history, datastores and artifacts: camelCase."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aml_provider.emulator.errors import ServiceError, camel_envelope
from aml_provider.emulator.models import Datastore, Experiment, Run, stable_id
from aml_provider.emulator.times import optional_wire_time, wire_time
from aml_provider.emulator.wire_pipelines import failure_text

if TYPE_CHECKING:
    from aml_provider.emulator.timeline import RunView

JsonObject = dict[str, Any]

STEP_LOG = "user_logs/std_log.txt"
RUN_LOG = "logs/azureml/executionlogs.txt"

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


def run_dto(run: Run, view: RunView, experiment_id: str, now: float) -> JsonObject:
    """``RunDto`` of a pipeline run."""
    return _dto(
        run,
        experiment_id,
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


def step_dto(run: Run, index: int, view: RunView, experiment_id: str, now: float) -> JsonObject:
    """``RunDto`` of one of its steps."""
    step_run, step_view = run.steps[index], view.steps[index]
    return _dto(
        run,
        experiment_id,
        runNumber=step_run.number,
        runId=step_run.id,
        parentRunId=run.id,
        status=step_view.history_status,
        createdUtc=wire_time(run.created if step_view.queued is None else step_view.queued),
        startTimeUtc=optional_wire_time(step_view.started),
        endTimeUtc=optional_wire_time(step_view.ended),
        name=step_run.step.name,
        displayName=step_run.step.name,
        description=None,
        runType="azureml.StepRun",
        target=step_run.step.target,
        tags=step_run.tags,
        properties=step_run.properties,
        error=_error(step_view.error, now),
    )


def _dto(run: Run, experiment_id: str, **own: Any) -> JsonObject:
    return {
        "rootRunId": run.root_run_id,
        "experimentId": experiment_id,
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
        "dataContainerId": f"dcid.{own['runId']}",
        "hidden": False,
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


def run_details(dto: JsonObject, log_files: dict[str, str]) -> JsonObject:
    """``RunDetailsDto`` of a run or step."""
    same = ("runId", "target", "status", "startTimeUtc", "endTimeUtc", "error", "warnings", "properties")
    return {
        **{key: dto[key] for key in same},
        "services": {},
        "inputDatasets": [],
        "outputDatasets": [],
        "runDefinition": None,
        # Microsoft's SDK raises KeyError when this is absent.
        "logFiles": log_files,
    }


def datastore_dto(store: Datastore, subscription_id: str, resource_group: str) -> JsonObject:
    """``DataStore``, credentials included as by the real service."""
    credential_type = "AccountKey" if store.account_key else "Sas" if store.sas_token else "None"
    return {
        "name": store.name,
        "dataStoreType": store.type,
        "hasBeenValidated": True,
        "tags": None,
        "azureStorageSection": {
            "accountName": store.account_name,
            "containerName": store.container,
            "endpoint": store.endpoint,
            "protocol": store.protocol,
            "credentialType": credential_type,
            "credential": store.account_key or store.sas_token,
            "blobCacheTimeout": None,
            "isSas": credential_type == "Sas",
            "accountKey": store.account_key,
            "sasToken": store.sas_token,
            "areWorkspaceManagedIdentitiesAllowed": False,
            "subscriptionId": subscription_id,
            "resourceGroup": resource_group,
            "clientCredentials": None,
            "serviceDataAccessAuthIdentity": "None",
        },
        "azureDataLakeSection": None,
        "azureSqlDatabaseSection": None,
        "azurePostgreSqlSection": None,
        "azureMySqlSection": None,
        "hdfsSection": None,
        "glusterFsSection": None,
    }


def run_log(run: Run, view: RunView) -> str:
    """The log of the pipeline run itself: what its steps did when."""
    lines = [f"{wire_time(run.created)} submitted"]
    for step_run, step in zip(run.steps, view.steps, strict=True):
        events = (("queued", step.queued), ("started", step.started), (step.status.lower(), step.ended))
        lines += [f"{wire_time(at)} step {step_run.step.name} {what}" for what, at in events if at is not None]
    if view.ended is not None:
        lines.append(f"{wire_time(view.ended)} {view.status.lower()}")
    return "\n".join(lines) + "\n"


def step_log(run: Run, index: int, view: RunView) -> str:
    """The log of a step; empty until it starts."""
    step = view.steps[index]
    if step.started is None:
        return ""
    step_run = run.steps[index]
    failed = [step.error] if step.error is not None and step_run.error is None else []
    return "".join(f"{line}\n" for line in (*step_run.log, *failed))


def _error(message: str | None, now: float) -> JsonObject | None:
    if message is None:
        return None
    return camel_envelope(ServiceError(400, message, inner="StepFailed"), now)
