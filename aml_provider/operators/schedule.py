"""Operators for native schedules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from airflow.providers.common.compat.sdk import BaseOperator, conf

from aml_provider.connection import DEFAULT_CONN_ID

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.providers.common.compat.sdk import Context

    from aml_provider.client.models import DataPath, Recurrence
    from aml_provider.worker.create_schedule import ScheduleExecution


class AzureMLCreateScheduleOperator(BaseOperator):
    """Make sure that a native schedule exists and is as the DAG says.

    The schedule starts runs by itself, on a recurrence or when a blob in a folder changes; Airflow need not be up then.
    However often this task runs, is retried or cleared, there is one schedule: what it finds it leaves alone if it is
    as wanted, updates if it differs, and replaces if its pipeline or kind differs, which the service cannot change.

    Args:
        name: The schedule's name.
        pipeline_id: The published pipeline; one of this and the next three is required.
        pipeline_name: The name of the one active published pipeline that has it.
        endpoint_id: The pipeline endpoint; its default version is what runs.
        endpoint_name: The pipeline endpoint's name.
        experiment_name: The experiment that its runs belong to.
        recurrence: When it fires: a :class:`~aml_provider.client.models.Recurrence`. Without a ``start_time`` the
            service starts a run at once. This or ``datastore`` is required.
        datastore: The blob datastore that it watches for added or modified blobs.
        path_on_datastore: The folder there, without its sub-folders; None: the container itself.
        polling_interval: Minutes between two looks at the folder.
        data_path_parameter_name: The pipeline's DataPath parameter that gets the changed blob.
        parameters: Plain parameters, by name: text, numbers, bools.
        data_paths: DataPath parameters, by name; see the run operator.
        datasets: Ids of saved datasets, by parameter.
        description: The schedule's description; None leaves the one that it has.
        continue_on_step_failure: Overrides the pipeline's own setting.
        status: ``Active``; or ``Disabled``: it is created without starting a run, although the service can only create
            active schedules.
        wait_for_provisioning: Wait until the service has set the schedule up: until ``execution_timeout``, else for an
            hour.
        if_exists: What becomes of a schedule that exists already: ``update`` it, ``reuse`` it as it is, or ``fail``.
        deferrable: Wait in the triggerer instead of on a worker.
        azureml_conn_id: The connection.

    Returns:
        The schedule's id.

    Raises:
        AirflowFailException: What a retry cannot mend: a bad argument, a missing right, an ambiguous name, a schedule
            that exists and must not.
        ProvisioningFailed: The service could not set it up; the message has what the service says.
        ProvisioningUnsettled: The service has not set it up in time; a retry looks on.
    """

    template_fields: Sequence[str] = (
        "name",
        "pipeline_id",
        "pipeline_name",
        "endpoint_id",
        "endpoint_name",
        "experiment_name",
        "recurrence",
        "datastore",
        "path_on_datastore",
        "data_path_parameter_name",
        "parameters",
        "data_paths",
        "datasets",
        "description",
        "azureml_conn_id",
    )
    template_fields_renderers = {  # noqa: RUF012 - Airflow's own declaration
        "parameters": "json",
        "data_paths": "json",
        "datasets": "json",
    }
    ui_color = "#e8e0f7"

    def __init__(
        self,
        *,
        name: str,
        experiment_name: str,
        pipeline_id: str | None = None,
        pipeline_name: str | None = None,
        endpoint_id: str | None = None,
        endpoint_name: str | None = None,
        recurrence: Recurrence | None = None,
        datastore: str | None = None,
        path_on_datastore: str | None = None,
        polling_interval: int = 5,
        data_path_parameter_name: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        data_paths: Mapping[str, DataPath | Mapping[str, Any] | str] | None = None,
        datasets: Mapping[str, str] | None = None,
        description: str | None = None,
        continue_on_step_failure: bool | None = None,
        status: Literal["Active", "Disabled"] = "Active",
        wait_for_provisioning: bool = True,
        if_exists: Literal["update", "reuse", "fail"] = "update",
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        azureml_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.name = name
        self.experiment_name = experiment_name
        self.pipeline_id = pipeline_id
        self.pipeline_name = pipeline_name
        self.endpoint_id = endpoint_id
        self.endpoint_name = endpoint_name
        self.recurrence = recurrence
        self.datastore = datastore
        self.path_on_datastore = path_on_datastore
        self.polling_interval = polling_interval
        self.data_path_parameter_name = data_path_parameter_name
        self.parameters = parameters
        self.data_paths = data_paths
        self.datasets = datasets
        self.description = description
        self.continue_on_step_failure = continue_on_step_failure
        self.status = status
        self.wait_for_provisioning = wait_for_provisioning
        self.if_exists = if_exists
        self.deferrable = deferrable
        self.azureml_conn_id = azureml_conn_id
        from aml_provider.parsing.operators import check_schedule

        check_schedule(self)

    def execute(self, context: Context) -> str:
        """Come to the schedule and wait until it is set up; Airflow calls this on a worker."""
        return self._begin(context).start()

    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None) -> str:
        """Resume after the trigger fired; what became of the schedule is read anew, never taken from the event.

        Raises:
            ValueError: The event is none of our trigger's.
        """
        return self._begin(context).resume(event)

    def _begin(self, context: Context) -> ScheduleExecution:
        from aml_provider.worker.create_schedule import ScheduleExecution

        return ScheduleExecution(self, context)


class _ScheduleStatusOperator(BaseOperator):
    """What enabling and disabling have in common."""

    template_fields: Sequence[str] = ("schedule_id", "schedule_name", "pipeline_id", "azureml_conn_id")
    ui_color = "#e8e0f7"
    _status: str

    def __init__(
        self,
        *,
        schedule_id: str | None = None,
        schedule_name: str | None = None,
        pipeline_id: str | None = None,
        azureml_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.schedule_id = schedule_id
        self.schedule_name = schedule_name
        self.pipeline_id = pipeline_id
        self.azureml_conn_id = azureml_conn_id
        from aml_provider.parsing.operators import check_one_of

        check_one_of(self, "schedule_id", "schedule_name", "pipeline_id")

    def execute(self, context: Context) -> list[str]:  # noqa: ARG002 - Airflow's signature
        """Settle the status; Airflow calls this on a worker."""
        from aml_provider.worker.set_status import settle_schedules

        return settle_schedules(self, self._status)


class AzureMLDisableScheduleOperator(_ScheduleStatusOperator):
    """Disable a native schedule, or all of a published pipeline. What is disabled already is left alone.

    The service has no deletion: a disabled schedule starts no more runs, and stays.

    Args:
        schedule_id: The schedule; one of the three is required.
        schedule_name: The name of the one schedule that has it.
        pipeline_id: All schedules of this published pipeline.
        azureml_conn_id: The connection.

    Returns:
        The ids of the schedules that are disabled now.

    Raises:
        AirflowFailException: There is no such schedule, or several active ones have the name.
    """

    _status = "Disabled"


class AzureMLEnableScheduleOperator(_ScheduleStatusOperator):
    """Enable a native schedule, or all of a published pipeline. What is enabled already is left alone.

    A recurrence without a start time may start a run at once.

    Args:
        schedule_id: The schedule; one of the three is required.
        schedule_name: The name of the one schedule that has it.
        pipeline_id: All schedules of this published pipeline, except those that this provider has replaced by another.
        azureml_conn_id: The connection.

    Returns:
        The ids of the schedules that are enabled now.

    Raises:
        AirflowFailException: There is no such schedule, or which one is meant cannot be told.
    """

    _status = "Active"
