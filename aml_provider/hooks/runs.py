"""The hook's methods for pipeline runs and their steps."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from aml_provider.hooks.operation import in_event_loop, operation
from aml_provider.hooks.workspace import WorkspaceHook, retry_policy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aml_provider.client.calls import Call
    from aml_provider.client.entities import HistoryRun, PipelineRun
    from aml_provider.client.http.messages import Flow


class RunMethods(WorkspaceHook):
    """Methods for pipeline runs."""

    @operation
    def submit_pipeline(
        self,
        pipeline_id: str,
        *,
        experiment_name: str,
        parameters: Mapping[str, Any] | None = None,
        data_paths: Mapping[str, Any] | None = None,
        datasets: Mapping[str, str] | None = None,
        tags: Mapping[str, Any] | None = None,
        description: str | None = None,
        continue_on_step_failure: bool | None = None,
        parent_run_id: str | None = None,
    ) -> Call[PipelineRun]:
        """Submit one run of a published pipeline, once.

        Unlike the operator, this keeps no submission record: after a lost reply (``AzureMLError.in_doubt``) the caller
        must find out whether the run exists.

        Args:
            pipeline_id: The published pipeline.
            experiment_name: The experiment that the run belongs to.
            parameters: Plain parameters.
            data_paths: DataPath parameters; see :class:`aml_provider.client.models.DataPath`.
            datasets: Ids of saved datasets, by parameter.
            tags: Tags of the run.
            description: The run's description.
            continue_on_step_failure: Whether other steps continue when one fails; None: as the pipeline was published.
            parent_run_id: A run of the same experiment, to which the new run belongs.

        Raises:
            InvalidArgument: A value cannot be sent; nothing was submitted.
        """
        from aml_provider.client import calls
        from aml_provider.client.specs.run import RunRequest

        request = RunRequest.of(
            experiment_name=experiment_name,
            parameters=parameters,
            data_paths=data_paths,
            datasets=datasets,
            tags=tags,
            description=description,
            continue_on_step_failure=continue_on_step_failure,
        )
        body = request.to_wire(own_tags={}, notification=True)
        return calls.submit_pipeline(pipeline_id, body, parent_run_id=parent_run_id)

    async_submit_pipeline = in_event_loop(submit_pipeline)

    @operation
    def submit_endpoint(
        self,
        endpoint_id: str,
        *,
        experiment_name: str,
        version: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        data_paths: Mapping[str, Any] | None = None,
        datasets: Mapping[str, str] | None = None,
        tags: Mapping[str, Any] | None = None,
        description: str | None = None,
        continue_on_step_failure: bool | None = None,
        parent_run_id: str | None = None,
    ) -> Call[PipelineRun]:
        """Submit one run of a pipeline endpoint, once; see :meth:`submit_pipeline`.

        Args:
            endpoint_id: The pipeline endpoint.
            experiment_name: The experiment that the run belongs to.
            version: The endpoint's version; None: its default version.
            parameters: Plain parameters.
            data_paths: DataPath parameters; see :class:`aml_provider.client.models.DataPath`.
            datasets: Ids of saved datasets, by parameter.
            tags: Tags of the run.
            description: The run's description.
            continue_on_step_failure: Whether other steps continue when one fails; None: as the pipeline was published.
            parent_run_id: A run of the same experiment, to which the new run belongs.

        Raises:
            InvalidArgument: A value cannot be sent; nothing was submitted.
        """
        from aml_provider.client import calls
        from aml_provider.client.specs.run import RunRequest

        request = RunRequest.of(
            experiment_name=experiment_name,
            parameters=parameters,
            data_paths=data_paths,
            datasets=datasets,
            tags=tags,
            description=description,
            continue_on_step_failure=continue_on_step_failure,
        )
        body = request.to_wire(own_tags={}, notification=False)
        return calls.submit_endpoint(endpoint_id, body, version=version, parent_run_id=parent_run_id)

    async_submit_endpoint = in_event_loop(submit_endpoint)

    @operation
    def get_run(self, run_id: str) -> Flow[PipelineRun]:
        """Read a pipeline run, or a pipeline job, and its status."""
        from aml_provider.client.flows.runs_or_jobs import get_run

        return get_run(run_id)

    async_get_run = in_event_loop(get_run)

    @operation
    def list_runs(
        self,
        *,
        experiment_name: str | None = None,
        pipeline_id: str | None = None,
        schedule_id: str | None = None,
        status: str | None = None,
        tags: Mapping[str, str | None] | None = None,
        limit: int | None = 100,
    ) -> Flow[tuple[PipelineRun, ...]]:
        """List pipeline runs, newest first: those of an experiment, of a published pipeline or of a native schedule.

        The runs of an experiment come from the run history. It does not have a run's schedule and parameters, and its
        ``status`` of a finished run is ``Completed``; ``state`` is the same in both services.

        Args:
            experiment_name: The experiment; give exactly one of ``experiment_name``, ``pipeline_id`` and
                ``schedule_id``.
            pipeline_id: The published pipeline.
            schedule_id: The native schedule.
            status: Only runs with this status: ``NotStarted``, ``Queued``, ``Running``, ``Finished``, ``Failed`` or
                ``Canceled``.
            tags: Only runs that have all of these tags; None as a value means any value.
            limit: The most runs to return; None: all.

        Raises:
            InvalidArgument: Not exactly one of experiment, pipeline and schedule is given, there is no such status, or
                a tag cannot be searched for.
        """
        from aml_provider.client.flows.run_results import list_runs

        return list_runs(
            experiment_name=experiment_name,
            pipeline_id=pipeline_id,
            schedule_id=schedule_id,
            status=status,
            tags=tags,
            limit=limit,
        )

    async_list_runs = in_event_loop(list_runs)

    @operation
    def list_steps(self, run: PipelineRun | str) -> Flow[tuple[HistoryRun, ...]]:
        """List the steps of a run, or of the run with this id, in the order of their creation."""
        from aml_provider.client.flows.run_results import list_steps_of

        return list_steps_of(run)

    async_list_steps = in_event_loop(list_steps)

    @operation
    def wait_for_run(
        self, run_id: str, *, poll_interval: float = 30.0, timeout: float | None = None
    ) -> Flow[PipelineRun]:
        """Wait until a run ends.

        Args:
            run_id: The pipeline run or job.
            poll_interval: Seconds between two polls.
            timeout: Seconds after which to stop; None: wait for ever.

        Returns:
            The run as it was read last: final, unless the timeout has passed. Check its ``state``.
        """
        from aml_provider.client.flows.runs import wait_for_run
        from aml_provider.client.flows.runs_or_jobs import get_run

        run = yield from get_run(run_id)
        return (
            yield from wait_for_run(
                run_id,
                run.experiment_name,
                poll_interval=poll_interval,
                deadline=None if timeout is None else time.time() + timeout,
                log=lambda progress: self.log.info("Run %s: %s", run_id, progress),
                policy=retry_policy(),
            )
        )

    async_wait_for_run = in_event_loop(wait_for_run)

    @operation
    def cancel_run(self, run_id: str, *, reason: str = "cancelled from Airflow") -> Flow[PipelineRun]:
        """Cancel a run and wait up to a minute for its end.

        Args:
            run_id: The pipeline run or job.
            reason: Goes into the run's tag ``airflow.cancel``, for people who open the run.

        Returns:
            The run as it was read last.
        """
        from aml_provider.client.flows.cancel_run import cancel_run
        from aml_provider.client.flows.runs_or_jobs import get_run

        run = yield from get_run(run_id)
        return (yield from cancel_run(run_id, run.experiment_name, reason=reason, log=self.log.warning))

    async_cancel_run = in_event_loop(cancel_run)
