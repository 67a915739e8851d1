"""The lineage of the run operator: the data that its run gets and writes, and facts about the run."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from aml_provider.client.entities import RunState
from aml_provider.client.errors import AzureMLError
from aml_provider.compat import DecoratedOperator
from aml_provider.durable.submitted_data import SubmittedData
from aml_provider.worker.lineage.facets import lineage
from aml_provider.worker.lineage.names import of_data_asset, of_data_path, of_saved_dataset, workspace_of
from aml_provider.worker.lineage.reading import Found, Wanted
from aml_provider.worker.run_arguments import RunArguments

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow.providers.openlineage.extractors import OperatorLineage

    from aml_provider.client.settings import WorkspaceSettings
    from aml_provider.worker.lineage.names import NamedDataset
    from aml_provider.worker.run_facts import RunFacts

# The id of a component's version, as a job names it.
_COMPONENT = re.compile(r".*/components/(?P<name>[^/]+)/versions/(?P<version>[^/]+)", re.IGNORECASE)
# The arguments that name what is run, and the fields of the facet.
_FIELDS = {
    "pipelineId": "pipeline_id",
    "pipelineName": "pipeline_name",
    "endpointId": "endpoint_id",
    "endpointName": "endpoint_name",
    "endpointVersion": "endpoint_version",
    "componentName": "component_name",
    "componentVersion": "component_version",
    "batchEndpointName": "batch_endpoint_name",
    "deploymentName": "deployment_name",
}


def at_start(operator: Any) -> OperatorLineage[Any, Any]:
    """The lineage of a task that begins: what its author names.

    Nothing is read, not even the connection, so that the task is not delayed. The datasets follow when it ends, since
    their names depend on the connection.
    """
    return lineage(run=_named_by_author(RunArguments.of(operator)))


def at_end(operator: Any, facts: RunFacts | None, *, succeeded: bool) -> OperatorLineage[Any, Any]:
    """The lineage of a task that has ended.

    The workspace's datastores, the published pipeline and the outputs of a run that ended successfully are requested if
    they are needed. The outputs of other runs may be incomplete, so they are not reported.

    Args:
        operator: The operator, rendered.
        facts: What its try has learnt; None: it has not begun.
        succeeded: Whether the task has succeeded.
    """
    arguments = RunArguments.of(operator)
    run = _named_by_author(arguments)
    if facts is None or facts.settings is None:
        return lineage(run=run)
    data = facts.data or _data_of(operator, arguments)
    is_job = arguments.component_name is not None or arguments.batch_endpoint_name is not None
    has_outputs = succeeded and facts.run is not None and facts.run.state is RunState.FINISHED
    wanted = Wanted(
        facts.settings,
        datastores=data is not None and bool(data.data_paths),
        pipeline_id=None if is_job else _pipeline_id(facts),
        run_id=facts.run_id if has_outputs else None,
        experiment=str(arguments.experiment_name),
        is_job=is_job,
    )
    found = wanted.read(operator.log)
    run |= _learnt(facts, found, is_job=is_job)
    inputs = [] if data is None else list(_inputs(facts.settings, data, found, is_job=is_job))
    return lineage(task=operator, inputs=inputs, outputs=found.outputs, run=run)


def _named_by_author(arguments: RunArguments) -> dict[str, Any]:
    fields = {"experimentName": arguments.experiment_name}
    fields |= {field: getattr(arguments, argument) for field, argument in _FIELDS.items()}
    # A rendered value can be anything.
    return {field: str(value) for field, value in fields.items() if value is not None}


def _data_of(operator: Any, arguments: RunArguments) -> SubmittedData | None:
    """The data that a task names, if its submission does not say it; None if that is not known.

    A task that resumes after a deferral has rendered its arguments again. It has not called a decorated function again,
    so the data of such a task is that of the decorator, which need not be what was submitted.
    """
    if isinstance(operator, DecoratedOperator):
        return None
    with suppress(AzureMLError):
        return SubmittedData.of(arguments.check()[1])
    return None


def _pipeline_id(facts: RunFacts) -> str | None:
    """The published pipeline, if the run or the search for it has named it."""
    of_run = facts.run.pipeline_id if facts.run is not None else ""
    return of_run or (facts.target.pipeline_id if facts.target is not None else None)


def _learnt(facts: RunFacts, found: Found, *, is_job: bool) -> dict[str, Any]:
    """The facet's fields that an author does not know."""
    assert facts.settings is not None
    fields: dict[str, Any] = {
        "runId": facts.run_id,
        "link": None if facts.run_id is None else facts.settings.run_url(facts.run_id),
        "status": None if facts.run is None else facts.run.status,
        "takenOver": facts.taken_over,
        "failedSteps": list(facts.failed_steps) or None,
    }
    with suppress(ValueError):
        fields["workspace"] = workspace_of(facts.settings)
    if is_job:
        component = _COMPONENT.fullmatch(_pipeline_id(facts) or "")
        if component is not None:
            fields |= {"componentName": component["name"], "componentVersion": component["version"]}
    else:
        fields["pipelineId"] = _pipeline_id(facts)
        if found.pipeline is not None:
            fields |= {"pipelineName": found.pipeline.name, "pipelineVersion": found.pipeline.version or None}
    return {field: value for field, value in fields.items() if value is not None}


def _inputs(settings: WorkspaceSettings, data: SubmittedData, found: Found, *, is_job: bool) -> Iterator[NamedDataset]:
    of_dataset = of_data_asset if is_job else of_saved_dataset
    # A name that nothing can have: such a run was refused.
    for path in data.data_paths:
        with suppress(ValueError):
            yield of_data_path(settings, path.datastore, path.path, found.datastores)
    for dataset in data.datasets:
        with suppress(ValueError):
            yield of_dataset(settings, dataset)
