"""The workspace itself, and the discovery of its services."""

from __future__ import annotations

import json

import pytest
from azureml.core import Workspace
from azureml.exceptions import ProjectSystemException, UserErrorException
from azureml.pipeline.core import PublishedPipeline
from identity import WORKSPACE, authentication

examines = pytest.mark.examines


@examines(
    "Workspace.get", "Workspace.name", "Workspace.location", "Workspace.resource_group", "Workspace.subscription_id",
    "Workspace.tags", "Workspace.sku",
)  # fmt: skip
def test_a_workspace_is_read_with_the_version_that_the_sdk_asks_for(emulator):
    workspace = Workspace.get(**WORKSPACE, auth=authentication(emulator.url))
    assert (workspace.name, workspace.location) == ("ws", "koreacentral")
    assert (workspace.resource_group, workspace.subscription_id) == ("rg", WORKSPACE["subscription_id"])
    assert (workspace.tags or {}, workspace.sku) == ({}, "Basic")
    queries = [item["query"] for item in emulator.requests("GET") if item["path"].endswith("/workspaces/ws")]
    assert queries
    assert all(query == [["api-version", "2022-05-01"]] for query in queries)


@examines("Workspace.get")
def test_get_of_a_missing_workspace(emulator):
    emulator.refuse(404, method="GET", path="*/workspaces/ws")
    with pytest.raises(ProjectSystemException, match="Workspace not found"):
        Workspace.get(**WORKSPACE, auth=authentication(emulator.url))


@pytest.mark.parametrize("status", [401, 403])
@examines("Workspace.get")
def test_get_without_permission(emulator, status):
    emulator.refuse(status, method="GET", path="*/workspaces/ws")
    with pytest.raises(ProjectSystemException, match=str(status)):
        Workspace.get(**WORKSPACE, auth=authentication(emulator.url))


@examines("Workspace.get")
def test_a_wrong_token_is_refused(serve):
    with pytest.raises(ProjectSystemException, match="401"):
        serve("--token", "another")


@examines("Workspace.get_details", "Workspace.discovery_url", "Workspace.service_context")
def test_discovery_names_the_services(workspace, emulator):
    details = workspace.get_details()
    assert details["name"] == "ws"
    assert workspace.discovery_url == details["discoveryUrl"] == f"{emulator.url}/discovery"
    services = emulator.call("GET", "/discovery").json()
    for name in ("api", "history", "experimentation", "hyperdrive", "modelmanagement", "studio"):
        assert services[name].startswith(emulator.url)
    assert workspace.service_context._get_workspace_portal_url() == emulator.url


def test_discovery_needs_no_token(emulator):
    assert emulator.call("GET", "/discovery").status_code == 200


@examines("Workspace.write_config", "Workspace.from_config")
def test_a_workspace_from_its_config(workspace, emulator, tmp_path):
    workspace.write_config(path=str(tmp_path))
    (tmp_path / "deep/er").mkdir(parents=True)
    found = Workspace.from_config(path=str(tmp_path / "deep/er"), auth=authentication(emulator.url))
    assert (found.name, found.location) == ("ws", "koreacentral")
    assert {item.name for item in PublishedPipeline.list(found)} >= {"score-files"}


@examines("Workspace.from_config")
def test_a_workspace_from_the_portals_config(emulator, tmp_path):
    config = {
        "subscription_id": WORKSPACE["subscription_id"],
        "resource_group": WORKSPACE["resource_group"],
        "workspace_name": WORKSPACE["name"],
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert Workspace.from_config(path=str(tmp_path / "config.json"), auth=authentication(emulator.url)).name == "ws"


@examines("Workspace.from_config")
def test_a_folder_without_config_json_is_refused(tmp_path, emulator):
    with pytest.raises(UserErrorException, match=r"config\.json"):
        Workspace.from_config(path=str(tmp_path), auth=authentication(emulator.url))


@examines("Workspace.list")
def test_workspaces_of_a_resource_group_are_listed(emulator):
    subscription, group = WORKSPACE["subscription_id"], WORKSPACE["resource_group"]
    found = Workspace.list(subscription, auth=authentication(emulator.url), resource_group=group)
    assert found
    for name, workspaces in found.items():
        assert {(item.name, item.subscription_id, item.resource_group) for item in workspaces} == {
            (name, subscription, group)
        }


@pytest.mark.parametrize("quirk", ["int_enums", "digit_enums"])
def test_numbers_for_enumerations_are_read(serve, quirk):
    _, workspace = serve("--quirk", quirk)
    pipelines = PublishedPipeline.list(workspace, active_only=False)
    assert {item.status for item in pipelines} == {"Active", "Disabled"}
    run = next(item for item in pipelines if item.name == "score-files-old").submit(workspace, "nightly")
    assert run.wait_for_completion(show_output=False) == "Finished"
    assert [item.get_status() for item in run.get_steps()] == ["Finished"]
