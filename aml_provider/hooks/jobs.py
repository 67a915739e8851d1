"""The hook's methods for pipeline jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aml_provider.hooks.operation import in_event_loop, operation
from aml_provider.hooks.workspace import WorkspaceHook

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aml_provider.client.calls import Call
    from aml_provider.client.entities import PipelineRun
    from aml_provider.client.http.messages import Flow


class JobMethods(WorkspaceHook):
    """Methods for pipeline jobs.

    A job is a pipeline run too: all methods that read a run by its id also take a job's id.
    """

    @operation
    def submit_job(
        self,
        *,
        component_name: str | None = None,
        component_version: str | None = None,
        batch_endpoint_name: str | None = None,
        deployment_name: str | None = None,
        experiment_name: str,
        job_id: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        data_paths: Mapping[str, Any] | None = None,
        datasets: Mapping[str, str] | None = None,
        tags: Mapping[str, Any] | None = None,
        description: str | None = None,
        continue_on_step_failure: bool | None = None,
        compute: str | None = None,
    ) -> Flow[PipelineRun]:
        """Submit one pipeline job of a component, once.

        Unlike the operator, this keeps no submission record. After a lost reply (``AzureMLError.in_doubt``),
        :meth:`get_job` with the id in the error's message shows whether the job exists.

        Args:
            component_name: The registered pipeline component; give this or ``batch_endpoint_name``.
            component_version: The component's version; None: the newest version that is not archived.
            batch_endpoint_name: The batch endpoint whose deployment names the component. The job is not a job of the
                endpoint.
            deployment_name: The endpoint's deployment; None: its default deployment.
            experiment_name: The experiment that the job belongs to.
            job_id: The job's id, which no other job of the workspace has: 1 to 255 letters, digits, ``-`` and ``_``, a
                letter or digit first. None: a random one.
            parameters: Literal inputs, by name.
            data_paths: Inputs that take data, by name; see :class:`aml_provider.client.models.DataPath`.
            datasets: Data assets as ``name:version``, by input.
            tags: Tags of the job.
            description: The job's description.
            continue_on_step_failure: Whether other steps continue when one fails; None: as in the deployment's
                settings.
            compute: The compute for the steps that name no compute; None: as in the deployment's settings.

        Raises:
            InvalidArgument: A value cannot be sent; nothing was submitted.
            PipelineError: There is no such component, batch endpoint or deployment.
        """
        from aml_provider.client.flows.jobs import submit_job
        from aml_provider.client.specs.run import RunRequest
        from aml_provider.client.specs.target import PipelineReference

        reference = PipelineReference(
            component_name=component_name,
            component_version=component_version,
            batch_endpoint_name=batch_endpoint_name,
            deployment_name=deployment_name,
        )
        request = RunRequest.of(
            experiment_name=experiment_name,
            parameters=parameters,
            data_paths=data_paths,
            datasets=datasets,
            tags=tags,
            description=description,
            continue_on_step_failure=continue_on_step_failure,
            compute=compute,
        )
        return submit_job(reference.check(("component_name", "batch_endpoint_name")), request, job_id)

    async_submit_job = in_event_loop(submit_job)

    @operation
    def get_job(self, job_id: str) -> Call[PipelineRun]:
        """Read a pipeline job and its status."""
        from aml_provider.client import calls

        return calls.get_job(job_id)

    async_get_job = in_event_loop(get_job)

    @operation
    def list_jobs(
        self, *, properties: Mapping[str, str | None] | None = None, tag: str | None = None, limit: int | None = 100
    ) -> Call[tuple[PipelineRun, ...]]:
        """List the workspace's pipeline jobs, in the order of the service.

        For the jobs of one experiment, newest first, use :meth:`list_runs`.

        Args:
            properties: Only jobs that have all of these properties; None as a value means any value.
            tag: Only jobs that have a tag of this name.
            limit: The most jobs to return; None: all.

        Raises:
            InvalidArgument: A property has a comma or an equals sign, so that it cannot be searched for.
        """
        from aml_provider.client import calls

        return calls.list_jobs(properties=properties, tag=tag, limit=limit)

    async_list_jobs = in_event_loop(list_jobs)

    @operation
    def cancel_job(self, job_id: str, *, reason: str = "cancelled from Airflow") -> Flow[PipelineRun]:
        """Cancel a pipeline job and wait up to a minute for its end.

        Args:
            job_id: The job.
            reason: Goes into the job's tag ``airflow.cancel``, for people who open the job.

        Returns:
            The job as it was read last.
        """
        from aml_provider.client import calls
        from aml_provider.client.flows.cancel_run import cancel_run

        job: PipelineRun = yield calls.get_job(job_id)
        return (yield from cancel_run(job_id, job.experiment_name, reason=reason, log=self.log.warning))

    async_cancel_job = in_event_loop(cancel_job)
