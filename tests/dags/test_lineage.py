"""The lineage of whole DAGs, as OpenLineage writes it to a file."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import jsonschema
import pytest
from support.airflow import traced
from support.drivers.once import once, shared_folder
from support.services.recorded_workspace import TOKEN
from support.services.traced_workspace import KEY, TracedWorkspace

pytestmark = traced.NEEDS_OPENLINEAGE

WORKSPACE = "azureml://00000000-0000-0000-0000-000000000000/local/local"
STORAGE = "wasbs://c@a.blob.core.windows.net"
DECLARED = "azureml://sub/rg/ws/datastores/store/paths/declared"
SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "openlineage" / "AzureMLPipelineRunFacet.json").read_text())
# What may stand in no event: the connection's token, the datastore's key, and what the DAGs and the workspace plant.
SECRETS = (TOKEN, KEY, "pl4nted", "sig=")
KINDS = pytest.mark.parametrize("kind", ["v1", "v2"])


@pytest.fixture(scope="module")
def played(airflow_db, tmp_path_factory):
    """All DAGs of the run operator, once for all processes; their events, their log, the workspace's runs by DAG."""
    folder = shared_folder(tmp_path_factory)
    file = folder / "lineage.jsonl"
    log, runs = once(folder / "lineage.json", lambda: play(file))
    return SimpleNamespace(events=traced.Traced(file), log=log, runs=runs)


def play(file):
    file.unlink(missing_ok=True)
    ends = ("retried", "worker", "deferred", "fails", "function_worker", "function_deferred")
    cases = [f"{kind}_{end}" for kind in ("v1", "v2") for end in ends]
    with TracedWorkspace() as workspace:
        # Each meets the first read of its kind, which is that of the first try that waits.
        for path in ("*/PipelineRuns/????????-*", "*/jobs/airflow-*"):
            workspace.faults.add("status", status=503, method="GET", path=path)
        variables = {
            "AIRFLOW_CONN_AZUREML_DEFAULT": json.dumps(workspace.connection()),
            "AIRFLOW__AZUREML__RETRY_BUDGET": "0",
            "AIRFLOW__AZUREML__LOOKUP_GRACE": "0.3",
        }
        _, log = traced.run(file, variables, *(f"traced_{case}" for case in cases))
        return log, workspace.record()


def names(datasets):
    return [f"{item['namespace']}/{item['name']}" for item in datasets]


def symlinks(dataset):
    found = dataset["facets"].get("symlinks", {"identifiers": []})
    return [f"{item['namespace']}/{item['name']}" for item in found["identifiers"]]


def facet(event):
    """Our facet, without what every facet has."""
    found = event["run"]["facets"]["azureml_pipelineRun"]
    return {name: value for name, value in found.items() if not name.startswith("_")}


@KINDS
@pytest.mark.parametrize("pool", ["worker", "deferred"])
def test_the_start_has_what_the_author_wrote_and_nothing_that_has_to_be_read(played, kind, pool):
    event = played.events.events(f"traced_{kind}_{pool}", "START")[0]
    named = {"v1": "pipelineName", "v2": "componentName"}[kind]
    assert facet(event) == {"experimentName": "exp", named: "traced"}
    assert event["inputs"] == []
    # What is declared on the task is OpenLineage's own.
    assert names(event["outputs"]) == [DECLARED]


@KINDS
@pytest.mark.parametrize("pool", ["worker", "deferred"])
def test_the_end_has_the_inputs_the_outputs_and_the_run(played, kind, pool):
    event = played.events.last(f"traced_{kind}_{pool}", "COMPLETE")
    data, dataset = event["inputs"]
    assert names([data]) == [f"{STORAGE}/in/a.csv"]
    assert symlinks(data) == [f"{WORKSPACE}/datastores/store/paths/in/a.csv"]
    assert names([dataset]) == [f"{WORKSPACE}/{'datasets/5aa1' if kind == 'v1' else 'data/prices'}"]
    about = facet(event)
    run = about.pop("runId")
    assert run in {recorded["id"] for recorded in played.runs}
    assert run in about.pop("link")
    target = (
        {"pipelineId": "traced", "pipelineName": "traced", "pipelineVersion": "7", "status": "Finished"}
        if kind == "v1"
        else {"componentName": "traced", "componentVersion": "4", "status": "Completed"}
    )
    assert about == {"experimentName": "exp", "workspace": WORKSPACE, "takenOver": False, **target}
    assert event["run"]["facets"]["externalQuery"]["externalQueryId"] == run


@KINDS
@pytest.mark.parametrize("pool", ["worker", "deferred"])
def test_the_data_of_a_decorated_task_is_what_its_function_returned(played, kind, pool):
    """A task that resumes after a deferral has the decorator's data only; its submission record has what was sent."""
    function, operator = (played.events.last(f"traced_{kind}{name}_{pool}", "COMPLETE") for name in ("_function", ""))
    assert names(function["inputs"]) == names(operator["inputs"])
    assert names(function["inputs"])[0] == f"{STORAGE}/in/a.csv"
    assert "decorator" not in json.dumps(function["inputs"])


@pytest.mark.parametrize("pool", ["worker", "deferred"])
def test_the_outputs_of_a_published_pipeline_are_those_of_its_steps(played, pool):
    scores, declared = played.events.last(f"traced_v1_{pool}", "COMPLETE")["outputs"]
    assert names([scores, declared]) == [f"{STORAGE}/out/scores.csv", DECLARED]
    assert symlinks(scores) == [f"{WORKSPACE}/datastores/store/paths/out/scores.csv"]
    assert scores["outputFacets"]["outputStatistics"]["size"] == 7


@pytest.mark.parametrize("pool", ["worker", "deferred"])
def test_the_outputs_of_a_job_are_named_by_their_places(played, pool):
    event = played.events.last(f"traced_v2_{pool}", "COMPLETE")
    job = facet(event)["runId"]
    assert names(event["outputs"]) == [
        f"{STORAGE}/azureml/{job}/scores",
        "wasbs://reports@other.blob.core.windows.net/a b.html",
        DECLARED,
    ]


@KINDS
def test_a_failure_names_the_steps_that_failed(played, kind):
    event = played.events.last(f"traced_{kind}_fails", "FAIL")
    about = facet(event)
    assert about["failedSteps"] == ["score"]
    assert about["status"] == "Failed"
    assert about["runId"] in {recorded["id"] for recorded in played.runs}


@KINDS
def test_a_run_that_a_retry_took_over_is_marked_as_such(played, kind):
    dag_id = f"traced_{kind}_retried"
    assert [event["eventType"] for event in played.events.events(dag_id)] == ["START", "FAIL", "START", "COMPLETE"]
    first, second = (facet(played.events.last(dag_id, end)) for end in ("FAIL", "COMPLETE"))
    assert first["runId"] == second["runId"]
    assert [first["takenOver"], second["takenOver"]] == [False, True]
    # Nobody knows how the run ended when the first try did.
    assert "status" not in first
    assert names(played.events.last(dag_id, "FAIL")["inputs"]) == names(
        played.events.last(dag_id, "COMPLETE")["inputs"]
    )


def test_each_facet_fits_its_schema(played):
    found = [event["run"]["facets"] for event in played.events.all()]
    ours = [facets["azureml_pipelineRun"] for facets in found if "azureml_pipelineRun" in facets]
    assert len(ours) >= 20
    for each in ours:
        jsonschema.validate(each, SCHEMA)
        assert each["_schemaURL"].endswith("/docs/openlineage/AzureMLPipelineRunFacet.json")


@pytest.mark.parametrize("secret", SECRETS)
def test_no_event_has_a_secret(played, secret):
    text = played.events.file.read_text()
    assert "azureml_pipelineRun" in text
    assert secret not in text


def test_the_lineage_was_complete_and_nothing_failed_in_it(played):
    assert "is incomplete" not in played.log
    assert "failed to extract" not in played.log


def test_changed_blobs_are_the_inputs_of_the_sensor(landing, azurite, azureml_default, tmp_path):
    for name in ("a.csv", "ü & b.csv"):
        landing.upload_blob(f"incoming/{name}", b"four")
    pools = ("worker", "deferred", "reschedule")
    events, log = traced.run(tmp_path / "events.jsonl", {}, *(f"traced_sensor_{pool}" for pool in pools))
    for pool in pools:
        one, other = events.last(f"traced_sensor_{pool}", "COMPLETE")["inputs"]
        # Azurite's account has its name in Azure: the address where it is reached says nothing about the data.
        namespace = f"wasbs://{landing.container_name}@{azurite.account_name}.blob.core.windows.net"
        assert names([one, other]) == [f"{namespace}/incoming/a.csv", f"{namespace}/incoming/ü & b.csv"]
        assert symlinks(one) == [f"{WORKSPACE}/datastores/landing/paths/incoming/a.csv"]
        assert one["inputFacets"]["inputStatistics"]["size"] == 4
        assert one["facets"]["version"]["datasetVersion"] == landing.get_blob_client(
            "incoming/a.csv"
        ).get_blob_properties().etag.strip('"')
    assert azurite.account_key not in events.file.read_text()
    assert "failed to extract" not in log
