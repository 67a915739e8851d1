"""Invoking batch endpoints, and the jobs of endpoints and deployments."""

from __future__ import annotations

import pytest
from azure.ai.ml import Input, Output
from azure.ai.ml.constants._endpoint import EndpointInvokeFields
from azure.ai.ml.exceptions import ValidationException
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from helpers import FILE, FOLDER, inner_code, inputs_of

examines = pytest.mark.examines


@pytest.fixture(autouse=True)
def forget_deployment():
    """Remove the name that the SDK would otherwise send with all later calls, also to other endpoints."""
    yield
    EndpointInvokeFields.DEFAULT_HEADER.pop(EndpointInvokeFields.MODEL_DEPLOYMENT, None)


def folder(path=FOLDER):
    return {"input_datapath": Input(type="uri_folder", path=path)}


@examines("BatchEndpointOperations.invoke", "JobOperations.get")
def test_an_invocation_starts_a_job_of_the_default_deployment(ml, emulator):
    made = ml.batch_endpoints.invoke("score-batch", inputs=folder())
    assert made.name.startswith("pipelinejob-")
    assert made.id.endswith(f"/batchEndpoints/score-batch/deployments/current/jobs/{made.name}")
    job = ml.jobs.get(made.name)
    assert (job.type, job.experiment_name) == ("pipeline", "score-batch")
    assert job.tags == {"azureml.batchrun": "true", "azureml.deploymentname": "current"}
    assert job.properties["azureml.endpointname"] == "score-batch"
    assert job.component.endswith("score_files/versions/2")
    emulator.advance(60)
    assert ml.jobs.get(made.name).status == "Completed"


@examines("BatchEndpointOperations.invoke")
def test_inputs_of_each_type_outputs_and_an_experiment(ml):
    inputs = {
        "count": Input(type="integer", default=5),
        "rate": Input(type="number", default=0.25),
        "verbose": Input(type="boolean", default=True),
        "label": Input(type="string", default="green"),
        "input_file": Input(type="uri_file", path=FILE),
    }
    outputs = {"scores": Output(type="uri_folder", path=f"{FOLDER}out/")}
    made = ml.batch_endpoints.invoke(
        "typed-batch", inputs=inputs, outputs=outputs, experiment_name="mine", job_name="my-name"
    )
    job = ml.jobs.get(made.name)
    assert job.experiment_name == "mine"
    assert inputs_of(job) == {"count": "5", "rate": "0.25", "verbose": "True", "label": "green", "input_file": FILE}
    assert job.outputs["scores"]._data.path == f"{FOLDER}out/"


@examines("BatchEndpointOperations.invoke")
@pytest.mark.parametrize(
    "path", ["https://account.blob.core.windows.net/container/folder/", "azureml:rows:1", f"{FOLDER}deep/er/"]
)
def test_addresses_and_data_assets(ml, path):
    made = ml.batch_endpoints.invoke("score-batch", inputs=folder(path))
    found = inputs_of(ml.jobs.get(made.name))["input_datapath"]
    assert found.removeprefix("azureml:") == path.removeprefix("azureml:")


@examines("BatchEndpointOperations.invoke")
def test_an_invocation_of_a_deployment(ml):
    made = ml.batch_endpoints.invoke("score-batch", deployment_name="previous", inputs=folder())
    assert ml.jobs.get(made.name).component.endswith("score_files/versions/1")


@examines("BatchEndpointOperations.invoke")
def test_the_sdk_refuses_an_unknown_deployment_itself(ml, emulator):
    for endpoint in ("score-batch", "empty-batch"):
        with pytest.raises(ValidationException, match=r"nope not found|No deployment exists"):
            ml.batch_endpoints.invoke(endpoint, deployment_name="nope", inputs=folder())
    assert emulator.requests("POST") == []


@examines("BatchEndpointOperations.invoke")
def test_an_invocation_that_does_not_fit_is_refused(ml, emulator):
    with pytest.raises(ResourceNotFoundError, match="nope"):
        ml.batch_endpoints.invoke("nope", inputs=folder())
    for endpoint, inputs, code in (
        ("empty-batch", folder(), "NoDefaultDeployment"),
        ("score-batch", {}, "InputMissing"),
        ("score-batch", folder() | {"other": Input(type="string", default="x")}, "InputUnknown"),
        ("score-batch", {"input_datapath": Input(type="string", default="x")}, "InputType"),
    ):
        with pytest.raises(HttpResponseError) as raised:
            ml.batch_endpoints.invoke(endpoint, inputs=inputs)
        assert (raised.value.status_code, inner_code(raised.value)) == (400, code)
    assert emulator.jobs() == {}


@examines("BatchEndpointOperations.invoke")
def test_a_single_input_has_no_name_so_a_pipeline_does_not_know_it(ml):
    with pytest.raises(HttpResponseError, match="no input UriFolder"):
        ml.batch_endpoints.invoke("score-batch", input=Input(type="uri_folder", path=FOLDER))


@examines("BatchEndpointOperations.invoke")
@pytest.mark.parametrize("status", [500, 503])
def test_the_request_that_the_sdk_repeats_starts_one_job(ml, emulator, status):
    emulator.refuse(status, method="POST", path="*/jobs", after_commit=True)
    made = ml.batch_endpoints.invoke("score-batch", inputs=folder())
    assert list(emulator.jobs()) == [made.name]
    assert len(emulator.requests("POST", "/batchEndpoints/")) == 2


@examines("BatchEndpointOperations.list_jobs", "BatchDeploymentOperations.list_jobs")
def test_the_jobs_of_an_endpoint_and_of_a_deployment(ml):
    first = ml.batch_endpoints.invoke("score-batch", inputs=folder())
    second = ml.batch_endpoints.invoke("score-batch", deployment_name="previous", inputs=folder())
    found = ml.batch_endpoints.list_jobs("score-batch")
    assert [item.name for item in found] == [second.name, first.name]
    assert all(item.status for item in found)
    assert [item.name for item in ml.batch_deployments.list_jobs("score-batch", name="previous")] == [second.name]
    assert [item.name for item in ml.batch_deployments.list_jobs("score-batch", name="current")] == [first.name]
    assert ml.batch_endpoints.list_jobs("typed-batch") == []


@examines("BatchEndpointOperations.list_jobs", "BatchDeploymentOperations.list_jobs")
def test_the_jobs_of_missing_ones(ml):
    with pytest.raises(ResourceNotFoundError):
        ml.batch_endpoints.list_jobs("nope")
    with pytest.raises(ResourceNotFoundError):
        ml.batch_deployments.list_jobs("score-batch", name="nope")


@examines("BatchEndpointOperations.list_jobs", "BatchEndpointOperations.invoke")
def test_a_list_of_jobs_has_pages(serve):
    _, ml = serve("--quirk", "page_size=1")
    made = [ml.batch_endpoints.invoke("score-batch", inputs=folder()).name for _ in range(3)]
    assert [item.name for item in ml.batch_endpoints.list_jobs("score-batch")] == made[::-1]
