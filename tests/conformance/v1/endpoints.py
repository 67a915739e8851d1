"""Pipeline endpoints."""

from __future__ import annotations

import pytest
from azureml.core import Experiment
from azureml.data.datapath import DataPath
from azureml.pipeline.core import PipelineEndpoint, PublishedPipeline
from azureml.pipeline.core._restclients.aeva.models import ErrorResponseException
from seeded import ENDPOINT, LONG, OLD, RETIRED, SCORE, TYPED, UNKNOWN

examines = pytest.mark.examines
BEARER = {"Authorization": "Bearer any"}


@pytest.fixture
def endpoint(workspace):
    """The endpoint ``score-endpoint``."""
    return PipelineEndpoint.get(workspace, id=ENDPOINT)


def published(workspace, pipeline_id):
    return PublishedPipeline.get(workspace, id=pipeline_id)


def versions(endpoint):
    return {item.version: item.pipeline_id for item in endpoint.pipeline_version_list}


@examines(
    "PipelineEndpoint.get",
    "PipelineEndpoint.id",
    "PipelineEndpoint.name",
    "PipelineEndpoint.description",
    "PipelineEndpoint.status",
    "PipelineEndpoint.endpoint",
    "PipelineEndpoint.default_version",
    "PipelineEndpoint.get_default_version",
    "PipelineEndpoint.pipeline_version_list",
)
def test_get_by_id_shows_the_endpoint(workspace, emulator):
    endpoint = PipelineEndpoint.get(workspace, id=ENDPOINT)
    assert (endpoint.id, endpoint.name, endpoint.description) == (ENDPOINT, "score-endpoint", "Scores files.")
    assert (endpoint.status, endpoint.default_version, endpoint.get_default_version()) == ("Active", "1", "1")
    assert versions(endpoint) == {"0": OLD, "1": SCORE}
    assert endpoint.endpoint.startswith(emulator.url)
    assert endpoint.endpoint.endswith(f"/PipelineRuns/PipelineEndpointSubmit/Id/{ENDPOINT}")


@examines("PipelineEndpoint.get")
def test_get_by_name_finds_the_same(workspace):
    assert PipelineEndpoint.get(workspace, name="score-endpoint").id == ENDPOINT


@pytest.mark.parametrize("wanted", [{"id": UNKNOWN}, {"name": "no-such-endpoint"}])
@examines("PipelineEndpoint.get")
def test_get_of_an_unknown_endpoint_says_which(workspace, wanted):
    with pytest.raises(ErrorResponseException, match=next(iter(wanted.values()))) as refusal:
        PipelineEndpoint.get(workspace, **wanted)
    assert refusal.value.response.status_code == 404


@examines("PipelineEndpoint.swaggerurl")
def test_an_endpoint_may_have_a_description_of_its_interface(endpoint):
    assert endpoint.swaggerurl is None or endpoint.swaggerurl.endswith(".json")


@examines("PipelineEndpoint.list")
def test_list_shows_the_active_endpoints(workspace, endpoint, emulator):
    assert [item.id for item in PipelineEndpoint.list(workspace)] == [ENDPOINT]
    (request,) = emulator.requests("GET", "/PipelineEndpoints")[-1:]
    assert request["query"] == [["activeOnly", "true"]]
    endpoint.disable()
    assert PipelineEndpoint.list(workspace) == []
    assert [item.status for item in PipelineEndpoint.list(workspace, active_only=False)] == ["Disabled"]


@examines("PipelineEndpoint.list")
def test_list_can_be_cut_short(workspace):
    pipeline = published(workspace, SCORE)
    for number in range(3):
        PipelineEndpoint.publish(workspace, f"endpoint-{number}", "", pipeline)
    assert len(PipelineEndpoint.list(workspace)) == 4
    assert len(PipelineEndpoint.list(workspace, max_results=2)) == 2


@examines("PipelineEndpoint.get_all")
def test_get_all_is_the_older_list(workspace):
    assert [item.id for item in PipelineEndpoint.get_all(workspace)] == [ENDPOINT]


@examines("PipelineEndpoint.publish")
def test_publish_makes_version_0_the_default(workspace):
    made = PipelineEndpoint.publish(workspace, "fresh", "Just made.", published(workspace, OLD))
    again = PipelineEndpoint.get(workspace, name="fresh")
    assert (again.id, again.description, again.status) == (made.id, "Just made.", "Active")
    assert (again.default_version, versions(again)) == ("0", {"0": OLD})
    assert again.submit("nightly").id


@examines("PipelineEndpoint.publish")
def test_publish_refuses_a_name_that_is_taken(workspace):
    with pytest.raises(ValueError, match="already exists"):
        PipelineEndpoint.publish(workspace, "score-endpoint", "", published(workspace, OLD))
    assert len(PipelineEndpoint.list(workspace)) == 1


def test_the_service_refuses_a_name_that_is_taken(endpoint, emulator):
    services = endpoint.endpoint.removeprefix(emulator.url).partition("/PipelineRuns/")[0]
    body = {"Name": "score-endpoint", "Description": "", "PipelineId": OLD, "Properties": {}}
    reply = emulator.call("POST", f"{services}/PipelineEndpoints/Create", json=body, headers=BEARER)
    assert reply.status_code == 409
    assert "score-endpoint" in reply.json()["Error"]["Message"]


@examines("PipelineEndpoint.publish")
def test_publish_refuses_an_unknown_pipeline(workspace):
    pipeline = published(workspace, OLD)
    pipeline._published_pipeline_id = UNKNOWN
    with pytest.raises(ErrorResponseException, match=UNKNOWN):
        PipelineEndpoint.publish(workspace, "fresh", "", pipeline)


@examines("PipelineEndpoint.add")
def test_add_appends_a_version(workspace, endpoint):
    endpoint.add(published(workspace, LONG))
    again = PipelineEndpoint.get(workspace, id=ENDPOINT)
    assert versions(again) == versions(endpoint) == {"0": OLD, "1": SCORE, "2": LONG}
    assert again.default_version == "1"


@examines("PipelineEndpoint.add")
def test_add_refuses_a_pipeline_that_is_there(workspace, endpoint):
    with pytest.raises(ValueError, match=SCORE):
        endpoint.add(published(workspace, SCORE))
    assert versions(PipelineEndpoint.get(workspace, id=ENDPOINT)) == {"0": OLD, "1": SCORE}


@examines("PipelineEndpoint.add_default")
def test_add_default_makes_the_new_version_the_default(workspace, endpoint, emulator):
    endpoint.add_default(published(workspace, LONG))
    again = PipelineEndpoint.get(workspace, id=ENDPOINT)
    assert (endpoint.default_version, again.default_version, versions(again)["2"]) == ("2", "2", LONG)
    run = again.submit("nightly")
    assert emulator.runs()[run.id]["pipeline_id"] == LONG


@examines("PipelineEndpoint.set_default_version")
def test_set_default_version(workspace, endpoint, emulator):
    endpoint.set_default_version("0")
    again = PipelineEndpoint.get(workspace, id=ENDPOINT)
    assert (endpoint.default_version, again.default_version) == ("0", "0")
    run = again.submit("nightly")
    assert emulator.runs()[run.id]["pipeline_id"] == OLD


@examines("PipelineEndpoint.set_default")
def test_set_default_by_pipeline(workspace, endpoint):
    endpoint.set_default(published(workspace, OLD))
    assert PipelineEndpoint.get(workspace, id=ENDPOINT).default_version == "0"


@examines("PipelineEndpoint.get_pipeline")
def test_get_pipeline_by_version(endpoint):
    assert endpoint.get_pipeline().id == SCORE
    assert endpoint.get_pipeline(version="0").id == OLD


@examines("PipelineEndpoint.list_versions", "PipelineEndpoint.get_all_versions")
def test_list_versions(endpoint):
    assert {item.version: item.pipeline.id for item in endpoint.list_versions()} == {"0": OLD, "1": SCORE}
    assert {item.version: item.pipeline.id for item in endpoint.get_all_versions()} == {"0": OLD, "1": SCORE}


@examines("PipelineEndpoint.list_pipelines", "PipelineEndpoint.get_all_pipelines")
def test_list_pipelines(workspace, endpoint):
    endpoint.add(published(workspace, RETIRED))
    assert {item.id for item in endpoint.list_pipelines()} == {OLD, SCORE}
    assert {item.id for item in endpoint.get_all_pipelines()} == {OLD, SCORE}
    assert {item.id for item in endpoint.list_pipelines(active_only=False)} == {OLD, SCORE, RETIRED}


@examines("PipelineEndpoint.submit")
def test_submit_the_default_version(endpoint, datastore, emulator):
    path = DataPath(datastore=datastore, path_on_datastore="incoming/f.csv")
    run = endpoint.submit("nightly", pipeline_parameters={"input_string": "abc", "input_datapath": path})
    record = emulator.runs()[run.id]
    assert (record["pipeline_id"], record["experiment"], record["parameters"]) == (
        SCORE,
        "nightly",
        {"input_string": "abc"},
    )
    assert record["data_paths"]["input_datapath"] == {"datastore": "workspaceblobstore", "path": "incoming/f.csv"}


@examines("PipelineEndpoint.submit")
def test_submit_a_given_version(endpoint, emulator):
    run = endpoint.submit("nightly", pipeline_version="0")
    assert emulator.runs()[run.id]["pipeline_id"] == OLD
    (request,) = emulator.requests("POST", "/PipelineEndpointSubmit/")
    assert request["path"].endswith(f"/PipelineEndpointSubmit/Id/{ENDPOINT}/0")
    assert request["query"] == [["pipelineVersion", "0"]]


@examines("PipelineEndpoint.submit")
def test_submit_below_a_parent_run(endpoint):
    parent = endpoint.submit("nightly")
    assert endpoint.submit("nightly", parent_run_id=parent.id).parent.id == parent.id


@examines("PipelineEndpoint.submit")
def test_submit_refuses_an_unknown_version(endpoint, emulator):
    with pytest.raises(ErrorResponseException, match="7"):
        endpoint.submit("nightly", pipeline_version="7")
    assert emulator.runs() == {}


@examines("PipelineEndpoint.submit")
def test_submit_refuses_when_a_parameter_is_missing(workspace, endpoint, emulator):
    endpoint.add(published(workspace, TYPED))
    with pytest.raises(ErrorResponseException, match="count"):
        endpoint.submit("nightly", pipeline_version="2")
    assert emulator.runs() == {}


@examines("PipelineEndpoint.disable", "PipelineEndpoint.enable")
def test_disable_and_enable(workspace, endpoint):
    endpoint.disable()
    again = PipelineEndpoint.get(workspace, id=ENDPOINT)
    assert (endpoint.status, again.status, versions(again)) == ("Disabled", "Disabled", {"0": OLD, "1": SCORE})
    with pytest.raises(ValueError, match="Status must be Active"):
        again.submit("nightly")
    endpoint.enable()
    assert PipelineEndpoint.get(workspace, id=ENDPOINT).status == "Active"
    assert endpoint.submit("nightly").id


def test_a_disabled_endpoint_refuses_plain_rest(endpoint, emulator):
    endpoint.disable()
    path = endpoint.endpoint.removeprefix(emulator.url)
    reply = emulator.call("POST", path, json={"ExperimentName": "nightly"}, headers=BEARER)
    assert reply.status_code == 400
    assert "isabled" in reply.json()["Error"]["Message"]
    assert emulator.runs() == {}


@examines("PipelineEndpoint.set_name")
def test_a_renamed_endpoint_is_found_by_its_new_name_only(workspace, endpoint):
    endpoint.set_name("renamed")
    assert endpoint.name == "renamed"
    assert PipelineEndpoint.get(workspace, name="renamed").id == ENDPOINT
    with pytest.raises(ErrorResponseException):
        PipelineEndpoint.get(workspace, name="score-endpoint")


@examines("PipelineEndpoint.set_name")
def test_rename_refuses_a_name_that_is_taken(workspace, endpoint):
    PipelineEndpoint.publish(workspace, "other", "", published(workspace, OLD))
    with pytest.raises(ErrorResponseException, match="other"):
        endpoint.set_name("other")
    assert PipelineEndpoint.get(workspace, id=ENDPOINT).name == "score-endpoint"


@examines("PipelineEndpoint.archive", "PipelineEndpoint.reactivate")
def test_archive_frees_the_name_and_reactivate_takes_it_again(workspace, endpoint):
    endpoint.archive()
    archived = PipelineEndpoint.get(workspace, id=ENDPOINT)
    assert archived.status == endpoint.status == "Disabled"
    assert archived.name == endpoint.name != "score-endpoint"
    assert PipelineEndpoint.list(workspace) == []
    endpoint.reactivate("score-endpoint")
    again = PipelineEndpoint.get(workspace, name="score-endpoint")
    assert (again.id, again.status) == (ENDPOINT, "Active")


@examines("Experiment.submit")
def test_an_experiment_submits_an_endpoint(workspace, endpoint, emulator):
    run = Experiment(workspace, "weekly").submit(endpoint)
    assert emulator.runs()[run.id]["experiment"] == "weekly"
