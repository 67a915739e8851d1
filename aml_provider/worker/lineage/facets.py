"""The facets of OpenLineage that tasks report; importing this module imports OpenLineage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attr
from airflow.providers.openlineage.extractors import OperatorLineage
from openlineage.client.event_v2 import InputDataset, OutputDataset
from openlineage.client.facet_v2 import (
    RunFacet,
    dataset_version_dataset,
    external_query_run,
    input_statistics_input_dataset,
    output_statistics_output_dataset,
    symlinks_dataset,
)

from aml_provider import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aml_provider.worker.lineage.names import NamedDataset

_REPOSITORY = "https://github.com/airflow-provider-azureml/airflow-provider-azureml"
_SOURCE = "azureml"
#: The key of :class:`AzureMLPipelineRunFacet` among a run's facets.
RUN_FACET = "azureml_pipelineRun"


@attr.define
class AzureMLPipelineRunFacet(RunFacet):
    """A run of Azure Machine Learning, and the pipeline, endpoint or component that an Airflow task runs.

    ``docs/openlineage/AzureMLPipelineRunFacet.json`` describes the fields. Facts that are not known are left out.
    """

    experimentName: str | None = None  # noqa: N815 - the spelling of OpenLineage
    workspace: str | None = None
    runId: str | None = None  # noqa: N815
    status: str | None = None
    link: str | None = None
    takenOver: bool | None = None  # noqa: N815
    failedSteps: list[str] | None = None  # noqa: N815
    pipelineId: str | None = None  # noqa: N815
    pipelineName: str | None = None  # noqa: N815
    pipelineVersion: str | None = None  # noqa: N815
    endpointId: str | None = None  # noqa: N815
    endpointName: str | None = None  # noqa: N815
    endpointVersion: str | None = None  # noqa: N815
    componentName: str | None = None  # noqa: N815
    componentVersion: str | None = None  # noqa: N815
    batchEndpointName: str | None = None  # noqa: N815
    deploymentName: str | None = None  # noqa: N815

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self._producer = f"{_REPOSITORY}/tree/v{__version__}"

    @staticmethod
    def _get_schema() -> str:
        return f"{_REPOSITORY}/raw/v{__version__}/docs/openlineage/AzureMLPipelineRunFacet.json"


def lineage(
    *,
    task: Any = None,
    inputs: Iterable[NamedDataset] = (),
    outputs: Iterable[NamedDataset] = (),
    run: dict[str, Any] | None = None,
) -> OperatorLineage[Any, Any]:
    """Build a task's lineage.

    Args:
        task: The task, whose inlets and outlets are added: OpenLineage reads them only of tasks without datasets.
        inputs: The datasets that it read.
        outputs: The datasets that it wrote.
        run: The fields of its :class:`AzureMLPipelineRunFacet`.
    """
    facets: dict[str, Any] = {}
    if run is not None:
        facets[RUN_FACET] = AzureMLPipelineRunFacet(**run)
        if run.get("runId"):
            facets["externalQuery"] = external_query_run.ExternalQueryRunFacet(run["runId"], _SOURCE)
    read, written = _once(map(_input, inputs)), _once(map(_output, outputs))
    if task is not None and (read or written):
        read, written = _once([*read, *_declared(task.inlets)]), _once([*written, *_declared(task.outlets)])
    return OperatorLineage(inputs=read, outputs=written, run_facets=facets)


def _declared(items: Iterable[Any]) -> list[Any]:
    from airflow.providers.openlineage.extractors.manager import ExtractorManager
    from airflow.providers.openlineage.utils.utils import translate_airflow_asset

    from aml_provider.compat import Asset

    # ExtractorManager.convert_to_ol_dataset() converts no assets in the oldest version that this provider allows, 2.3.
    found = [
        translate_airflow_asset(item, None) if isinstance(item, Asset) else ExtractorManager.convert_to_ol_dataset(item)
        for item in items
    ]
    return [dataset for dataset in found if dataset is not None]


def _once(datasets: Iterable[Any]) -> list[Any]:
    """Each dataset once, under its first description."""
    found: dict[tuple[str, str], Any] = {}
    for dataset in datasets:
        found.setdefault((dataset.namespace, dataset.name), dataset)
    return list(found.values())


def _input(dataset: NamedDataset) -> InputDataset:
    measured: dict[str, Any] = {}
    if dataset.size is not None:
        statistics = input_statistics_input_dataset.InputStatisticsInputDatasetFacet
        measured["inputStatistics"] = statistics(size=dataset.size, fileCount=dataset.files)
    return InputDataset(*dataset.name, facets=_facets(dataset), inputFacets=measured)


def _output(dataset: NamedDataset) -> OutputDataset:
    measured: dict[str, Any] = {}
    if dataset.size is not None:
        statistics = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet
        measured["outputStatistics"] = statistics(size=dataset.size, fileCount=dataset.files)
    return OutputDataset(*dataset.name, facets=_facets(dataset), outputFacets=measured)


def _facets(dataset: NamedDataset) -> dict[str, Any]:
    facets: dict[str, Any] = {}
    if dataset.symlink is not None:
        name = symlinks_dataset.Identifier(*dataset.symlink, type="DATASTORE")
        facets["symlinks"] = symlinks_dataset.SymlinksDatasetFacet([name])
    if dataset.version is not None:
        facets["version"] = dataset_version_dataset.DatasetVersionDatasetFacet(dataset.version)
    return facets
