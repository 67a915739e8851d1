"""The fields that commands show of pipelines, runs and other items.

Scripts rely on the names of the fields (docs/reference/command-line.md).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aml_provider.client.entities import PipelineRun, RunState
from aml_provider.client.specs.recurrence import recurrence_from_wire
from aml_provider.client.text import masked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aml_provider.cli.output import Record
    from aml_provider.client.entities import (
        BatchDeployment,
        BatchEndpoint,
        Component,
        ComponentInput,
        ComponentVersion,
        Datastore,
        Experiment,
        HistoryRun,
        JobSchedule,
        PipelineEndpoint,
        PipelineInterface,
        PublishedPipeline,
        Schedule,
    )


def of_pipeline(pipeline: PublishedPipeline) -> Record:
    """A published pipeline."""
    return {
        "id": pipeline.id,
        "name": pipeline.name,
        "version": pipeline.version or None,
        "status": pipeline.status,
        "created": _time(pipeline.created),
        "description": pipeline.description or None,
    }


def of_interface(interface: PipelineInterface) -> Record:
    """The interface of a pipeline, named like the operator's arguments."""
    return {
        "parameters": [
            {
                "name": item.name,
                "type": item.type,
                "required": item.required,
                "default": item.default,
                "documentation": item.documentation or None,
            }
            for item in interface.parameters.values()
        ],
        "data_paths": [
            {"name": name, "default": "/".join(interface.data_path_defaults.get(name, ())).rstrip("/") or None}
            for name in sorted(interface.data_paths)
        ],
        "datasets": [{"name": name} for name in sorted(interface.datasets)],
    }


def of_endpoint(endpoint: PipelineEndpoint) -> Record:
    """A pipeline endpoint."""
    return {
        "id": endpoint.id,
        "name": endpoint.name,
        "default_version": endpoint.default_version,
        "status": endpoint.status,
        "created": _time(endpoint.created),
        "description": endpoint.description or None,
    }


def of_component(component: Component) -> Record:
    """A registered component."""
    return {
        "name": component.name,
        "latest_version": component.latest_version or None,
        "archived": component.is_archived,
        "created": _time(component.created),
        "description": component.description or None,
    }


def of_component_version(component: ComponentVersion) -> Record:
    """A version of a component and its interface, named like the operator's arguments."""
    inputs = component.inputs.values()
    return {
        "name": component.name,
        "version": component.version,
        "type": component.type,
        "archived": component.is_archived,
        "created": _time(component.created),
        "description": component.description or None,
        "parameters": [
            {
                **_of_input(item),
                "default": item.default,
                "minimum": item.minimum or None,
                "maximum": item.maximum or None,
                "choices": list(item.choices),
                "documentation": item.description or None,
            }
            for item in inputs
            if not item.takes_data
        ],
        "data_paths": [
            {**_of_input(item), "documentation": item.description or None} for item in inputs if item.takes_data
        ],
    }


def _of_input(item: ComponentInput) -> Record:
    return {"name": item.name, "type": item.type, "required": item.required}


def of_batch_endpoint(endpoint: BatchEndpoint) -> Record:
    """A batch endpoint."""
    return {
        "name": endpoint.name,
        "default_deployment": endpoint.default_deployment or None,
        "status": endpoint.status,
        "created": _time(endpoint.created),
        "description": endpoint.description or None,
    }


def of_batch_deployment(deployment: BatchDeployment) -> Record:
    """A deployment of a batch endpoint."""
    return {
        "name": deployment.name,
        "status": deployment.status,
        "component_id": deployment.component_id or None,
        "settings": dict(deployment.settings),
    }


def of_experiment(experiment: Experiment) -> Record:
    """An experiment."""
    return {
        "id": experiment.id,
        "name": experiment.name,
        "created": _time(experiment.created),
        "archived": experiment.is_archived,
        "description": experiment.description or None,
    }


def of_datastore(datastore: Datastore) -> Record:
    """A datastore, with only the kind of its credentials."""
    return {
        "name": datastore.name,
        "type": datastore.kind,
        "account": datastore.account or None,
        "container": datastore.container or None,
        "credential_type": datastore.credential_type,
    }


def of_schedule(schedule: Schedule) -> Record:
    """A native schedule."""
    return {
        "id": schedule.id,
        "name": schedule.name,
        "type": schedule.kind,
        "status": schedule.status,
        "provisioning": schedule.provisioning or None,
        "pipeline_id": schedule.pipeline_id or None,
        "endpoint_id": schedule.endpoint_id or None,
        "created": _time(schedule.created),
    }


def of_schedule_plan(schedule: Schedule) -> Record:
    """When a native schedule starts runs, and with which arguments, named like the operator's arguments."""
    request = schedule.wire.get("PipelineSubmissionInfo") or {}
    recurrence = schedule.wire.get("Recurrence")
    trigger = schedule.wire.get("DataStoreTriggerInfo") or {}
    return {
        "experiment_name": schedule.experiment_name or None,
        "description": schedule.description or None,
        "recurrence": _given(recurrence_from_wire(recurrence)._asdict()) if recurrence else None,
        "datastore": trigger.get("DataStoreName"),
        "path_on_datastore": trigger.get("PathOnDataStore"),
        "polling_interval": trigger.get("PollingInterval"),
        "data_path_parameter_name": trigger.get("DataPathParameterName"),
        "parameters": dict(request.get("ParameterAssignments") or {}),
        "data_paths": {
            name: "/".join(filter(None, (path.get("DataStoreName"), path.get("RelativePath"))))
            for name, path in (request.get("DataPathAssignments") or {}).items()
        },
    }


def of_job_schedule(schedule: JobSchedule) -> Record:
    """A job schedule."""
    return {
        "name": schedule.name,
        "type": schedule.kind,
        "status": schedule.status,
        "provisioning": schedule.provisioning or None,
        "component_id": schedule.component_id or None,
        "created": _time(schedule.created),
    }


def of_job_schedule_plan(schedule: JobSchedule) -> Record:
    """The inputs and times of a job schedule, named like the operator's arguments."""
    trigger, inputs = schedule.trigger, schedule.inputs
    pattern = trigger.get("schedule") or {}
    return {
        "experiment_name": schedule.experiment_name or None,
        "description": schedule.description or None,
        "cron": trigger.get("expression"),
        "recurrence": _given(
            {
                "frequency": trigger.get("frequency"),
                "interval": trigger.get("interval"),
                "hours": pattern.get("hours") or None,
                "minutes": pattern.get("minutes") or None,
                "week_days": pattern.get("weekDays") or None,
                "month_days": pattern.get("monthDays") or None,
            }
        )
        or None,
        "start_time": trigger.get("startTime"),
        "end_time": trigger.get("endTime"),
        "time_zone": trigger.get("timeZone"),
        "parameters": {name: item["value"] for name, item in inputs.items() if item.get("value") is not None},
        "data": {name: masked(item["uri"]) for name, item in inputs.items() if item.get("uri") is not None},
    }


def of_run(run: PipelineRun, pipeline_names: Mapping[str, str] | None = None) -> Record:
    """A pipeline run; with the name of its pipeline if names by id are given."""
    named = {} if pipeline_names is None else {"pipeline_name": pipeline_names.get(run.pipeline_id)}
    return {
        "id": run.id,
        "status": status_of(run),
        "experiment_name": run.experiment_name,
        **named,
        "pipeline_id": run.pipeline_id or None,
        "created": _time(run.created),
        "ended": _time(run.ended),
        "duration": duration_of(run),
    }


def duration_of(item: PipelineRun | HistoryRun, now: datetime | None = None) -> Seconds | None:
    """How long a run took, from its creation, or a step, from its start; up to now if it has not ended.

    None: The step has not started, or the service does not say when the run ended.
    """
    if isinstance(item, PipelineRun):
        started, has_ended = item.created, item.state.is_final
    else:
        started, has_ended = item.started, item.state.is_final
    ended = item.ended or (None if has_ended else now or datetime.now(UTC))
    # The service's clock may be ahead.
    return None if started is None or ended is None else Seconds(max(0.0, (ended - started).total_seconds()))


class Seconds(int):
    """A duration: whole seconds for programs, hours, minutes and seconds for people."""

    def __str__(self) -> str:
        minutes, seconds = divmod(int(self), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02}:{seconds:02}"


def status_of(run: PipelineRun) -> str:
    """A run's status in one vocabulary, although the service has two; an unknown status is returned unchanged."""
    return run.status if run.state is RunState.UNKNOWN else run.state.value


def of_step(step: HistoryRun) -> Record:
    """A step of a run."""
    return {
        "name": step.name,
        "status": step.status,
        "id": step.id,
        "started": _time(step.started),
        "ended": _time(step.ended),
        "duration": duration_of(step),
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds")


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
