"""The hook's methods for published pipelines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aml_provider.hooks.operation import in_event_loop, operation
from aml_provider.hooks.workspace import WorkspaceHook

if TYPE_CHECKING:
    from aml_provider.client.calls import Call
    from aml_provider.client.entities import PipelineInterface, PipelineSummary, PublishedPipeline
    from aml_provider.client.http.messages import Flow


class PipelineMethods(WorkspaceHook):
    """Methods for published pipelines."""

    @operation
    def list_pipelines(self, *, active_only: bool = True) -> Call[tuple[PublishedPipeline, ...]]:
        """List the workspace's published pipelines; with ``active_only``, without disabled pipelines."""
        from aml_provider.client import calls

        return calls.list_pipelines(active_only=active_only)

    async_list_pipelines = in_event_loop(list_pipelines)

    @operation
    def list_pipeline_summaries(self, *, active_only: bool = True) -> Call[tuple[PipelineSummary, ...]]:
        """List the workspace's published pipelines, each with its latest run and the number of its runs.

        Microsoft's SDK has this operation, but no documentation describes it: :meth:`list_pipelines` is the safe
        choice. With ``active_only``, disabled pipelines are left out.
        """
        from aml_provider.client import calls

        return calls.list_pipeline_summaries(active_only=active_only)

    async_list_pipeline_summaries = in_event_loop(list_pipeline_summaries)

    @operation
    def get_pipeline(self, pipeline_id: str) -> Flow[PublishedPipeline]:
        """Read one published pipeline by its id."""
        from aml_provider.client import calls
        from aml_provider.client.flows.finding import PIPELINE, advised

        return advised(calls.get_pipeline(pipeline_id), PIPELINE, pipeline_id)

    async_get_pipeline = in_event_loop(get_pipeline)

    @operation
    def find_pipeline(self, name: str) -> Flow[PublishedPipeline]:
        """Find the one active published pipeline of this name.

        Raises:
            AmbiguousName: Several active ones have the name; the message lists their ids, versions and dates.
            PipelineError: It does not exist; the message suggests similar names.
        """
        from aml_provider.client.flows.targets import find_pipeline

        return find_pipeline(name)

    async_find_pipeline = in_event_loop(find_pipeline)

    @operation
    def get_pipeline_interface(self, pipeline_id: str) -> Flow[PipelineInterface]:
        """Read what a published pipeline accepts: parameters with types and defaults, data paths and datasets."""
        from aml_provider.client.flows.targets import read_interface

        return read_interface(pipeline_id)

    async_get_pipeline_interface = in_event_loop(get_pipeline_interface)

    @operation
    def disable_pipeline(self, pipeline_id: str, *, disable_schedules: bool = True) -> Flow[None]:
        """Disable a published pipeline. Azure ML's documentation requires that its native schedules are disabled first.

        Args:
            pipeline_id: The published pipeline.
            disable_schedules: First disable the pipeline's active schedules.

        Raises:
            PipelineError: There is no such pipeline.
        """
        from aml_provider.client.flows.pipelines import disable_pipeline

        yield from disable_pipeline(pipeline_id=pipeline_id, disable_schedules=disable_schedules, log=self.log.info)

    async_disable_pipeline = in_event_loop(disable_pipeline)

    @operation
    def enable_pipeline(self, pipeline_id: str) -> Flow[None]:
        """Enable a published pipeline; its native schedules are not changed.

        Raises:
            PipelineError: There is no such pipeline.
        """
        from aml_provider.client.flows.pipelines import enable_pipeline

        yield from enable_pipeline(pipeline_id=pipeline_id, log=self.log.info)

    async_enable_pipeline = in_event_loop(enable_pipeline)
