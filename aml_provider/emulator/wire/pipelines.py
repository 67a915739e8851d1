"""The entities of the pipelines service: PascalCase, except for ``tags``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aml_provider.emulator.workspace.publishing import PARAMETER_TYPES
from aml_provider.emulator.workspace.recurrence import FREQUENCIES, WEEK_DAYS, Recurrence
from aml_provider.emulator.workspace.schedule_request import KINDS
from aml_provider.emulator.workspace.submission import ENTITY_STATUSES, RUN_TYPES, Submission
from aml_provider.emulator.workspace.times import optional_wire_time, wire_time
from aml_provider.emulator.workspace.workspace import published_defaults

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aml_provider.emulator.quirks import Quirks
    from aml_provider.emulator.workspace.body import JsonObject
    from aml_provider.emulator.workspace.models import (
        DataParameter,
        DataPath,
        Datastore,
        DataType,
        Endpoint,
        Pipeline,
        Run,
        StepRun,
    )
    from aml_provider.emulator.workspace.schedule_models import DatastoreTrigger, Schedule
    from aml_provider.emulator.workspace.timeline import RunView, StepView

_NUMBERS: Mapping[str, tuple[str, ...]] = {
    "entity": ENTITY_STATUSES,
    "run": ("NotStarted", "Running", "Failed", "Finished", "Canceled"),
    "step": ("NotStarted", "Queued", "Running", "Failed", "Finished", "Canceled", "PartiallyExecuted", "Bypassed"),
    "upload": ("Uploading", "Completed", "Canceled", "Failed"),
    "run type": RUN_TYPES,
    "parameter": PARAMETER_TYPES,
    "provisioning": ("Completed", "Provisioning", "Failed"),
    "schedule": KINDS,
    "frequency": FREQUENCIES,
    "week day": WEEK_DAYS,
}


class PipelinesWire:
    """Writes entities; enumerations by name, or by number under the quirks ``int_enums`` and ``digit_enums``."""

    def __init__(self, quirks: Quirks) -> None:
        self._form = str if quirks.digit_enums else int if quirks.int_enums else None

    def enum(self, kind: str, name: str) -> str | int:
        """A value of an enumeration."""
        values = _NUMBERS[kind]
        return name if self._form is None or name not in values else self._form(values.index(name))

    def pipeline(self, pipeline: Pipeline, services: str) -> JsonObject:
        """``PipelineEntity``; ``services`` is the address of the pipelines service with the scope."""
        return {
            "Name": pipeline.name,
            "Description": pipeline.description,
            "Version": pipeline.version,
            "GraphId": pipeline.graph_id,
            "TotalRunSteps": len(pipeline.steps),
            "ParameterAssignments": published_defaults(pipeline),
            "DataSetDefinitionValueAssignments": {
                item.name: value for item in pipeline.datasets if (value := dataset_value(item)) is not None
            },
            "Url": f"{services}/PipelineRuns/PipelineSubmit/{pipeline.id}",
            "ContinueRunOnStepFailure": pipeline.continue_on_step_failure,
            "EnableNotification": pipeline.enable_notification,
            "Properties": pipeline.properties,
            **self.entity(pipeline.id, pipeline.status, pipeline.created, pipeline.modified),
        }

    def view(self, pipeline: Pipeline, services: str, runs: Sequence[Run], status: str | None) -> JsonObject:
        """``PipelineViewEntity``: a pipeline with its runs, oldest first, and the status of the last one."""
        last = runs[-1] if runs else None
        return {
            "PipelineEntity": self.pipeline(pipeline, services),
            "LastRunId": last.id if last else None,
            "LastRunCreatedTime": wire_time(last.created) if last else None,
            "LastRunStatus": self.enum("run", status) if status else None,
            "TotalRuns": len(runs),
        }

    def endpoint(self, endpoint: Endpoint, services: str) -> JsonObject:
        """``PipelineEndpointEntity``."""
        return {
            "Name": endpoint.name,
            "Description": endpoint.description,
            "DefaultVersion": endpoint.default_version,
            "PipelineVersionList": [
                {"Version": version, "PipelineId": pipeline_id} for version, pipeline_id in endpoint.versions.items()
            ],
            "Url": f"{services}/PipelineRuns/PipelineEndpointSubmit/Id/{endpoint.id}",
            "SwaggerUrl": None,
            "Properties": endpoint.properties,
            "tags": endpoint.tags,
            **self.entity(endpoint.id, endpoint.status, endpoint.created, endpoint.modified),
        }

    def run(self, run: Run, view: RunView) -> JsonObject:
        """``PipelineRunEntity``."""
        return {
            "Description": run.description,
            "Status": {
                "StatusCode": self.enum("run", view.status),
                "StatusDetail": failure_text(run, view),
                "CreationTime": wire_time(run.created),
                "EndTime": optional_wire_time(view.ended),
            },
            "GraphId": run.graph_id,
            "IsSubmitted": True,
            "HasErrors": view.failed_step is not None,
            "HasWarnings": False,
            "UploadState": self.enum("upload", "Completed"),
            "ParameterAssignments": run.parameters,
            "DataSetDefinitionValueAssignments": run.datasets,
            "RunHistoryExperimentName": run.experiment,
            "PipelineId": run.pipeline_id,
            "RunSource": run.run_source,
            "RunType": self.enum("run type", run.run_type),
            "TotalRunSteps": len(run.steps),
            "ScheduleId": run.schedule_id,
            "tags": run.tags,
            "Properties": run.properties,
            **self.entity(run.id, "Active", run.created, run.created),
        }

    def task_status(self, run: Run, step_run: StepRun, view: StepView) -> JsonObject:
        """``TaskStatus`` of a step."""
        return {
            "StatusCode": self.enum("step", view.status),
            "StatusDetail": view.error,
            "CreationTime": wire_time(run.created),
            "ScheduleTime": optional_wire_time(view.queued),
            "StartTime": optional_wire_time(view.started),
            "EndTime": optional_wire_time(view.ended),
            "RequestId": step_run.id,
            "RunId": step_run.id,
            "RealTimeLogPath": None,
            "HasWarnings": False,
            "ReuseInfo": None,
        }

    def schedule(self, schedule: Schedule, provisioning: str) -> JsonObject:
        """``PipelineScheduleEntity``."""
        recurrence, trigger = schedule.recurrence, schedule.trigger
        return {
            "Name": schedule.name,
            "PipelineId": schedule.pipeline_id,
            "PipelineEndpointId": schedule.endpoint_id,
            "ProvisioningStatus": self.enum("provisioning", provisioning),
            "PipelineSubmissionInfo": {
                **_submission(schedule.submission),
                "RunType": self.enum("run type", "Schedule"),
                "ScheduleId": schedule.id,
            },
            "Recurrence": self._recurrence(recurrence) if recurrence else None,
            "ScheduleType": self.enum("schedule", "Recurrence" if recurrence else "DataStore"),
            "DataStoreTriggerInfo": _trigger(trigger) if trigger else None,
            **self.entity(schedule.id, schedule.status, schedule.created, schedule.modified),
        }

    def _recurrence(self, recurrence: Recurrence) -> JsonObject:
        lists = {
            "Hours": list(recurrence.hours),
            "Minutes": list(recurrence.minutes),
            "WeekDays": [self.enum("week day", day) for day in recurrence.week_days],
        }
        return _given(
            Frequency=self.enum("frequency", recurrence.frequency),
            Interval=recurrence.interval,
            StartTime=recurrence.start_time,
            TimeZone=recurrence.time_zone,
            Schedule={name: values for name, values in lists.items() if values} or None,
        )

    def data_type(self, item: DataType) -> JsonObject:
        """``DataTypeEntity``."""
        return {
            "Name": item.name,
            "Description": item.description,
            "IsDirectory": item.is_directory,
            "ParentDataTypeIds": item.parents,
            **self.entity(item.id, "Active", item.created, item.created),
        }

    def entity(self, entity_id: str, status: str, created: float, modified: float) -> JsonObject:
        """The fields that all entities have."""
        return {
            "Id": entity_id,
            "Etag": f'"{int(modified * 1e6):x}"',
            "CreatedDate": wire_time(created),
            "LastModifiedDate": wire_time(modified),
            "EntityStatus": self.enum("entity", status),
        }


def data_path(path: DataPath) -> JsonObject:
    """A data path as an object with two keys."""
    return {"DataStoreName": path.datastore, "RelativePath": path.path}


def dataset_value(parameter: DataParameter) -> JsonObject | None:
    """``DataSetDefinitionValue``: the default of a dataset parameter, if it has one."""
    if parameter.default is None:
        return parameter.value
    return {"SavedDataSetReference": {"Id": parameter.default}}


def _submission(submission: Submission) -> JsonObject:
    return _given(
        ExperimentName=submission.experiment,
        Description=submission.description,
        RunSource=submission.run_source,
        ParameterAssignments=dict(submission.parameters),
        DataPathAssignments={name: data_path(path) for name, path in submission.data_paths.items()},
        DataSetDefinitionValueAssignments=dict(submission.datasets),
        ContinueRunOnStepFailure=submission.continue_on_step_failure,
        EnableNotification=submission.enable_notification,
        tags=dict(submission.tags) or None,
        Properties=dict(submission.properties),
    )


def _trigger(trigger: DatastoreTrigger) -> JsonObject:
    return _given(
        DataStoreName=trigger.datastore,
        PollingInterval=trigger.polling_interval,
        DataPathParameterName=trigger.data_path_parameter,
        PathOnDataStore=trigger.path,
    )


def _given(**values: Any) -> JsonObject:
    return {name: value for name, value in values.items() if value is not None}


def node_outputs(step_run: StepRun, datastores: Mapping[str, Datastore]) -> JsonObject:
    """The ``NodeOutput`` objects of a step's run, one for each blob that the step wrote."""
    return {
        path.rsplit("/", 1)[-1]: _node_output(path, size, store, datastores.get(store))
        for store, path, size in step_run.blobs
    }


def _node_output(path: str, size: int, name: str, store: Datastore | None) -> JsonObject:
    return {
        "DataTypeId": "AnyFile",
        "LogicalSizeInBytes": size,
        "PhysicalSizeInBytes": size,
        "Hash": None,
        "DataLocation": {
            "StorageType": None,
            "StorageId": None,
            "Uri": None,
            "DataReference": {
                "Type": "AzureBlob",
                "AzureBlobReference": {
                    "Container": store.container if store else None,
                    "SasToken": None,
                    "Uri": None,
                    "Account": store.account_name if store else None,
                    "RelativePath": path,
                    "AmlDataStoreName": name,
                },
            },
        },
    }


def failure_text(run: Run, view: RunView) -> str | None:
    """Why a failed run failed."""
    if view.status != "Failed" or view.failed_step is None:
        return None
    step = run.steps[view.failed_step].step
    return f"Step {step.name} failed: {view.steps[view.failed_step].error}"
