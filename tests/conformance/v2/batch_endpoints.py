"""Batch endpoints and their deployments."""

from __future__ import annotations

import pytest
from azure.core.exceptions import ResourceNotFoundError

examines = pytest.mark.examines


@examines("BatchEndpointOperations.get")
def test_an_endpoint_is_read(ml, emulator):
    found = ml.batch_endpoints.get("score-batch")
    assert (found.name, found.description, found.tags) == ("score-batch", "Scores files.", {"team": "red"})
    assert (found.defaults.deployment_name, str(found.auth_mode)) == ("current", "aad_token")
    assert found.scoring_uri.startswith(f"{emulator.url}/")
    assert (found.location, found.provisioning_state) == ("koreacentral", "Succeeded")


@examines("BatchEndpointOperations.get")
def test_an_endpoint_without_deployments_has_no_default(ml):
    assert ml.batch_endpoints.get("empty-batch").defaults is None


@examines("BatchEndpointOperations.get")
def test_get_of_a_missing_endpoint(ml):
    with pytest.raises(ResourceNotFoundError, match="nope"):
        ml.batch_endpoints.get("nope")


@examines("BatchEndpointOperations.list")
def test_endpoints_are_listed(ml):
    assert [item.name for item in ml.batch_endpoints.list()] == ["score-batch", "typed-batch", "empty-batch"]


@examines("BatchEndpointOperations.list", "BatchDeploymentOperations.list")
def test_lists_have_pages(serve):
    _, ml = serve("--quirk", "page_size=1")
    assert [item.name for item in ml.batch_endpoints.list()] == ["score-batch", "typed-batch", "empty-batch"]
    assert [item.name for item in ml.batch_deployments.list("score-batch")] == ["current", "previous"]


@examines("BatchDeploymentOperations.get")
def test_a_deployment_is_read(ml):
    found = ml.batch_deployments.get("current", "score-batch")
    assert (found.name, found.endpoint_name, found.description) == ("current", "score-batch", "the newest")
    assert found.provisioning_state == "Succeeded"


@examines("BatchDeploymentOperations.list")
def test_deployments_are_listed(ml):
    assert [item.name for item in ml.batch_deployments.list("score-batch")] == ["current", "previous"]
    assert list(ml.batch_deployments.list("empty-batch")) == []


@examines("BatchDeploymentOperations.get", "BatchDeploymentOperations.list")
def test_missing_deployments(ml):
    for how in (("nope", "score-batch"), ("current", "nope")):
        with pytest.raises(ResourceNotFoundError, match="nope"):
            ml.batch_deployments.get(*how)
    with pytest.raises(ResourceNotFoundError, match="nope"):
        list(ml.batch_deployments.list("nope"))
