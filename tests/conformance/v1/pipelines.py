"""Published pipelines."""

from __future__ import annotations

import pytest
from azureml.core import Experiment
from azureml.data import FileDataset
from azureml.data._dataset import _DatasetRegistration
from azureml.data.azure_storage_datastore import AzureBlobDatastore
from azureml.data.datapath import DataPath
from azureml.pipeline.core import PipelineRun, PublishedPipeline
from azureml.pipeline.core._restclients.aeva.models import ErrorResponseException
from seeded import FAILS, LONG, OLD, RETIRED, SCORE, TYPED, UNKNOWN

examines = pytest.mark.examines
ACTIVE = {"score-files", "typed-parameters", "fails-at-train", "long-running", "score-files-old"}


@examines("PublishedPipeline.list")
def test_list_shows_the_active_pipelines(workspace, emulator):
    assert {pipeline.name for pipeline in PublishedPipeline.list(workspace)} == ACTIVE
    (request,) = emulator.requests("GET", "/Pipelines")
    assert request["query"] == [["activeOnly", "true"]]


@examines("PublishedPipeline.list")
def test_list_shows_disabled_pipelines_on_demand(workspace):
    pipelines = PublishedPipeline.list(workspace, active_only=False)
    assert {pipeline.name for pipeline in pipelines} == ACTIVE | {"retired"}
    assert {pipeline.id for pipeline in pipelines if pipeline.status == "Disabled"} == {RETIRED}


@examines("PublishedPipeline.get_all")
def test_get_all_is_the_older_list(workspace):
    assert {pipeline.name for pipeline in PublishedPipeline.get_all(workspace)} == ACTIVE


@examines(
    "PublishedPipeline.get",
    "PublishedPipeline.id",
    "PublishedPipeline.name",
    "PublishedPipeline.description",
    "PublishedPipeline.version",
    "PublishedPipeline.status",
    "PublishedPipeline.endpoint",
    "PublishedPipeline.graph_id",
    "PublishedPipeline.total_run_steps",
    "PublishedPipeline.continue_on_step_failure",
)
def test_get_shows_what_was_published(workspace, emulator):
    pipeline = PublishedPipeline.get(workspace, id=SCORE)
    assert (pipeline.id, pipeline.name, pipeline.version) == (SCORE, "score-files", "2.0")
    assert (pipeline.description, pipeline.status) == ("Counts the rows of CSV files.", "Active")
    assert (pipeline.total_run_steps, pipeline.continue_on_step_failure) == (2, False)
    assert pipeline.endpoint.startswith(f"{emulator.url}/pipelines/v1.0/subscriptions/")
    assert pipeline.endpoint.endswith(f"/PipelineRuns/PipelineSubmit/{SCORE}")
    assert len(pipeline.graph_id) == 36


@examines("PublishedPipeline.get")
def test_get_of_an_unknown_pipeline_says_which(workspace):
    with pytest.raises(ErrorResponseException, match=UNKNOWN) as refusal:
        PublishedPipeline.get(workspace, id=UNKNOWN)
    assert refusal.value.response.status_code == 404


@examines("PublishedPipeline.get_portal_url", "PublishedPipeline.portal_url")
def test_portal_url_leads_to_the_pipeline_in_the_studio(pipeline, emulator):
    assert pipeline.portal_url == emulator.url
    assert pipeline.get_portal_url().startswith(f"{emulator.url}/pipelines/{SCORE}?wsid=/subscriptions/")


@examines("PublishedPipeline.submit")
def test_submit_takes_defaults(workspace, pipeline, emulator):
    run = pipeline.submit(workspace, "nightly")
    assert isinstance(run, PipelineRun)
    record = emulator.runs()[run.id]
    assert (record["pipeline_id"], record["experiment"]) == (SCORE, "nightly")
    assert (record["parameters"], record["data_paths"], record["datasets"]) == ({}, {}, {})


@examines("PublishedPipeline.submit")
def test_submit_takes_a_text_and_a_data_path(workspace, pipeline, datastore, emulator):
    path = DataPath(datastore=datastore, path_on_datastore="incoming/f.csv")
    run = pipeline.submit(workspace, "nightly", pipeline_parameters={"input_string": "abc", "input_datapath": path})
    record = emulator.runs()[run.id]
    assert record["parameters"] == {"input_string": "abc"}
    assert record["data_paths"]["input_datapath"] == {"datastore": "workspaceblobstore", "path": "incoming/f.csv"}


@examines("PublishedPipeline.submit")
def test_submit_takes_numbers_and_truth_values(workspace, emulator):
    typed = PublishedPipeline.get(workspace, id=TYPED)
    run = typed.submit(workspace, "nightly", pipeline_parameters={"count": 5, "rate": 1e-7, "verbose": True})
    assert emulator.runs()[run.id]["parameters"] == {"count": "5", "rate": "1e-07", "verbose": "True"}


@examines("PublishedPipeline.submit")
def test_submit_takes_a_saved_dataset(workspace, emulator):
    typed = PublishedPipeline.get(workspace, id=TYPED)
    # Saving one needs the dataset service, which is not emulated; the SDK sends only the id of a saved one.
    registration = _DatasetRegistration(workspace=workspace, saved_id="d5e1f1a4-0000-4000-8000-000000000001")
    dataset = FileDataset._create(definition="{}", registration=registration)
    run = typed.submit(workspace, "nightly", pipeline_parameters={"count": 1, "input_dataset": dataset})
    assert emulator.runs()[run.id]["datasets"] == {"input_dataset": {"SavedDataSetReference": {"Id": dataset.id}}}


@examines("PublishedPipeline.submit")
def test_submit_below_a_parent_run(workspace, pipeline, emulator):
    parent = pipeline.submit(workspace, "nightly")
    run = pipeline.submit(workspace, "nightly", parent_run_id=parent.id)
    assert run.parent.id == parent.id
    assert [child.id for child in parent.get_children() if child.type == "azureml.PipelineRun"] == [run.id]


@examines("PublishedPipeline.submit")
def test_submit_overrides_what_a_failed_step_means(workspace, emulator):
    run = PublishedPipeline.get(workspace, id=FAILS).submit(workspace, "nightly", continue_on_step_failure=True)
    (request,) = emulator.requests("POST", "/PipelineSubmit/")
    assert request["body"]["ContinueRunOnStepFailure"] is True
    emulator.advance(60)
    assert run.get_status() == "Finished"


@examines("PublishedPipeline.submit")
def test_submit_refuses_an_unknown_parameter(workspace, pipeline, emulator):
    with pytest.raises(ErrorResponseException, match=r"(?s)UserError.*colour"):
        pipeline.submit(workspace, "nightly", pipeline_parameters={"colour": "red"})
    assert emulator.runs() == {}


@examines("PublishedPipeline.submit")
def test_submit_refuses_when_a_parameter_is_missing(workspace, emulator):
    with pytest.raises(ErrorResponseException, match="count"):
        PublishedPipeline.get(workspace, id=TYPED).submit(workspace, "nightly")
    assert emulator.runs() == {}


@examines("PublishedPipeline.submit")
def test_submit_refuses_an_unknown_datastore(workspace, pipeline, emulator):
    path = DataPath(AzureBlobDatastore(workspace, "nosuchstore", "container", "account"), "incoming")
    with pytest.raises(ErrorResponseException, match="nosuchstore"):
        pipeline.submit(workspace, "nightly", pipeline_parameters={"input_datapath": path})
    assert emulator.runs() == {}


@examines("PublishedPipeline.submit")
def test_submit_refuses_a_parent_of_another_experiment(workspace, pipeline, emulator):
    parent = pipeline.submit(workspace, "weekly")
    with pytest.raises(ErrorResponseException, match=parent.id):
        pipeline.submit(workspace, "nightly", parent_run_id=parent.id)
    assert list(emulator.runs()) == [parent.id]


@examines("PublishedPipeline.submit")
def test_submit_refuses_a_disabled_pipeline(workspace, emulator):
    retired = PublishedPipeline.get(workspace, id=RETIRED)
    with pytest.raises(ErrorResponseException, match=r"(?s)UserError.*isabled") as refusal:
        retired.submit(workspace, "nightly")
    assert refusal.value.response.status_code == 400
    assert emulator.runs() == {}


def test_a_disabled_pipeline_refuses_plain_rest_too(workspace, emulator):
    retired = PublishedPipeline.get(workspace, id=RETIRED)
    reply = emulator.call(
        "POST",
        retired.endpoint.removeprefix(emulator.url),
        json={"ExperimentName": "nightly"},
        headers={"Authorization": "Bearer any"},
    )
    assert reply.status_code == 400
    assert "isabled" in reply.json()["Error"]["Message"]


@examines("PublishedPipeline.disable", "PublishedPipeline.enable")
def test_disable_and_enable(workspace, pipeline):
    pipeline.disable()
    assert PublishedPipeline.get(workspace, id=SCORE).status == pipeline.status == "Disabled"
    assert SCORE not in {item.id for item in PublishedPipeline.list(workspace)}
    pipeline.enable()
    assert PublishedPipeline.get(workspace, id=SCORE).status == pipeline.status == "Active"


@examines("PublishedPipeline.disable", "PublishedPipeline.enable")
def test_disable_and_enable_may_come_twice(workspace, pipeline):
    pipeline.disable()
    pipeline.disable()
    assert PublishedPipeline.get(workspace, id=SCORE).status == "Disabled"
    pipeline.enable()
    pipeline.enable()
    assert PublishedPipeline.get(workspace, id=SCORE).status == "Active"


@pytest.mark.parametrize("status", [401, 403, 404, 409, 429])
@examines("PublishedPipeline.submit")
def test_a_refused_submission_raises_and_is_never_repeated(workspace, pipeline, emulator, status):
    emulator.refuse(status, method="POST", path="*/PipelineSubmit/*")
    with pytest.raises(ErrorResponseException) as refusal:
        pipeline.submit(workspace, "nightly")
    assert refusal.value.response.status_code == status
    assert str(refusal.value).startswith("(")  # the SDK found code and message in the envelope
    assert len(emulator.requests("POST", "/PipelineSubmit/")) == 1
    assert emulator.runs() == {}


@pytest.mark.parametrize("status", [500, 502, 503, 504])
@examines("PublishedPipeline.list")
def test_a_list_is_repeated_while_the_service_fails(workspace, emulator, status):
    emulator.refuse(status, method="GET", path="*/Pipelines")
    assert {pipeline.name for pipeline in PublishedPipeline.list(workspace)} == ACTIVE
    assert [request["status"] for request in emulator.requests("GET", "/Pipelines")] == [status, 200]


@examines("PublishedPipeline.list")
def test_a_throttled_list_is_repeated_when_the_service_says_so(workspace, emulator):
    emulator.refuse(429, method="GET", path="*/Pipelines", retry_after=1)
    assert {pipeline.name for pipeline in PublishedPipeline.list(workspace)} == ACTIVE
    emulator.refuse(429, method="GET", path="*/Pipelines")
    with pytest.raises(ErrorResponseException) as refusal:
        PublishedPipeline.list(workspace)
    assert refusal.value.response.status_code == 429


@examines("PublishedPipeline.get_graph", "PublishedPipeline.get_step_names")
def test_the_graph_holds_the_steps(pipeline):
    assert [node.name for node in pipeline.get_graph().module_nodes] == ["read", "score"]
    assert pipeline.get_step_names() == ["read", "score"]


@examines("Experiment.submit")
def test_an_experiment_submits_a_pipeline(workspace, emulator):
    pipeline = PublishedPipeline.get(workspace, id=OLD)
    run = Experiment(workspace, "weekly").submit(pipeline)
    record = emulator.runs()[run.id]
    assert (record["pipeline_id"], record["experiment"]) == (OLD, "weekly")


@examines("PipelineRun.get_pipeline_runs")
def test_the_runs_of_a_pipeline(workspace, pipeline):
    long = PublishedPipeline.get(workspace, id=LONG)
    mine = {pipeline.submit(workspace, "nightly").id, pipeline.submit(workspace, "weekly").id}
    long.submit(workspace, "nightly")
    runs = PipelineRun.get_pipeline_runs(workspace, SCORE)
    assert {run.id for run in runs} == mine
    assert {run.experiment.name for run in runs} == {"nightly", "weekly"}


@examines("PipelineRun.get_graph")
def test_a_run_shows_its_graph(workspace, pipeline):
    run = pipeline.submit(workspace, "nightly")
    assert [node.name for node in run.get_graph().module_nodes] == ["read", "score"]


@examines("PipelineRun.publish_pipeline")
def test_a_run_is_published_as_a_pipeline(workspace, pipeline, emulator):
    run = pipeline.submit(workspace, "nightly")
    published = run.publish_pipeline("score-again", "From a run.", "3.0", continue_on_step_failure=True)
    assert (published.name, published.description, published.version) == ("score-again", "From a run.", "3.0")
    assert published.id in {item.id for item in PublishedPipeline.list(workspace)}
    again = published.submit(workspace, "nightly")
    emulator.advance(60)
    assert again.get_status() == "Finished"
    assert {step.name for step in again.get_steps()} == {"read", "score"}
