"""Batch endpoints of the v2 API: a name for a deployment, which is a component with settings; invocations."""

from __future__ import annotations

import pytest
from support.services.workspace_api import DATA, SCOPE, serving

ENDPOINTS = f"{SCOPE}/batchEndpoints"
BODY = {
    "properties": {
        "inputData": {
            "input": {"jobInputType": "UriFolder", "uri": DATA},
            "rate": {"jobInputType": "Literal", "value": 0.25},
        },
        "properties": {"experimentName": "exp"},
    }
}


@pytest.fixture
def api():
    with serving() as running:
        yield running


def invoke(api, status=201, body=BODY, **headers):
    uri = api.ask("GET", f"{ENDPOINTS}/gate")["properties"]["scoringUri"]
    return api.ask("POST", uri, status, json=body, headers=headers)


def test_the_way_from_an_endpoint_to_its_component(api):
    assert api.listed("/batchEndpoints") == ["gate", "empty"]
    endpoint = api.ask("GET", f"{ENDPOINTS}/gate")["properties"]
    assert api.listed("/batchEndpoints/gate/deployments") == ["blue", "green"]
    path = f"{ENDPOINTS}/gate/deployments/{endpoint['defaults']['deploymentName']}"
    deployment = api.ask("GET", path)["properties"]
    configuration = deployment["deploymentConfiguration"]
    assert configuration["deploymentConfigurationType"] == "PipelineComponent"
    assert configuration["settings"] == {"continue_on_step_failure": "True"}
    assert deployment["properties"] == {"componentDeployment.Settings.continue_on_step_failure": "True"}
    component = api.ask("GET", configuration["componentId"]["assetId"])
    assert component["id"] == f"{SCOPE}/components/fit_files/versions/2"
    # Microsoft's SDK cannot read one without settings.
    green = api.ask("GET", f"{ENDPOINTS}/gate/deployments/green")["properties"]
    assert green["deploymentConfiguration"]["settings"] == {}


@pytest.mark.parametrize("path", ["/none", "/none/deployments", "/gate/deployments/none"])
def test_unknown_ones(api, path):
    assert "was not found" in api.ask("GET", f"{ENDPOINTS}{path}", 404)


def test_an_invocation_is_a_job_of_the_default_deployment(api):
    found = invoke(api)
    assert found["id"] == f"{ENDPOINTS}/gate/deployments/blue/jobs/{found['name']}"
    job = api.job(found["name"])
    assert job["componentId"] == f"{SCOPE}/components/fit_files/versions/2"
    assert job["inputs"] == {
        "input": {"jobInputType": "uri_folder", "uri": DATA},
        "rate": {"jobInputType": "literal", "value": "0.25"},
    }
    assert job["tags"] == {"azureml.batchrun": "true", "azureml.deploymentname": "blue"}
    assert job["properties"]["azureml.endpointname"] == "gate"
    assert api.run(found["name"])["status"] == "NotStarted"
    assert api.emulator.state.runs[found["name"]].continue_on_step_failure


def test_a_header_names_another_deployment(api):
    name = invoke(api, **{"azureml-model-deployment": "green"})["name"]
    assert api.emulator.state.runs[name].component_id == "fit_files:1"
    assert "was not found" in invoke(api, 404, **{"azureml-model-deployment": "none"})


def test_the_same_request_id_is_the_same_job(api):
    first, again, other = (invoke(api, **{"repeatability_request-id": key})["name"] for key in ("a", "a", "b"))
    assert first == again != other
    assert len(api.emulator.state.runs) == 2


def test_keys_in_pascal_case_and_an_experiment_named_as_the_endpoint(api):
    body = {"Properties": {"InputData": {"input": {"JobInputType": "uriFolder", "Uri": DATA}}}}
    assert api.job(invoke(api, body=body)["name"])["experimentName"] == "gate"


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "required input input"),
        ({"input": {"jobInputType": "uri_folder", "uri": DATA}}, "not one of Literal"),
        (
            {"input": {"jobInputType": "UriFolder", "uri": DATA}, "x": {"jobInputType": "Literal", "value": 1}},
            "no input x",
        ),
    ],
)
def test_inputs_that_do_not_fit_are_refused(api, inputs, message):
    assert message in invoke(api, 400, {"properties": {"inputData": inputs}})


def test_an_endpoint_without_a_default_deployment(api):
    uri = api.ask("GET", f"{ENDPOINTS}/empty")["properties"]["scoringUri"]
    assert "no default deployment" in api.ask("POST", uri, 400, json=BODY)


def test_the_jobs_of_an_endpoint_and_of_a_deployment(api):
    blue = invoke(api)["name"]
    green = invoke(api, **{"azureml-model-deployment": "green"})["name"]
    api.put_job()
    base = f"/mferp/managementfrontend{ENDPOINTS}/gate"
    assert [item["name"] for item in api.ask("GET", f"{base}/jobs")["value"]] == [green, blue]
    assert [item["name"] for item in api.ask("GET", f"{base}/deployments/blue/jobs")["value"]] == [blue]
    assert "was not found" in api.ask("GET", f"{base}/deployments/none/jobs", 404)


def test_an_invocation_needs_a_token_is_logged_and_can_fail(api):
    uri = api.ask("GET", f"{ENDPOINTS}/gate")["properties"]["scoringUri"]
    assert api.post(uri, json=BODY, headers={"Authorization": ""}).status_code == 401
    api.emulator.faults.add("status", path="/inference/*", status=503, after_commit=True)
    assert api.post(uri, json=BODY).json()["error"]["code"] == "ServiceError"
    logged = [(item["status"], item["fault"]) for item in api.emulator.requests("POST", "/inference/")]
    assert logged == [(401, None), (503, "status")]
    assert len(api.emulator.state.runs) == 1
