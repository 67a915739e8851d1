"""Tasks that create, enable and disable native schedules and pipelines in the local workspace."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from support.airflow.task import Log

from aml_provider.client.models import Recurrence
from aml_provider.operators.pipeline import AzureMLDisablePipelineOperator, AzureMLEnablePipelineOperator
from aml_provider.operators.schedule import (
    AzureMLCreateScheduleOperator,
    AzureMLDisableScheduleOperator,
    AzureMLEnableScheduleOperator,
)

LATER = datetime.now(UTC).replace(tzinfo=None, microsecond=0) + timedelta(days=30)
NIGHTLY = Recurrence("Week", 1, start_time=LATER, time_zone="Asia/Seoul", week_days=["Monday"], time_of_day="3:00")


def logging(base):
    class Operator(base):
        log = Log()

        def __init__(self, **arguments):
            self._kept = Log()
            super().__init__(**{"task_id": "manage"} | arguments)
            type(self).log = self._kept

    return Operator


Create = logging(AzureMLCreateScheduleOperator)
Disable = logging(AzureMLDisableScheduleOperator)
Enable = logging(AzureMLEnableScheduleOperator)
DisablePipeline = logging(AzureMLDisablePipelineOperator)
EnablePipeline = logging(AzureMLEnablePipelineOperator)


def create(task, **arguments):
    given = {"name": "nightly", "experiment_name": "exp", "pipeline_id": "quick"} | arguments
    if "datastore" not in given:
        given.setdefault("recurrence", NIGHTLY)
    return Create(**given).execute(task.context)


def one(workspace):
    (schedule,) = workspace.state.schedules.all()
    return schedule


def writes(workspace):
    return [(entry["method"], entry["body"]) for entry in workspace.requests() if entry["method"] in {"POST", "PUT"}]
