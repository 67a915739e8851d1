"""Datastores of the emulator, and Azure Resource Manager above the workspace."""

from __future__ import annotations

import httpx
import pytest
from support.services.workspace_api import DATASTORES, SCOPE, serving

STORES = f"{DATASTORES}/datastores"
SECTIONS = {
    "AzureBlob": ("azureStorageSection", {"accountName": "acc", "containerName": "con", "accountKey": "a2V5"}),
    "AzureFile": ("azureStorageSection", {"accountName": "acc", "containerName": "con", "sasToken": "sig=x"}),
    "AzureDataLakeGen2": (
        "azureStorageSection",
        {"accountName": "acc", "containerName": "con", "clientCredentials": {"clientId": "i", "clientSecret": "s"}},
    ),
    "AzureDataLake": ("azureDataLakeSection", {"storeName": "lake", "clientId": "i", "clientSecret": "s"}),
    "AzureSqlDatabase": ("azureSqlDatabaseSection", {"serverName": "s", "databaseName": "d", "userPassword": "p"}),
    "AzurePostgreSql": ("azurePostgreSqlSection", {"serverName": "s", "databaseName": "d", "enableSSL": True}),
    "AzureMySql": ("azureMySqlSection", {"serverName": "s", "databaseName": "d", "portNumber": "3306"}),
    "Hdfs": ("hdfsSection", {"nameNodeAddress": "host:1", "credentialValue": "s", "credentialType": "Password"}),
    "GlusterFs": ("glusterFsSection", {"serverAddress": "host", "volumeName": "v"}),
    "DBFS": (None, {}),
    "Custom": (None, {}),
    "Git": (None, {}),
    "OneLake": (None, {}),
}


@pytest.fixture
def api():
    with serving() as running:
        yield running


def described(kind, name="new", **changes):
    section, values = SECTIONS[kind]
    return {"name": name, "dataStoreType": kind, **({section: {**values, **changes}} if section else {})}


class TestRegistering:
    @pytest.mark.parametrize("kind", SECTIONS)
    def test_every_type_is_returned_as_registered(self, api, kind):
        section, values = SECTIONS[kind]
        api.ask(
            "POST",
            f"{STORES}?createIfNotExists=False&skipValidation=True",
            json={**described(kind), "tags": {"a": "b"}},
        )
        found = api.ask("GET", f"{STORES}/new")
        assert (found["name"], found["dataStoreType"], found["tags"]) == ("new", kind, {"a": "b"})
        filled = [key for key, value in found.items() if key.endswith("Section") and value is not None]
        assert filled == ([section] if section else [])
        if section:
            assert {key: found[section][key] for key in values} == values

    @pytest.mark.parametrize(
        ("credentials", "kind"),
        [
            ({"accountKey": "k"}, "AccountKey"),
            ({"sasToken": "s"}, "Sas"),
            ({"credentialType": "Sas", "credential": "s"}, "Sas"),
            ({"clientCredentials": {"clientId": "i"}}, "ClientCredentials"),
            ({}, "None"),
        ],
    )
    def test_the_credential_type_is_derived(self, api, credentials, kind):
        api.ask("POST", STORES, json=described("AzureBlob", **{"accountKey": None, **credentials}))
        assert api.ask("GET", f"{STORES}/new")["azureStorageSection"]["credentialType"] == kind

    def test_names_are_in_lower_case(self, api):
        api.ask("POST", STORES, json=described("DBFS", "BigName"))
        assert api.ask("GET", f"{STORES}/bigname") == api.ask("GET", f"{STORES}/BigName")

    def test_an_existing_name_is_refused(self, api):
        refused = api.ask("POST", STORES, 400, json=described("AzureBlob", "store"))
        # At this message Microsoft's SDK overwrites the datastore.
        assert "Another datastore with the same name already exists" in refused

    @pytest.mark.parametrize(
        ("body", "said"),
        [
            ([], "must be a JSON object"),
            ({"dataStoreType": "DBFS"}, "datastore name '' is not"),
            ({"name": "a-b", "dataStoreType": "DBFS"}, "datastore name 'a-b' is not"),
            ({"name": "new"}, "dataStoreType is required"),
            ({"name": "new", "dataStoreType": "Tape"}, "'Tape' is not a dataStoreType"),
            ({"name": "new", "dataStoreType": "AzureBlob"}, "azureStorageSection is required"),
            ({"name": "new", "dataStoreType": "AzureBlob", "azureStorageSection": {}}, "accountName is required"),
            ({"name": "new", "dataStoreType": "Hdfs", "hdfsSection": {"protocol": "http"}}, "nameNodeAddress is"),
        ],
    )
    def test_invalid_datastores_are_refused(self, api, body, said):
        assert said in api.ask("POST", STORES, 400, json=body)
        assert list(api.emulator.state.datastores) == ["store", "files"]


class TestChanging:
    def test_an_update_replaces_it(self, api):
        api.ask("PUT", f"{STORES}/store", json=described("AzureBlob", "store", containerName="other", accountKey=None))
        section = api.ask("GET", f"{STORES}/store")["azureStorageSection"]
        assert (section["containerName"], section["accountKey"], section["credentialType"]) == ("other", None, "None")

    def test_the_type_cannot_change(self, api):
        assert "cannot become DBFS" in api.ask("PUT", f"{STORES}/store", 400, json=described("DBFS", "store"))
        assert "not that of the path" in api.ask("PUT", f"{STORES}/store", 400, json=described("AzureBlob", "x"))
        assert "Datastore x was not found" in api.ask("PUT", f"{STORES}/x", 404, json=described("AzureBlob", "x"))

    def test_the_default_can_be_set(self, api):
        assert api.ask("GET", f"{DATASTORES}/default")["name"] == "store"
        api.ask("PUT", f"{DATASTORES}/default/files")
        assert api.ask("GET", f"{DATASTORES}/default")["name"] == "files"
        assert "Datastore x was not found" in api.ask("PUT", f"{DATASTORES}/default/x", 404)

    def test_deleting(self, api):
        assert "is the default. Set another default first." in api.ask("DELETE", f"{STORES}/store", 400)
        api.ask("DELETE", f"{STORES}/files")
        assert "Datastore files was not found" in api.ask("GET", f"{STORES}/files", 404)
        assert "Datastore files was not found" in api.ask("DELETE", f"{STORES}/files", 404)

    def test_a_schedule_survives_its_datastore(self, api):
        api.ask("POST", STORES, json=described("AzureBlob"))
        body = {
            "Name": "s",
            "PipelineId": "train",
            "PipelineSubmissionInfo": {"ExperimentName": "exp"},
            "DataStoreTriggerInfo": {"DataStoreName": "new", "PollingInterval": 1},
        }
        created = api.ask("POST", f"/pipelines/v1.0{SCOPE}/Schedules/Create", json=body)
        api.ask("DELETE", f"{STORES}/new")
        api.emulator.clock.advance(120)
        (schedule,) = api.ask("GET", "/_emulator/schedules")["schedules"]
        assert (schedule["id"], schedule["last_error"]) == (created["Id"], "Datastore new was not found.")


class TestListing:
    def test_pages_of_two(self):
        with serving(quirks=["page_size=2"]) as api:
            for name in ("c", "d", "e"):
                api.ask("POST", STORES, json=described("DBFS", name))
            found, token = [], None
            for _ in range(3):
                options = {"continuationToken": token} if token else {}
                reply = api.ask("GET", STORES, params={"count": 100, "includeSecret": "true", **options})
                found += [item["name"] for item in reply["value"]]
                token = reply["continuationToken"]
            assert (found, token) == (["store", "files", "c", "d", "e"], None)

    def test_a_list_can_be_limited_and_selected(self, api):
        first = api.ask("GET", f"{STORES}?count=1")
        assert ([item["name"] for item in first["value"]], bool(first["continuationToken"])) == (["store"], True)
        assert "count must be" in api.ask("GET", f"{STORES}?count=x", 400)
        for names in ("files,missing", "files"):
            chosen = api.ask("GET", f"{STORES}?dataStoreNames={names}")["value"]
            assert [item["name"] for item in chosen] == ["files"]

    def test_without_secrets(self, api):
        with_them = api.ask("GET", f"{STORES}?includeSecret=true")["value"]
        without = api.ask("GET", f"{STORES}?includeSecret=false")["value"]
        assert "a2V5" in str(with_them)
        assert "a2V5" not in str(without)
        assert "sig=x" not in str(without)


class TestResourceManager:
    def test_lists_above_the_workspace(self, api):
        (subscription,) = api.ask("GET", "/subscriptions?api-version=2022-12-01")["value"]
        assert api.ask("GET", f"/subscriptions/{subscription['subscriptionId']}") == subscription
        kind = "providers/Microsoft.MachineLearningServices/workspaces"
        for path in (f"/subscriptions/abc/{kind}", f"/subscriptions/abc/RESOURCEGROUPS/grp/{kind.lower()}"):
            (workspace,) = api.ask("GET", f"{path}?api-version=2022-05-01")["value"]
            assert api.ask("GET", workspace["id"]) == workspace
            assert workspace["properties"]["discoveryUrl"] == f"{api.emulator.url}/discovery"
        (group,) = api.ask("GET", "/subscriptions/abc/resourceGroups")["value"]
        assert api.ask("GET", group["id"]) == group

    def test_resource_manager_needs_a_token(self, api):
        assert httpx.get(f"{api.emulator.url}/subscriptions").status_code == 401

    def test_unknown_resources_are_a_501(self, api):
        assert "does not have GET /subscriptions/abc/providers/x" in api.ask(
            "GET", "/subscriptions/abc/providers/x", 501
        )
