"""The workspace itself, the discovery of its services, and the ways in which the SDK is led to it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from azure.ai.ml import MLClient
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceNotFoundError,
    ServiceRequestError,
)
from identity import AUDIENCE, SCOPE, WORKSPACE, Identity, client_of

examines = pytest.mark.examines


@examines("WorkspaceOperations.get")
def test_a_workspace_is_read(ml, emulator):
    workspace = ml.workspaces.get("ws")
    assert (workspace.name, workspace.location, workspace.resource_group) == ("ws", "koreacentral", "rg")
    assert workspace.discovery_url == f"{emulator.url}/discovery"
    assert workspace.mlflow_tracking_uri.endswith(SCOPE)
    assert workspace.storage_account.startswith("/subscriptions/")


@examines("WorkspaceOperations.list")
@pytest.mark.parametrize("scope", ["resource_group", "subscription"])
def test_workspaces_are_listed(ml, scope):
    assert [type(item).__name__ for item in ml.workspaces.list(scope=scope)] == ["Workspace"]


@examines("WorkspaceOperations.get")
@pytest.mark.parametrize(
    ("status", "error"),
    [(401, ClientAuthenticationError), (403, HttpResponseError), (404, ResourceNotFoundError)],
)
def test_refusals_become_the_errors_of_the_sdk(ml, emulator, status, error):
    emulator.refuse(status, method="GET", path="*/workspaces/ws")
    with pytest.raises(error) as raised:
        ml.workspaces.get("ws")
    assert raised.value.status_code == status


@examines("WorkspaceOperations.get")
def test_a_wrong_token_is_refused(serve):
    _, ml = serve("--token", "another")
    with pytest.raises(ClientAuthenticationError, match="no valid bearer token"):
        ml.workspaces.get("ws")


@examines("WorkspaceOperations.get")
def test_without_its_certificate_the_workspace_is_not_trusted(emulator, monkeypatch):
    ml = MLClient(Identity(), **WORKSPACE, cloud=client_of(emulator.url)._cloud, enable_telemetry=False, retry_total=0)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with pytest.raises(ServiceRequestError, match="CERTIFICATE_VERIFY_FAILED"):
        ml.workspaces.get("ws")


_FOUND = f"""
from azure.ai.ml import MLClient
from identity import WORKSPACE, Identity
from azure.ai.ml._azure_environments import _get_aml_resource_id_from_metadata
ml = MLClient(Identity(), **WORKSPACE, enable_telemetry=False)
print(ml.workspaces.get("ws").location, _get_aml_resource_id_from_metadata() == {AUDIENCE!r})
"""


# In a process of its own, as the SDK stores the chosen cloud for all clients.
@pytest.mark.parametrize(
    ("variable", "path"), [("ARM_CLOUD_METADATA_URL", "/metadata/endpoints"), ("AZUREML_DEV_URL_MFE", "")]
)
def test_a_variable_of_the_environment_leads_the_sdk_here(emulator, pytestconfig, variable, path):
    environment = {name: value for name, value in os.environ.items() if name != "AZUREML_CURRENT_CLOUD"}
    environment |= {variable: f"{emulator.url}{path}", "PYTHONPATH": str(pytestconfig.rootpath)}
    command = [sys.executable, "-W", "ignore", "-c", _FOUND]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)
    assert found.stdout == "koreacentral True\n", found.stderr
