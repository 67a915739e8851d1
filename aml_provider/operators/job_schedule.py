"""Operators for the job schedules of Azure ML v2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aml_provider.compat import BaseOperator, conf
from aml_provider.connection import DEFAULT_CONN_ID
from aml_provider.operators.deferring import DeferringOperator
from aml_provider.operators.one_exception import as_one_exception

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from aml_provider.argument_types import DataPaths, Datasets, Values
    from aml_provider.client.arguments import IfExists, Status
    from aml_provider.client.models import Recurrence
    from aml_provider.compat import Context, XComArg
    from aml_provider.worker.create_job_schedule import JobScheduleTry


class AzureMLCreateJobScheduleOperator(DeferringOperator):
    """Make sure that a job schedule of Azure ML v2 exists and is as the DAG describes it.

    The schedule starts jobs of a pipeline component by itself, even while Airflow is down. Its name is its identity:
    however often this task runs, is retried or cleared, there is one schedule. The task reads it once, and writes it at
    most once: not at all if it is as described. Everything else that others have set on it stays as it is.

    Args:
        name: The schedule's name: 1 to 255 letters, digits, ``-`` and ``_``. No other schedule of the workspace has
            this name.
        component_name: The registered pipeline component; either this or ``batch_endpoint_name`` is required.
        component_version: The component's version; None: whenever this task runs, the version that is newest then.
        batch_endpoint_name: A batch endpoint, whose deployment names the component and the settings. They are read
            whenever this task runs; the schedule's jobs are not jobs of the endpoint.
        deployment_name: The endpoint's deployment; None: its default deployment.
        experiment_name: The experiment of the schedule's jobs.
        compute: The compute for the steps that name no compute, by its name or its id; None changes nothing.
        recurrence: The times at which it starts jobs: a :class:`~aml_provider.client.models.Recurrence`. Either this or
            ``cron`` is required.
        cron: A cron expression of five fields instead, such as ``0 7 * * 1-5``. The service ignores the fields for day
            of month and month, so both must be ``*``.
        start_time: The first moment at which a job may start, without an offset: a datetime, or text such as
            ``2026-12-01T07:00:00``. None changes nothing. If the schedule has no start time, the service may start a
            job immediately; the documentation is not clear about this.
        end_time: The last moment at which a job may start, in the same form; None: the schedule has no end.
        time_zone: The zone of all times: an IANA name (``Asia/Seoul``) or a Windows one; None: UTC.
        parameters: Literal inputs, by name: text, numbers, bools.
        data_paths: Inputs that are files or folders, by name; see the run operator.
        datasets: Data assets, by the name of the input: ``"name:version"``.
        tags: Tags of the schedule and of its jobs. Other tags stay.
        description: The description of the schedule and of its jobs; None changes nothing.
        continue_on_step_failure: Whether other steps continue when one fails; None changes nothing.
        validate: Compare names and types with the component's interface before anything is written.
        status: ``Active`` or ``Disabled``. With ``Disabled`` the schedule is created as disabled, so it starts nothing.
        wait_for_provisioning: Wait until the service has set the schedule up, for ``execution_timeout`` or, without it,
            for an hour.
        if_exists: What happens if the schedule exists already: ``update`` it, ``reuse`` it as it is, or ``fail``.
        deferrable: Wait in the triggerer instead of on a worker.
        azureml_conn_id: The connection.

    Returns:
        The schedule's name.

    Raises:
        AirflowFailException: An error that a retry cannot fix: a bad argument, a missing permission, a component that
            does not exist or rejects the inputs, a schedule that exists although it must not, or that another Airflow
            owns.
        ProvisioningFailed: The service could not set it up.
        ProvisioningUnsettled: The service has not set the schedule up in time, or the schedule could not be read; a
            retry continues the wait.
    """

    template_fields: Sequence[str] = (
        "name",
        "component_name",
        "component_version",
        "batch_endpoint_name",
        "deployment_name",
        "experiment_name",
        "compute",
        "recurrence",
        "cron",
        "start_time",
        "end_time",
        "time_zone",
        "parameters",
        "data_paths",
        "datasets",
        "tags",
        "description",
        "azureml_conn_id",
    )
    template_fields_renderers = dict.fromkeys(("recurrence", "parameters", "data_paths", "datasets", "tags"), "json")
    ui_color = "#e8e0f7"

    def __init__(
        self,
        *,
        name: str | XComArg,
        experiment_name: str | XComArg,
        component_name: str | XComArg | None = None,
        component_version: str | int | XComArg | None = None,
        batch_endpoint_name: str | XComArg | None = None,
        deployment_name: str | XComArg | None = None,
        compute: str | XComArg | None = None,
        recurrence: Recurrence | Mapping[str, Any] | XComArg | None = None,
        cron: str | XComArg | None = None,
        start_time: datetime | str | XComArg | None = None,
        end_time: datetime | str | XComArg | None = None,
        time_zone: str | XComArg | None = None,
        parameters: Values | None = None,
        data_paths: DataPaths | None = None,
        datasets: Datasets | None = None,
        tags: Values | None = None,
        description: str | XComArg | None = None,
        continue_on_step_failure: bool | None = None,
        validate: bool = True,
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
        self.component_name = component_name
        self.component_version = component_version
        self.batch_endpoint_name = batch_endpoint_name
        self.deployment_name = deployment_name
        self.compute = compute
        self.recurrence = recurrence
        self.cron = cron
        self.start_time = start_time
        self.end_time = end_time
        self.time_zone = time_zone
        self.parameters = parameters
        self.data_paths = data_paths
        self.datasets = datasets
        self.tags = tags
        self.description = description
        self._written = {"parameters": parameters, "tags": tags, "description": description}
        self.continue_on_step_failure = continue_on_step_failure
        self.validate = validate
        self.status = status
        self.wait_for_provisioning = wait_for_provisioning
        self.if_exists = if_exists
        self.deferrable = deferrable
        self.azureml_conn_id = azureml_conn_id
        from aml_provider.parsing.operators import check_job_schedule

        check_job_schedule(self)

    def _begin(self, context: Context) -> JobScheduleTry:
        from aml_provider.worker.create_job_schedule import JobScheduleArguments, JobScheduleTry

        return JobScheduleTry(JobScheduleArguments.of(self), context, self.log)


class _NamedJobScheduleOperator(BaseOperator):
    """The base of the operators that act on an existing job schedule."""

    template_fields: Sequence[str] = ("name", "azureml_conn_id")
    ui_color = "#e8e0f7"

    def __init__(self, *, name: str | XComArg, azureml_conn_id: str | XComArg = DEFAULT_CONN_ID, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # A rendered value can be anything.
        self.name: Any = name
        self.azureml_conn_id: Any = azureml_conn_id
        from aml_provider.parsing.operators import check_named

        check_named(self)


class _JobScheduleStatusOperator(_NamedJobScheduleOperator):
    """Enables or disables a job schedule."""

    _status: str

    @as_one_exception
    def execute(self, context: Context) -> str:  # noqa: ARG002 - Airflow's signature
        """Set the status; Airflow calls this on a worker."""
        from aml_provider.worker.job_schedules import set_status

        return set_status(self.name, self._status, azureml_conn_id=self.azureml_conn_id, log=self.log)


class AzureMLDisableJobScheduleOperator(_JobScheduleStatusOperator):
    """Disable a job schedule of Azure ML v2, so that it starts no more jobs. Everything else is left unchanged.

    Args:
        name: The schedule's name.
        azureml_conn_id: The connection.

    Returns:
        The schedule's name.

    Raises:
        AirflowFailException: There is no such schedule.
    """

    _status = "Disabled"


class AzureMLEnableJobScheduleOperator(_JobScheduleStatusOperator):
    """Enable a job schedule of Azure ML v2. Everything else is left unchanged.

    If the schedule has no start time, the service may start a job immediately.

    Args:
        name: The schedule's name.
        azureml_conn_id: The connection.

    Returns:
        The schedule's name.

    Raises:
        AirflowFailException: There is no such schedule.
    """

    _status = "Active"


class AzureMLDeleteJobScheduleOperator(_NamedJobScheduleOperator):
    """Delete a job schedule of Azure ML v2. It is disabled first, because the service does not delete active schedules.

    Jobs that it has started continue. If the schedule does not exist, that is logged and is not an error: an earlier
    try may have deleted it and lost the reply.

    Args:
        name: The schedule's name.
        azureml_conn_id: The connection.

    Raises:
        AirflowFailException: Another Airflow owns the schedule.
        ProvisioningUnsettled: The schedule still existed after ``execution_timeout`` or, without it, ten minutes; a
            retry continues the wait.
    """

    @as_one_exception
    def execute(self, context: Context) -> None:
        """Delete the schedule and wait until it is gone; Airflow calls this on a worker."""
        from aml_provider.worker.job_schedules import delete

        delete(self.name, self.execution_timeout, context, azureml_conn_id=self.azureml_conn_id, log=self.log)
