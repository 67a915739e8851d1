"""The operator that runs published pipelines and components, and those that enable and disable published pipelines."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from aml_provider.compat import BaseOperator, conf
from aml_provider.connection import DEFAULT_CONN_ID
from aml_provider.links import AzureMLPipelineRunLink
from aml_provider.operators.deferring import DeferringOperator
from aml_provider.operators.one_exception import as_one_exception

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from airflow.providers.openlineage.extractors import OperatorLineage

    from aml_provider.argument_types import DataPaths, Datasets, Values
    from aml_provider.client.arguments import OnTimeout
    from aml_provider.compat import Context, XComArg
    from aml_provider.worker.run_pipeline import RunTry


class AzureMLRunPipelineOperator(DeferringOperator):
    """Run a published pipeline, a pipeline endpoint or a pipeline component, exactly once.

    A component is run as a pipeline job of Azure ML v2. Apart from the names and ids, the arguments mean the same for
    pipelines, endpoints and components.

    At most one run of each task instance is active at any time, and at most one ends successfully, whatever happens:
    retries, killed workers, lost replies. A retry takes over the run that an earlier try submitted. A clear starts a
    new run, after the old one was cancelled.

    Args:
        pipeline_id: The published pipeline. Exactly one id or name of a pipeline, endpoint, component or batch endpoint
            is required.
        pipeline_name: The name of a published pipeline. Exactly one active pipeline must have this name.
        endpoint_id: The pipeline endpoint.
        endpoint_name: The pipeline endpoint's name.
        endpoint_version: The endpoint's version; None: its default version.
        component_name: The registered pipeline component.
        component_version: The component's version; None: the version that is newest at the time of the submission.
        batch_endpoint_name: A batch endpoint; one of its deployments names the component and the settings. The job is
            not a job of the endpoint.
        deployment_name: The batch endpoint's deployment; None: its default deployment.
        experiment_name: The experiment that the run belongs to; created if it is new.
        parameters: Plain parameters, by name: text, numbers, bools.
        data_paths: DataPath parameters, by name: :class:`~aml_provider.client.models.DataPath`, a mapping with
            ``datastore`` and ``path`` (such as a change from the blob sensor), or ``"store/path"``.
        datasets: The ids of saved datasets, by parameter; for a component, data assets as ``"name:version"``, by input.
        tags: Tags of the run.
        description: The run's description.
        continue_on_step_failure: Overrides the pipeline's own setting.
        parent_run_id: A run of the same experiment that becomes the parent. A component's job cannot have one.
        compute: For a component: the name of the compute for those steps that name no compute.
        validate: Compare names and types with the pipeline's interface before submitting.
        wait_for_completion: Wait until the run ends. False: the task ends as soon as the run exists.
        deferrable: Wait in the triggerer instead of on a worker.
        poll_interval: Seconds between two polls of the run.
        durable: False: there is no submission record, nothing is looked up or taken over, and each try submits a run.
        cancel_on_kill: Cancel the run when the task is killed or cleared, or its state is set, while it waits.
        on_timeout: What happens to the run when ``execution_timeout`` passes: ``cancel`` or ``leave``.
        azureml_conn_id: The connection.

    Returns:
        The run's id.

    Raises:
        AirflowFailException: An error that a retry cannot fix: a bad argument, a missing permission, an ambiguous name,
            a run that was cancelled in the workspace, a submission of which it cannot be established whether it was
            carried out.
        RunFailed: The run failed; the message has the failed step, its error and the end of its log.
        RunTimedOut: ``execution_timeout`` has passed.
        SubmissionUnsettled: It is not known yet whether an earlier submission was carried out; a retry checks again.
        RunUnwatched: The run could not be read; it continues, and a retry takes it over.
    """

    template_fields: Sequence[str] = (
        "pipeline_id",
        "pipeline_name",
        "endpoint_id",
        "endpoint_name",
        "endpoint_version",
        "component_name",
        "component_version",
        "batch_endpoint_name",
        "deployment_name",
        "experiment_name",
        "parameters",
        "data_paths",
        "datasets",
        "tags",
        "description",
        "parent_run_id",
        "compute",
        "azureml_conn_id",
    )
    template_fields_renderers = dict.fromkeys(("parameters", "data_paths", "datasets", "tags"), "json")
    operator_extra_links = (AzureMLPipelineRunLink(),)
    ui_color = "#d7e8fa"

    def __init__(
        self,
        *,
        experiment_name: str | XComArg,
        pipeline_id: str | XComArg | None = None,
        pipeline_name: str | XComArg | None = None,
        endpoint_id: str | XComArg | None = None,
        endpoint_name: str | XComArg | None = None,
        endpoint_version: str | int | XComArg | None = None,
        component_name: str | XComArg | None = None,
        component_version: str | int | XComArg | None = None,
        batch_endpoint_name: str | XComArg | None = None,
        deployment_name: str | XComArg | None = None,
        parameters: Values | None = None,
        data_paths: DataPaths | None = None,
        datasets: Datasets | None = None,
        tags: Values | None = None,
        description: str | XComArg | None = None,
        continue_on_step_failure: bool | None = None,
        parent_run_id: str | XComArg | None = None,
        compute: str | XComArg | None = None,
        validate: bool = True,
        wait_for_completion: bool = True,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: float | timedelta = 30.0,
        durable: bool = True,
        cancel_on_kill: bool = True,
        on_timeout: OnTimeout = "cancel",
        azureml_conn_id: str | XComArg = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.experiment_name = experiment_name
        self.pipeline_id = pipeline_id
        self.pipeline_name = pipeline_name
        self.endpoint_id = endpoint_id
        self.endpoint_name = endpoint_name
        self.endpoint_version = endpoint_version
        self.component_name = component_name
        self.component_version = component_version
        self.batch_endpoint_name = batch_endpoint_name
        self.deployment_name = deployment_name
        self.parameters = parameters
        self.data_paths = data_paths
        self.datasets = datasets
        self.tags = tags
        self.description = description
        self._written = {"parameters": parameters, "tags": tags, "description": description}
        self.continue_on_step_failure = continue_on_step_failure
        self.parent_run_id = parent_run_id
        self.compute = compute
        self.validate = validate
        self.wait_for_completion = wait_for_completion
        self.deferrable = deferrable
        self.poll_interval = poll_interval
        self.durable = durable
        self.cancel_on_kill = cancel_on_kill
        self.on_timeout = on_timeout
        self.azureml_conn_id = azureml_conn_id
        self._try: RunTry | None = None
        self._killed = False
        from aml_provider.parsing.operators import check_run

        check_run(self)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Resume; if Airflow itself has ended the wait, because the triggerer was unreachable, handle the run first."""
        # "Trigger timeout", or on Airflow 2 "Trigger/execution timeout": there it is execution_timeout itself.
        if next_method == "__fail__" and "timeout" in str((next_kwargs or {}).get("error")):
            run_id = self._begin(context).end_abandoned_wait()
            if run_id is not None:
                return run_id
        return super().resume_execution(next_method, next_kwargs, context)

    def on_kill(self) -> None:
        """Handle the run when Airflow interrupts the task on a worker, for a person or for a reason of its own."""
        # Airflow 3 may call this while it still renders the arguments, and lets the task begin anyway.
        self._killed = True
        if self._try is not None:
            self._try.kill()
            return
        from aml_provider.compat import AirflowTaskTimeout, get_current_context

        if isinstance(sys.exc_info()[1], AirflowTaskTimeout):
            # Airflow 2 resumes no task whose execution_timeout has passed while it was deferred: it only calls this.
            self._new_try(get_current_context()).end_abandoned_wait(is_over=True)

    def get_openlineage_facets_on_start(self) -> OperatorLineage[Any, Any]:
        """The task's lineage when it begins; OpenLineage calls this, and the next two, if it is installed."""
        from aml_provider.worker.lineage.run import at_start

        return at_start(self)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any]:  # noqa: ARG002 - OpenLineage's signature
        """The task's lineage when it has succeeded."""
        from aml_provider.worker.lineage.run import at_end

        return at_end(self, None if self._try is None else self._try.facts, succeeded=True)

    def get_openlineage_facets_on_failure(self, task_instance: Any) -> OperatorLineage[Any, Any]:  # noqa: ARG002 - OpenLineage's signature
        """The task's lineage when a try has failed."""
        from aml_provider.worker.lineage.run import at_end

        return at_end(self, None if self._try is None else self._try.facts, succeeded=False)

    def _begin(self, context: Context) -> RunTry:
        self._try = self._new_try(context)
        if self._killed:
            self._try.kill()
        return self._try

    def _new_try(self, context: Context) -> RunTry:
        from aml_provider.worker.run_arguments import RunArguments
        from aml_provider.worker.run_pipeline import RunTry

        fails_fast = getattr(self.get_dag(), "fail_fast", False)
        return RunTry(RunArguments.of(self), context, self.log, fails_fast=fails_fast)


class AzureMLDisablePipelineOperator(BaseOperator):
    """Disable the native schedules of a published pipeline, then the pipeline. What is disabled already is not changed.

    Args:
        pipeline_id: The published pipeline; this or ``pipeline_name`` is required.
        pipeline_name: The name of a published pipeline. Exactly one active pipeline must have this name.
        disable_schedules: Disable the pipeline's active schedules first, as the service's rules require.
        azureml_conn_id: The connection.

    Returns:
        The pipeline's id.

    Raises:
        AirflowFailException: There is no such pipeline, or several active ones have the name.
    """

    template_fields: Sequence[str] = ("pipeline_id", "pipeline_name", "azureml_conn_id")
    ui_color = "#d7e8fa"

    def __init__(
        self,
        *,
        pipeline_id: str | XComArg | None = None,
        pipeline_name: str | XComArg | None = None,
        disable_schedules: bool = True,
        azureml_conn_id: str | XComArg = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        # A rendered value can be anything.
        self.pipeline_id: Any = pipeline_id
        self.pipeline_name: Any = pipeline_name
        self.disable_schedules = disable_schedules
        self.azureml_conn_id: Any = azureml_conn_id
        from aml_provider.parsing.operators import check_one_of

        check_one_of(self, "pipeline_id", "pipeline_name")

    @as_one_exception
    def execute(self, context: Context) -> str:  # noqa: ARG002 - Airflow's signature
        """Disable the pipeline; Airflow calls this on a worker."""
        from aml_provider.client.specs.target import PipelineReference
        from aml_provider.worker.set_status import set_status_of_pipeline

        return set_status_of_pipeline(
            PipelineReference(self.pipeline_id, self.pipeline_name),
            "Disabled",
            azureml_conn_id=self.azureml_conn_id,
            log=self.log,
            disable_schedules=self.disable_schedules,
        )


class AzureMLEnablePipelineOperator(BaseOperator):
    """Enable a published pipeline. An enabled pipeline is not changed, and neither are the pipeline's native schedules.

    Args:
        pipeline_id: The published pipeline; this or ``pipeline_name`` is required.
        pipeline_name: Its name; if several pipelines have it, exactly one of them must be active.
        azureml_conn_id: The connection.

    Returns:
        The pipeline's id.

    Raises:
        AirflowFailException: There is no such pipeline, or the name is ambiguous.
    """

    template_fields: Sequence[str] = ("pipeline_id", "pipeline_name", "azureml_conn_id")
    ui_color = "#d7e8fa"

    def __init__(
        self,
        *,
        pipeline_id: str | XComArg | None = None,
        pipeline_name: str | XComArg | None = None,
        azureml_conn_id: str | XComArg = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        # A rendered value can be anything.
        self.pipeline_id: Any = pipeline_id
        self.pipeline_name: Any = pipeline_name
        self.azureml_conn_id: Any = azureml_conn_id
        from aml_provider.parsing.operators import check_one_of

        check_one_of(self, "pipeline_id", "pipeline_name")

    @as_one_exception
    def execute(self, context: Context) -> str:  # noqa: ARG002 - Airflow's signature
        """Enable the pipeline; Airflow calls this on a worker."""
        from aml_provider.client.specs.target import PipelineReference
        from aml_provider.worker.set_status import set_status_of_pipeline

        return set_status_of_pipeline(
            PipelineReference(self.pipeline_id, self.pipeline_name),
            "Active",
            azureml_conn_id=self.azureml_conn_id,
            log=self.log,
        )
