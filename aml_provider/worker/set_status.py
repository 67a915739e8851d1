"""Enables and disables schedules and published pipelines. Loaded on the worker only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from aml_provider.client.arguments import ACTIVE, given_once
from aml_provider.client.flows.pipelines import disable_pipeline, enable_pipeline
from aml_provider.client.flows.schedules import settle_status
from aml_provider.connection import airflow_errors
from aml_provider.hooks.azure_ml import AzureMLHook

if TYPE_CHECKING:
    from aml_provider.client.specs.target import PipelineReference


class ScheduleReference(NamedTuple):
    """One schedule, or all schedules of a published pipeline, as an author names them; exactly one field is given."""

    schedule_id: str | None
    schedule_name: str | None
    pipeline_id: str | None


def set_status_of_schedules(reference: ScheduleReference, status: str, *, azureml_conn_id: str, log: Any) -> list[str]:
    """Make schedules ``Active`` or ``Disabled``; returns their ids.

    Raises:
        AirflowFailException: There is no such schedule, or several have the name.
    """
    with airflow_errors():
        arguments = given_once(reference, reference._fields)
    schedules = AzureMLHook(azureml_conn_id).run(settle_status(status, **arguments, log=log.info))
    if not schedules:
        log.info("Published pipeline %s has no schedules.", reference.pipeline_id)
    return [schedule.id for schedule in schedules]


def set_status_of_pipeline(
    reference: PipelineReference, status: str, *, azureml_conn_id: str, log: Any, disable_schedules: bool = True
) -> str:
    """Make a published pipeline ``Active``, or ``Disabled`` with its schedules if wanted; returns its id.

    Raises:
        AirflowFailException: There is no such pipeline, or several have the name.
    """
    with airflow_errors():
        arguments = given_once(reference, ("pipeline_id", "pipeline_name")) | {"log": log.info}
    if status == ACTIVE:
        flow = enable_pipeline(**arguments)
    else:
        flow = disable_pipeline(**arguments, disable_schedules=disable_schedules)
    return AzureMLHook(azureml_conn_id).run(flow)
