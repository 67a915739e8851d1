"""The lineage of one try, as OpenLineage asks for it: what is requested, and what remains if requests fail."""

from __future__ import annotations

import json
import time
from types import SimpleNamespace

import pytest
from support.airflow.task import RunPipeline, Task
from support.airflow.traced import NEEDS_OPENLINEAGE
from support.services.traced_workspace import KEY, TracedWorkspace

from aml_provider.client.errors import RunUnwatched
from aml_provider.client.models import DataPath
from aml_provider.sensors.blob import AzureBlobChangeSensor

pytestmark = NEEDS_OPENLINEAGE

WORKSPACE = "azureml://00000000-0000-0000-0000-000000000000/local/local"
FACET = "azureml_pipelineRun"
DATA = {"data_paths": {"input": DataPath("store", "in/a.csv")}}
TARGETS = {
    "v1": {"pipeline_name": "traced", "datasets": {"prices": "5aa1"}, **DATA},
    "v2": {"component_name": "traced", "datasets": {"prices": "prices:3"}, **DATA},
}
KINDS = pytest.mark.parametrize("kind", TARGETS)


@pytest.fixture(autouse=True)
def kept_variables(kept_in_memory):
    return kept_in_memory


@pytest.fixture
def workspace(monkeypatch):
    with TracedWorkspace() as running:
        monkeypatch.setenv("AIRFLOW_CONN_AZUREML_DEFAULT", json.dumps(running.connection()))
        # Half of it is the time for reading, on a machine that has much else to do.
        monkeypatch.setenv("AIRFLOW__OPENLINEAGE__EXECUTION_TIMEOUT", "120")
        yield running


def ended(**arguments):
    """A task that has succeeded."""
    operator = RunPipeline(**arguments)
    operator.execute(Task().context)
    return operator


def completed(operator):
    return operator.get_openlineage_facets_on_complete(None)


def names(datasets):
    return [f"{item.namespace}/{item.name}" for item in datasets]


def requested(workspace, ask):
    """The requests that asking sends, as method and last part of the path."""
    before = len(workspace.requests())
    ask()
    return [
        f"{entry['method']} {entry['path'].partition('?')[0].rsplit('/', 1)[-1]}"
        for entry in workspace.requests()[before:]
    ]


@KINDS
def test_a_start_requests_nothing(workspace, kind):
    operator = RunPipeline(**TARGETS[kind])
    assert requested(workspace, operator.get_openlineage_facets_on_start) == []
    # Not even the connection is read.
    operator = RunPipeline(**TARGETS[kind], azureml_conn_id="none")
    found = operator.get_openlineage_facets_on_start()
    assert (found.inputs, found.outputs) == ([], [])
    assert found.run_facets[FACET].experimentName == "exp"


def test_an_end_requests_what_the_task_does_not_know(workspace):
    operator = ended(**TARGETS["v1"])
    assert requested(workspace, lambda: completed(operator)) == [
        "GET datastores",
        "GET children",
        "POST Outputs",
        "GET traced",
    ]
    operator = ended(**TARGETS["v2"])
    job = operator._try.facts.run_id
    assert requested(workspace, lambda: completed(operator)) == ["GET datastores", f"GET {job}"]


def test_an_end_requests_nothing_that_is_not_needed(workspace):
    operator = ended(component_name="quick", wait_for_completion=False)
    assert requested(workspace, lambda: completed(operator)) == []
    assert completed(operator).run_facets[FACET].runId


def test_a_task_that_has_not_begun_reports_what_its_author_wrote(workspace):
    operator = RunPipeline(**TARGETS["v1"])
    for found in (completed(operator), operator.get_openlineage_facets_on_failure(None)):
        assert found.run_facets[FACET].pipelineName == "traced"
        assert found.run_facets[FACET].runId is None


@KINDS
def test_a_refused_read_leaves_its_part_out_and_warns_once(workspace, kind):
    operator = ended(**TARGETS[kind])
    workspace.faults.add("status", status=503, method="GET", path="*/datastores*", times=100)
    operator.log.lines.clear()
    found = completed(operator)
    assert names(found.inputs)[0] == f"{WORKSPACE}/datastores/store/paths/in/a.csv"
    assert len(found.outputs) == {"v1": 1, "v2": 2}[kind]
    assert found.run_facets[FACET].runId
    (warning,) = operator.log.lines
    assert "The lineage of this task is incomplete" in warning
    assert "503" in warning


def test_a_workspace_that_does_not_answer_costs_half_of_openlineages_time(workspace, monkeypatch):
    operator = ended(**TARGETS["v1"])
    workspace.faults.add("delay", seconds=60, method="GET", path="*/datastores*")
    monkeypatch.setenv("AIRFLOW__OPENLINEAGE__EXECUTION_TIMEOUT", "1")
    operator.log.lines.clear()
    began = time.monotonic()
    found = completed(operator)
    assert time.monotonic() - began < 55
    assert names(found.inputs)[0] == f"{WORKSPACE}/datastores/store/paths/in/a.csv"
    assert found.run_facets[FACET].runId
    assert "not everything was read within 0.5 s" in str(operator.log)
    workspace.faults.clear()


def test_the_credentials_of_datastores_are_not_requested(workspace):
    operator = ended(**TARGETS["v1"])
    before = len(workspace.requests())
    found = completed(operator)
    (listing,) = [entry for entry in workspace.requests()[before:] if "datastores" in entry["path"]]
    assert ["includeSecret", "false"] in [list(each) for each in listing["query"]]
    assert KEY not in repr(found)


@KINDS
def test_a_finished_run_that_a_retry_accepts_keeps_its_own_inputs(workspace, kind):
    """The retry asks for other data, but the run has not read that."""
    task = Task()
    workspace.clock.hold()
    for path in ("*/PipelineRuns/????????-*", "*/jobs/airflow-*"):
        workspace.faults.add("status", status=403, method="GET", path=path)
    first = RunPipeline(**TARGETS[kind])
    with pytest.raises(RunUnwatched):
        first.execute(task.context)
    workspace.faults.clear()
    workspace.clock.release()
    workspace.clock.advance(60)
    task.next_try()
    second = RunPipeline(**{**TARGETS[kind], "data_paths": {"input": DataPath("store", "in/second.csv")}})
    second.execute(task.context)
    assert len(workspace.runs()) == 1
    found = completed(second)
    assert found.run_facets[FACET].takenOver
    assert names(found.inputs) == names(first.get_openlineage_facets_on_failure(None).inputs)
    assert "although this try's request differs" in str(second.log)


@KINDS
def test_a_retry_that_fails_because_of_an_earlier_run_reports_that_runs_inputs(workspace, kind):
    task = Task()
    workspace.clock.hold()
    for path in ("*/PipelineRuns/????????-*", "*/jobs/airflow-*"):
        workspace.faults.add("status", status=403, method="GET", path=path, times=100)
    found = []
    for path in ("in/a.csv", "in/second.csv"):
        operator = RunPipeline(**{**TARGETS[kind], "data_paths": {"input": DataPath("store", path)}})
        with pytest.raises(RunUnwatched):
            operator.execute(task.context)
        found.append(names(operator.get_openlineage_facets_on_failure(None).inputs))
        task.next_try()
    assert found[0] == found[1]
    assert len(workspace.runs()) == 1


def test_a_run_that_is_only_submitted_has_no_outputs_yet(workspace):
    found = completed(ended(**TARGETS["v1"], wait_for_completion=False))
    assert len(found.inputs) == 2
    assert found.outputs == []


def knows_no_assets(item):
    """ExtractorManager.convert_to_ol_dataset() of the provider for OpenLineage 2.3.0, without tables and files."""
    from openlineage.client.event_v2 import Dataset

    return item if isinstance(item, Dataset) else None


@pytest.mark.parametrize("version", ["installed", "oldest"])
def test_declared_inlets_and_outlets_stay(workspace, monkeypatch, version):
    from airflow.providers.openlineage.extractors.manager import ExtractorManager

    from aml_provider.compat import Asset

    if version == "oldest":
        monkeypatch.setattr(ExtractorManager, "convert_to_ol_dataset", staticmethod(knows_no_assets))
    inlet, outlet = (Asset(uri=f"{WORKSPACE}/datastores/store/paths/{name}") for name in ("declared", "made"))
    found = completed(ended(**TARGETS["v1"], inlets=[inlet], outlets=[outlet]))
    assert names(found.inputs)[-1] == f"{WORKSPACE}/datastores/store/paths/declared"
    assert names(found.outputs)[-1] == f"{WORKSPACE}/datastores/store/paths/made"


def changes(number):
    return [
        {
            "datastore": None,
            "container_url": "https://acc.blob.core.windows.net/con",
            "path": f"in/{index}.csv",
            "name": f"{index}.csv",
            "etag": f"0x{index}",
            "last_modified": "2026-01-01T00:00:00Z",
            "size": 3,
            "change": "added",
        }
        for index in range(number)
    ]


def found_by_sensor(number):
    sensor = AzureBlobChangeSensor(task_id="watch", container_url="https://acc.blob.core.windows.net/con")
    sensor._announce(changes(number), SimpleNamespace())
    return sensor.get_openlineage_facets_on_complete(None)


def test_more_than_a_hundred_blobs_are_reported_as_their_folder():
    assert len(found_by_sensor(100).inputs) == 100
    (folder,) = found_by_sensor(101).inputs
    assert names([folder]) == ["wasbs://con@acc.blob.core.windows.net/in"]
    statistics = folder.inputFacets["inputStatistics"]
    assert (statistics.fileCount, statistics.size) == (101, 303)


def test_a_sensor_that_found_nothing_reports_nothing():
    sensor = AzureBlobChangeSensor(task_id="watch", container_url="https://acc.blob.core.windows.net/con")
    found = sensor.get_openlineage_facets_on_complete(None)
    assert (found.inputs, found.outputs, found.run_facets) == ([], [], {})
