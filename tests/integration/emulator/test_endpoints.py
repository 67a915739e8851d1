"""Pipeline endpoints of the emulator: the requests that Microsoft's SDK sends."""

from __future__ import annotations

import uuid

import pytest
from support.services.workspace_api import PIPELINES, serving

ENDPOINTS = f"{PIPELINES}/PipelineEndpoints"


@pytest.fixture
def api():
    with serving() as running:
        yield running


def door(api):
    return api.ask("GET", f"{ENDPOINTS}/Id/door")


def put(api, status=200, **changes):
    return api.ask("PUT", f"{ENDPOINTS}/door", status, json={**door(api), **changes})


def submit(api, status=200, version=None):
    at = f"/{version}?pipelineVersion={version}" if version else ""
    path = f"{PIPELINES}/PipelineRuns/PipelineEndpointSubmit/Id/door{at}"
    return api.ask("POST", path, status, json={"ExperimentName": "exp"})


def test_a_version_is_added_and_made_the_default(api):
    versions = [*door(api)["PipelineVersionList"], {"Version": "2", "PipelineId": "score"}]
    put(api, PipelineVersionList=versions)
    assert submit(api)["PipelineId"] == "train"
    assert submit(api, version="2")["PipelineId"] == "score"
    put(api, DefaultVersion="2")
    assert submit(api)["PipelineId"] == "score"
    behind = api.ask("GET", f"{ENDPOINTS}/door/pipelines?activeOnly=true")
    assert [item["Id"] for item in behind] == ["score", "train", "score"]


def test_an_endpoint_is_disabled_and_enabled(api):
    assert put(api, EntityStatus="Disabled")["EntityStatus"] == "Disabled"
    assert "is Disabled" in submit(api, 400)
    assert api.ask("GET", f"{ENDPOINTS}?activeOnly=true") == []
    put(api, EntityStatus="Active")
    assert submit(api)["PipelineId"] == "train"


def test_archiving_frees_the_name(api):
    name = str(uuid.uuid4())
    put(api, Name=name, EntityStatus="Disabled")
    assert "door was not found" in api.ask("GET", f"{ENDPOINTS}/Name?Name=door", 404)
    assert api.ask("GET", f"{ENDPOINTS}/Name?Name={name}")["EntityStatus"] == "Disabled"
    new = api.ask("POST", f"{ENDPOINTS}/Create", json={"Name": "door", "PipelineId": "score"})
    assert (new["DefaultVersion"], new["Id"] != "door") == ("0", True)


def test_names_are_unique(api):
    body = {"Name": "door", "PipelineId": "score"}
    assert "door already exists" in api.ask("POST", f"{ENDPOINTS}/Create", 409, json=body)
    other = api.ask("POST", f"{ENDPOINTS}/Create", json={**body, "Name": "other"})
    refused = api.ask("PUT", f"{ENDPOINTS}/{other['Id']}", 409, json={**other, "Name": "door"})
    assert "door already exists" in refused
    assert api.ask("GET", f"{ENDPOINTS}/Id/{other['Id']}") == other


def test_an_update_replaces_everything_but_the_creation_time(api):
    api.emulator.clock.advance(10)
    entity = put(api, Description="d", tags={"a": None}, Properties={"n": 1})
    assert (entity["Description"], entity["tags"], entity["Properties"]) == ("d", {"a": None}, {"n": 1})
    assert entity["LastModifiedDate"] > entity["CreatedDate"]
    bare = {key: door(api)[key] for key in ("Name", "DefaultVersion", "PipelineVersionList", "EntityStatus")}
    entity = api.ask("PUT", f"{ENDPOINTS}/door", json=bare)
    assert (entity["Description"], entity["tags"], entity["Properties"]) == (None, {}, {})


@pytest.mark.parametrize(
    ("status", "changes", "said"),
    [
        (400, {"Name": ""}, "Name is required"),
        (400, {"DefaultVersion": "9"}, "DefaultVersion 9 is not in"),
        (400, {"DefaultVersion": None}, "DefaultVersion is required"),
        (400, {"PipelineVersionList": None}, "PipelineVersionList is required"),
        (400, {"PipelineVersionList": ["0"]}, "Each of PipelineVersionList must be a JSON object"),
        (400, {"PipelineVersionList": [{"Version": "x", "PipelineId": "score"}]}, "must be a whole number"),
        (400, {"PipelineVersionList": [{"Version": "1", "PipelineId": "score"}] * 2}, "version 1 twice"),
        (404, {"PipelineVersionList": [{"Version": "1", "PipelineId": "x"}]}, "Pipeline x was not found"),
        (400, {"EntityStatus": "Gone"}, "'Gone' is not an EntityStatus"),
        (400, {"tags": []}, "tags must be a JSON object"),
    ],
)
def test_invalid_updates_are_refused_and_change_nothing(api, status, changes, said):
    before = door(api)
    assert said in put(api, status, **changes)
    assert door(api) == before


def test_unknown_endpoints_are_a_404(api):
    body = {"Name": "new", "PipelineId": "x"}
    assert "Pipeline x was not found" in api.ask("POST", f"{ENDPOINTS}/Create", 404, json=body)
    for method, path in (("GET", "Id/x"), ("PUT", "x"), ("GET", "x/pipelines"), ("GET", "Name?Name=x")):
        assert "was not found" in api.ask(method, f"{ENDPOINTS}/{path}", 404, json=door(api))
    assert "Name is required" in api.ask("GET", f"{ENDPOINTS}/Name", 400)
    assert "Version 7" in submit(api, 404, version="7")


def test_batch_size_limits_a_list(api):
    for name in ("b", "c"):
        api.ask("POST", f"{ENDPOINTS}/Create", json={"Name": name, "PipelineId": "score"})
    for size, names in (("2", ["door", "b"]), ("9", ["door", "b", "c"])):
        listed = api.ask("GET", f"{ENDPOINTS}?activeOnly=true", headers={"BatchSize": size})
        assert [item["Name"] for item in listed] == names
    for size in ("0", "-1", "many"):
        assert "BatchSize" in api.ask("GET", ENDPOINTS, 400, headers={"BatchSize": size})
