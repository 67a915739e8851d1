"""Operators for native schedules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aml_provider.compat import BaseOperator, conf
from aml_provider.connection import DEFAULT_CONN_ID
from aml_provider.operators.deferring import DeferringOperator
from aml_provider.operators.one_exception import as_one_exception

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aml_provider.argument_types import DataPaths, Datasets, Values
    from aml_provider.client.arguments import IfExists, Status
    from aml_provider.client.models import Recurrence
    from aml_provider.compat import Context, XComArg
    from aml_provider.worker.create_schedule import ScheduleTry


class AzureMLCreateScheduleOperator(DeferringOperator):
    """Make sure that a native schedule exists and is as the DAG describes it.

    The schedule starts runs by itself, on a recurrence or when a blob in a folder changes, even while Airflow is down.
    However often this task runs, is retried or cleared, there is one schedule. An existing schedule is not changed if
    it is as described, and is updated if it differs. If its pipeline or kind differs, it is replaced, since the service
    cannot change these.

    Args:
        name: The schedule's name.
        pipeline_id: The published pipeline; either this or one of the next three is required.
        pipeline_name: The name of a published pipeline, which no other active pipeline may have.
        endpoint_id: The pipeline endpoint; its default version runs.
        endpoint_name: The pipeline endpoint's name.
        experiment_name: The experiment of the schedule's runs.
        recurrence: The times at which it starts runs: a :class:`~aml_provider.client.models.Recurrence`. Without a
            ``start_time`` the service starts a run immediately. Either this or ``datastore`` is required.
        datastore: The blob datastore that it watches for added or modified blobs.
        path_on_datastore: The folder in that datastore, without its sub-folders; None: the container itself.
        polling_interval: Minutes between two polls of the folder.
        data_path_parameter_name: The pipeline's DataPath parameter that receives the changed blob.
        parameters: Plain parameters, by name: text, numbers, bools.
        data_paths: DataPath parameters, by name; see the run operator.
        datasets: Ids of saved datasets, by parameter.
        description: The schedule's description; None changes nothing.
        continue_on_step_failure: Overrides the pipeline's own setting.
        status: ``Active`` or ``Disabled``. With ``Disabled`` the new schedule starts no run, although the service can
            only create active schedules.
        wait_for_provisioning: Wait until the service has set the schedule up, for ``execution_timeout`` or, without it,
            for an hour.
        if_exists: What happens if the schedule exists already: ``update`` it, ``reuse`` it as it is, or ``fail``.
        deferrable: Wait in the triggerer instead of on a worker.
        azureml_conn_id: The connection.

    Returns:
        The schedule's id.

    Raises:
        AirflowFailException: An error that a retry cannot fix: a bad argument, a missing permission, an ambiguous name,
            a schedule that exists although it must not.
        ProvisioningFailed: The service could not set it up; the message has the service's explanation.
        ProvisioningUnsettled: The service has not set the schedule up in time, or the schedule could not be read; a
            retry continues the wait.
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
    template_fields_renderers = dict.fromkeys(("recurrence", "parameters", "data_paths", "datasets"), "json")
    ui_color = "#e8e0f7"

    def __init__(
        self,
        *,
        name: str | XComArg,
        experiment_name: str | XComArg,
        pipeline_id: str | XComArg | None = None,
        pipeline_name: str | XComArg | None = None,
        endpoint_id: str | XComArg | None = None,
        endpoint_name: str | XComArg | None = None,
        recurrence: Recurrence | Mapping[str, Any] | XComArg | None = None,
        datastore: str | XComArg | None = None,
        path_on_datastore: str | XComArg | None = None,
        polling_interval: int = 5,
        data_path_parameter_name: str | XComArg | None = None,
        parameters: Values | None = None,
        data_paths: DataPaths | None = None,
        datasets: Datasets | None = None,
        description: str | XComArg | None = None,
        continue_on_step_failure: bool | None = None,
        status: Status = "Active",
        wait_for_provisioning: bool = True,
        if_exists: IfExists = "update",
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        azureml_conn_id: str | XComArg = DEFAULT_CONN_ID,
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
        self._written = {"parameters": parameters, "description": description}
        self.continue_on_step_failure = continue_on_step_failure
        self.status = status
        self.wait_for_provisioning = wait_for_provisioning
        self.if_exists = if_exists
        self.deferrable = deferrable
        self.azureml_conn_id = azureml_conn_id
        from aml_provider.parsing.operators import check_schedule

        check_schedule(self)

    def _begin(self, context: Context) -> ScheduleTry:
        from aml_provider.worker.create_schedule import ScheduleArguments, ScheduleTry

        return ScheduleTry(ScheduleArguments.of(self), context, self.log)


class _ScheduleStatusOperator(BaseOperator):
    """Enables or disables schedules."""

    template_fields: Sequence[str] = ("schedule_id", "schedule_name", "pipeline_id", "azureml_conn_id")
    ui_color = "#e8e0f7"
    _status: str

    def __init__(
        self,
        *,
        schedule_id: str | XComArg | None = None,
        schedule_name: str | XComArg | None = None,
        pipeline_id: str | XComArg | None = None,
        azureml_conn_id: str | XComArg = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        # A rendered value can be anything.
        self.schedule_id: Any = schedule_id
        self.schedule_name: Any = schedule_name
        self.pipeline_id: Any = pipeline_id
        self.azureml_conn_id: Any = azureml_conn_id
        from aml_provider.parsing.operators import check_one_of

        check_one_of(self, "schedule_id", "schedule_name", "pipeline_id")

    @as_one_exception
    def execute(self, context: Context) -> list[str]:  # noqa: ARG002 - Airflow's signature
        """Set the status; Airflow calls this on a worker."""
        from aml_provider.worker.set_status import ScheduleReference, set_status_of_schedules

        reference = ScheduleReference(self.schedule_id, self.schedule_name, self.pipeline_id)
        return set_status_of_schedules(reference, self._status, azureml_conn_id=self.azureml_conn_id, log=self.log)


class AzureMLDisableScheduleOperator(_ScheduleStatusOperator):
    """Disable a native schedule, or all schedules of a published pipeline. Disabled schedules are not changed.

    The service cannot delete schedules: a disabled one starts no more runs, and stays in the workspace.

    Args:
        schedule_id: The schedule. Exactly one of ``schedule_id``, ``schedule_name`` and ``pipeline_id`` is required.
        schedule_name: The schedule's name, which no other active schedule may have.
        pipeline_id: All schedules of this published pipeline.
        azureml_conn_id: The connection.

    Returns:
        The ids of the schedules that are disabled now.

    Raises:
        AirflowFailException: There is no such schedule, or several active ones have the name.
    """

    _status = "Disabled"


class AzureMLEnableScheduleOperator(_ScheduleStatusOperator):
    """Enable a native schedule, or all schedules of a published pipeline. Enabled schedules are not changed.

    If a recurrence has no start time, the service may start a run immediately.

    Args:
        schedule_id: The schedule. Exactly one of ``schedule_id``, ``schedule_name`` and ``pipeline_id`` is required.
        schedule_name: The schedule's name; if several schedules have it, exactly one of them must be active.
        pipeline_id: All schedules of this published pipeline, except those that this provider has replaced.
        azureml_conn_id: The connection.

    Returns:
        The ids of the schedules that are enabled now.

    Raises:
        AirflowFailException: There is no such schedule, or several have the name.
    """

    _status = "Active"
