"""What the enabling and disabling operators do. It loads on the worker, never with a DAG file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aml_provider.client.arguments import ACTIVE, given_once
from aml_provider.client.flows.pipelines import disable_pipeline, enable_pipeline
from aml_provider.client.flows.schedules import settle_status
from aml_provider.connection import airflow_errors
from aml_provider.hooks.azure_ml import AzureMLHook

if TYPE_CHECKING:
    from aml_provider.operators.pipeline import AzureMLDisablePipelineOperator, AzureMLEnablePipelineOperator
    from aml_provider.operators.schedule import _ScheduleStatusOperator


def settle_schedules(operator: _ScheduleStatusOperator, status: str) -> list[str]:
    """Enable or disable what the operator names; returns the schedules' ids."""
    with airflow_errors():
        arguments = given_once(operator, ("schedule_id", "schedule_name", "pipeline_id"))
    settled = AzureMLHook(operator.azureml_conn_id).run(settle_status(status, **arguments, log=operator.log.info))
    if not settled:
        operator.log.info("Published pipeline %s has no schedules.", operator.pipeline_id)
    return [schedule.id for schedule in settled]


def settle_pipeline(operator: AzureMLDisablePipelineOperator | AzureMLEnablePipelineOperator, status: str) -> str:
    """Enable or disable the published pipeline that the operator names; returns its id."""
    with airflow_errors():
        arguments = given_once(operator, ("pipeline_id", "pipeline_name")) | {"log": operator.log.info}
    flow = (
        enable_pipeline(**arguments)
        if status == ACTIVE
        else disable_pipeline(**arguments, disable_schedules=getattr(operator, "disable_schedules", True))
    )
    return AzureMLHook(operator.azureml_conn_id).run(flow)
