"""Batch endpoints of the v2 API and their deployments: creating, changing, deleting."""

from __future__ import annotations

import pytest
from support.services.workspace_api import DATA, SCOPE, serving

ENDPOINTS = f"{SCOPE}/batchEndpoints"


@pytest.fixture
def api():
    with serving() as running:
        yield running


def endpoint_body(**properties):
    return {"location": "eastus", "properties": {"authMode": "AADToken", **properties}}


def deployment_body(component="fit_files:2", configuration=None, **properties):
    given = {
        "deploymentConfigurationType": "PipelineComponent",
        "componentId": {"referenceType": "Id", "assetId": component},
        **(configuration or {}),
    }
    return {"location": "eastus", "properties": {"deploymentConfiguration": given, **properties}}


def put(api, name="door", status=201, body=None, **properties):
    return api.ask("PUT", f"{ENDPOINTS}/{name}", status, json=body or endpoint_body(**properties))


def deploy(api, name="blue", status=201, endpoint="door", body=None, **given):
    return api.ask("PUT", f"{ENDPOINTS}/{endpoint}/deployments/{name}", status, json=body or deployment_body(**given))


def invoke(api, status=201, endpoint="door"):
    body = {"properties": {"inputData": {"input": {"jobInputType": "UriFolder", "uri": DATA}}}}
    return api.ask("POST", f"/inference/v1.0{SCOPE}/batchEndpoints/{endpoint}/jobs", status, json=body)


class TestEndpoints:
    def test_creating_and_replacing(self, api):
        body = endpoint_body(description="d", properties={"k": "v"}) | {"tags": {"a": "b"}}
        made = put(api, body=body)
        assert made == api.ask("GET", f"{ENDPOINTS}/door")
        assert (made["id"], made["tags"], made["location"]) == (f"{ENDPOINTS}/door", {"a": "b"}, "eastus")
        properties = made["properties"]
        assert (properties["description"], properties["properties"]) == ("d", {"k": "v"})
        assert (properties["provisioningState"], properties["defaults"]) == ("Succeeded", None)
        deploy(api)
        replaced = put(api, status=200, defaults={"deploymentName": "blue"})
        assert (replaced["tags"], replaced["properties"]["description"]) == ({}, None)
        assert replaced["properties"]["defaults"] == {"deploymentName": "blue"}
        assert api.listed("/batchEndpoints/door/deployments") == ["blue"]
        assert put(api, status=200)["properties"]["defaults"] is None
        assert api.listed("/batchEndpoints") == ["gate", "empty", "door"]

    def test_the_mode_may_be_in_lower_case(self, api):
        # As Microsoft's SDK sends it.
        assert put(api, authMode="aadToken")["properties"]["authMode"] == "AADToken"

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            ([], "must be a JSON object"),
            ({"properties": {"authMode": "AADToken"}}, "location is required"),
            ({"location": "eastus"}, "properties is required"),
            ({"location": "eastus", "properties": {}}, "authMode None"),
            (endpoint_body(authMode="Key"), "authMode 'Key'"),
            (endpoint_body(defaults={"deploymentName": "none"}), "default deployment none"),
            (endpoint_body() | {"tags": {"a": ""}}, "must not be null or empty: a"),
            (endpoint_body() | {"tags": {"a": None}}, "must not be null or empty: a"),
        ],
    )
    def test_wrong_bodies_are_refused(self, api, body, message):
        assert message in put(api, status=400, body=body or [0])
        assert api.listed("/batchEndpoints") == ["gate", "empty"]

    @pytest.mark.parametrize("name", ["ab", "a" * 33, "1abc", "abc-", "a_bc", "a%20bc"])
    def test_wrong_names_are_refused(self, api, name):
        assert "Invalid endpoint name" in put(api, name, 400)

    def test_deleting_with_its_deployments_but_not_its_jobs(self, api):
        job = invoke(api, endpoint="gate")["name"]
        assert api.delete(f"{ENDPOINTS}/gate").status_code == 200
        assert api.delete(f"{ENDPOINTS}/gate").status_code == 204
        for path in ("gate", "gate/deployments", "gate/deployments/blue"):
            assert "was not found" in api.ask("GET", f"{ENDPOINTS}/{path}", 404)
        assert "was not found" in invoke(api, 404, "gate")
        assert api.job(job)["jobType"] == "Pipeline"
        put(api, "gate")
        assert api.listed("/batchEndpoints/gate/deployments") == []


class TestDeployments:
    def test_creating_and_replacing(self, api):
        put(api)
        settings = {"default_compute": "cpu", "continue_on_step_failure": True}
        more = {"settings": settings, "description": "of jobs", "tags": {"j": "t"}}
        body = deployment_body("FIT_FILES:2", more, description="d", properties={"k": "v"}) | {"tags": {"a": "b"}}
        made = deploy(api, body=body)
        path = f"{ENDPOINTS}/door/deployments/blue"
        assert made == api.ask("GET", path)
        assert (made["id"], made["tags"], made["properties"]["description"]) == (path, {"a": "b"}, "d")
        configuration = made["properties"]["deploymentConfiguration"]
        assert configuration["componentId"] == {
            "referenceType": "Id",
            "assetId": f"{SCOPE}/components/fit_files/versions/2",
        }
        assert configuration["settings"] == {"default_compute": "cpu", "continue_on_step_failure": "True"}
        assert (configuration["description"], configuration["tags"]) == ("of jobs", {"j": "t"})
        assert made["properties"]["properties"]["k"] == "v"
        replaced = deploy(api, status=200, component=f"{SCOPE}/components/fit_files/versions/1")
        configuration = replaced["properties"]["deploymentConfiguration"]
        assert configuration["componentId"]["assetId"].endswith("/versions/1")
        assert (configuration["settings"], configuration["tags"], replaced["tags"]) == ({}, None, {})

    def test_its_jobs_have_its_description_tags_and_settings(self, api):
        put(api)
        more = {"settings": {"continue_on_step_failure": True}, "description": "of jobs", "tags": {"j": "t"}}
        deploy(api, configuration=more)
        put(api, status=200, defaults={"deploymentName": "blue"})
        run = api.emulator.state.runs[invoke(api)["name"]]
        assert (run.description, run.tags["j"], run.tags["azureml.deploymentname"]) == ("of jobs", "t", "blue")
        assert (run.component_id, run.continue_on_step_failure) == ("fit_files:2", True)

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            (deployment_body("none:1"), "Component none:1 was not found"),
            (deployment_body("cook:1"), "only a pipeline can be deployed"),
            (deployment_body(""), "assetId is required"),
            (deployment_body(configuration={"componentId": {"referenceType": "DataPath"}}), "only Id is supported"),
            (deployment_body(configuration={"deploymentConfigurationType": "Model"}), "'Model' is not emulated"),
            ({"location": "eastus", "properties": {"model": {"assetId": "m"}}}, "'Model' is not emulated"),
            (deployment_body() | {"location": None}, "location is required"),
            (deployment_body() | {"tags": {"a": ""}}, "must not be null or empty"),
        ],
    )
    def test_wrong_bodies_are_refused(self, api, body, message):
        assert message in deploy(api, status=400, endpoint="empty", body=body)
        assert api.listed("/batchEndpoints/empty/deployments") == []

    def test_wrong_names_and_unknown_endpoints(self, api):
        assert "Invalid deployment name" in deploy(api, "a_b", 400, "empty")
        assert "BatchEndpoint none was not found" in deploy(api, status=404, endpoint="none")

    def test_deleting_all_but_the_default(self, api):
        path = f"{ENDPOINTS}/gate/deployments"
        assert "is the default" in api.ask("DELETE", f"{path}/blue", 400)
        assert [api.delete(f"{path}/green").status_code for _ in range(2)] == [200, 204]
        assert api.delete(f"{ENDPOINTS}/none/deployments/blue").status_code == 204
        put(api, "gate", 200)
        assert api.delete(f"{path}/blue").status_code == 200
        assert api.listed("/batchEndpoints/gate/deployments") == []


class TestTime:
    def test_provisioning_has_an_address_to_poll(self):
        with serving(quirks=["provisioning=5s"]) as api:
            for path, body in (
                (f"{ENDPOINTS}/door", endpoint_body()),
                (f"{ENDPOINTS}/door/deployments/blue", deployment_body()),
            ):
                reply = api.put(path, json=body)
                assert (reply.status_code, reply.json()["properties"]["provisioningState"]) == (201, "Creating")
                address = reply.headers["Azure-AsyncOperation"]
                assert api.ask("GET", address) == {"status": "InProgress"}
                api.emulator.clock.advance(5)
                assert api.ask("GET", address)["status"] == "Succeeded"
                assert api.ask("GET", path)["properties"]["provisioningState"] == "Succeeded"
                assert api.put(path, json=body).json()["properties"]["provisioningState"] == "Updating"
                api.emulator.clock.advance(5)

    def test_a_deployment_is_invoked_only_after_its_creation(self):
        with serving(quirks=["provisioning=5s"]) as api:
            put(api)
            deploy(api)
            put(api, status=200, defaults={"deploymentName": "blue"})
            assert "is Creating" in invoke(api, 400)
            api.emulator.clock.advance(5)
            invoke(api)
            deploy(api, status=200)
            invoke(api)

    def test_provisioning_can_fail(self):
        with serving(quirks=["provisioning=5s", "provisioning_fails=no quota"]) as api:
            put(api)
            reply = api.put(f"{ENDPOINTS}/door/deployments/blue", json=deployment_body())
            put(api, status=200, defaults={"deploymentName": "blue"})
            api.emulator.clock.advance(5)
            assert api.ask("GET", reply.headers["Azure-AsyncOperation"])["error"]["message"] == "no quota"
            assert api.ask("GET", f"{ENDPOINTS}/door")["properties"]["provisioningState"] == "Failed"
            assert "is Failed" in invoke(api, 400)

    def test_a_deletion_has_an_address_to_poll(self):
        with serving(quirks=["slow_delete=5s"]) as api:
            for path in ("gate/deployments/green", "gate"):
                reply = api.delete(f"{ENDPOINTS}/{path}")
                assert (reply.status_code, api.get(reply.headers["Location"]).status_code) == (202, 202)
                api.emulator.clock.advance(5)
                assert api.get(reply.headers["Location"]).status_code == 204


def test_a_reset_brings_the_seed_back(api):
    deploy(api, "white", endpoint="gate")
    put(api, "gate", 200, description="changed")
    put(api)
    api.ask("PUT", f"{SCOPE}/datastores/added", 201, json={"properties": STORE})
    api.emulator.reset()
    assert api.listed("/batchEndpoints") == ["gate", "empty"]
    assert api.listed("/batchEndpoints/gate/deployments") == ["blue", "green"]
    assert api.ask("GET", f"{ENDPOINTS}/gate")["properties"]["description"] is None
    assert api.listed("/datastores") == ["store", "files"]


STORE = {
    "datastoreType": "AzureBlob",
    "accountName": "a",
    "containerName": "c",
    "credentials": {"credentialsType": "None"},
}
