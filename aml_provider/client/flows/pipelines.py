"""Flows that enable and disable published pipelines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aml_provider.client import calls
from aml_provider.client.arguments import ACTIVE, DISABLED
from aml_provider.client.flows.finding import PIPELINE, no_such_name, only_named
from aml_provider.client.flows.schedules import set_status_of_all
from aml_provider.client.flows.targets import find_pipeline_of_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from aml_provider.client.entities import PublishedPipeline
    from aml_provider.client.http.messages import Flow


def disable_pipeline(
    *,
    pipeline_id: str | None = None,
    pipeline_name: str | None = None,
    disable_schedules: bool = True,
    log: Callable[[str], None] = lambda _: None,
) -> Flow[str]:
    """Disable a published pipeline. The service's rules require that its schedules are disabled first.

    Args:
        pipeline_id: The published pipeline; or
        pipeline_name: its name, which exactly one active published pipeline must have.
        disable_schedules: First disable the pipeline's active schedules.
        log: Called with a line about each change.

    Returns:
        The pipeline's id.

    Raises:
        AmbiguousName: Several active published pipelines have the name.
        PipelineError: It does not exist.
    """
    pipeline = yield from _find(pipeline_id, pipeline_name, DISABLED)
    if disable_schedules:
        yield from set_status_of_all(pipeline.id, DISABLED, log)
    yield from _set(pipeline, DISABLED, log)
    return pipeline.id


def enable_pipeline(
    *, pipeline_id: str | None = None, pipeline_name: str | None = None, log: Callable[[str], None] = lambda _: None
) -> Flow[str]:
    """Enable a published pipeline; its schedules stay as they are.

    Args:
        pipeline_id: The published pipeline; or
        pipeline_name: its name; if several pipelines have it, exactly one of them must be active.
        log: Called with a line about each change.

    Returns:
        The pipeline's id.

    Raises:
        AmbiguousName: Several published pipelines have the name, and it is unclear which one is meant.
        PipelineError: It does not exist.
    """
    pipeline = yield from _find(pipeline_id, pipeline_name, ACTIVE)
    yield from _set(pipeline, ACTIVE, log)
    return pipeline.id


def _find(pipeline_id: str | None, pipeline_name: str | None, status: str) -> Flow[PublishedPipeline]:
    if pipeline_id is not None:
        return (yield from find_pipeline_of_id(pipeline_id))
    assert pipeline_name is not None
    pipelines: tuple[PublishedPipeline, ...] = yield calls.list_pipelines(active_only=False)
    named = [pipeline for pipeline in pipelines if pipeline.name == pipeline_name]
    wanted = [pipeline for pipeline in named if pipeline.is_active]
    if not wanted and status == DISABLED:
        # The latest pipeline of that name, so that a second attempt finds the one that the first has disabled.
        wanted = sorted(named, key=lambda item: (str(item.created or ""), item.id))[-1:]
    found = only_named(PIPELINE, pipeline_name, wanted or named, "pipeline_name")
    if found is None:
        raise no_such_name(PIPELINE, pipeline_name, pipelines, "pipeline_name")
    return found


def _set(pipeline: PublishedPipeline, status: str, log: Callable[[str], None]) -> Flow[None]:
    if pipeline.status == status:
        log(f"Published pipeline {pipeline.name!r} ({pipeline.id}) is {status} already.")
        return
    yield calls.set_pipeline_status(pipeline.id, status)
    log(f"Published pipeline {pipeline.name!r} ({pipeline.id}) was {pipeline.status}, and is {status} now.")
