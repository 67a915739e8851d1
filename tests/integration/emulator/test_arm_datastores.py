"""Datastores on Azure Resource Manager: those of v1, with their secrets apart."""

from __future__ import annotations

import pytest
from support.services.workspace_api import DATASTORES, PIPELINES, SCOPE, serving

STORES = f"{SCOPE}/datastores"
SEED = {
    "datastores": [
        {"name": "blobs", "account_name": "a", "account_key": "a2V5", "container": "c", "tags": {"t": "u"}},
        {"name": "files", "type": "AzureFile", "account_name": "a", "sas_token": "sig=x", "container": "share"},
        {
            "name": "lake",
            "type": "AzureDataLakeGen2",
            "account_name": "a",
            "container": "fs",
            "section": {"clientCredentials": {"clientId": "i", "clientSecret": "planted"}, "subscriptionId": "other"},
        },
        {"name": "open", "account_name": "a", "container": "c"},
        {"name": "sql", "type": "AzureSqlDatabase", "section": {"serverName": "s", "databaseName": "d"}},
    ],
    "default_datastore": "files",
}


@pytest.fixture
def api():
    with serving(SEED) as running:
        yield running


def test_the_list_has_the_types_of_the_v2_api_and_no_secrets(api):
    assert api.listed("/datastores") == ["blobs", "files", "lake", "open"]
    assert api.listed("/datastores?count=3&orderByAsc=false") == ["blobs", "files", "lake", "open"]
    assert api.listed("/datastores?isDefault=true") == ["files"]
    assert api.listed("/datastores?isDefault=false") == ["blobs", "lake", "open"]
    assert api.listed("/datastores?names=blobs,lake") == ["blobs", "lake"]
    text = api.get(STORES).text
    assert [secret for secret in ("a2V5", "sig=x", "planted") if secret in text] == []


@pytest.mark.parametrize(
    ("name", "kind", "container", "credentials", "secrets"),
    [
        ("blobs", "AzureBlob", {"containerName": "c"}, "AccountKey", {"key": "a2V5"}),
        ("files", "AzureFile", {"fileShareName": "share"}, "Sas", {"sasToken": "sig=x"}),
        ("lake", "AzureDataLakeGen2", {"filesystem": "fs"}, "ServicePrincipal", {"clientSecret": "planted"}),
    ],
)
def test_a_datastore_and_its_secrets(api, name, kind, container, credentials, secrets):
    found = api.ask("GET", f"{STORES}/{name}")["properties"]
    assert (found["datastoreType"], found["credentials"]["credentialsType"]) == (kind, credentials)
    assert {**found, **container} == found
    assert (found["subscriptionId"], found["resourceGroup"]) == ("other" if name == "lake" else "s", "rg")
    for body in ({}, {"json": {"expirableSecret": True, "expireAfterHours": 1}}):
        reply = api.ask("POST", f"{STORES}/{name}/listSecrets", **body)
        assert reply == {"secretsType": credentials, **secrets}


def test_one_without_secrets(api):
    assert api.ask("GET", f"{STORES}/open")["properties"]["credentials"] == {"credentialsType": "None"}
    assert "no credentials" in api.ask("POST", f"{STORES}/open/listSecrets", 400)


@pytest.mark.parametrize("name", ["none", "sql"])
def test_unknown_ones(api, name):
    assert "was not found" in api.ask("GET", f"{STORES}/{name}", 404)
    assert "was not found" in api.ask("POST", f"{STORES}/{name}/listSecrets", 404)


def test_one_state_with_v1(api):
    section = {"accountName": "b", "containerName": "new", "accountKey": "bmV3"}
    body = {"name": "added", "dataStoreType": "AzureBlob", "azureStorageSection": section}
    api.ask("POST", f"{DATASTORES}/datastores", json=body)
    assert api.ask("GET", f"{STORES}/added")["properties"]["containerName"] == "new"
    assert api.ask("POST", f"{STORES}/added/listSecrets")["key"] == "bmV3"


def test_the_services_of_v1_can_be_gone():
    with serving(SEED, quirks=["v1_gone"]) as api:
        assert "retired" in api.ask("GET", f"{DATASTORES}/datastores/blobs", 410)
        assert "retired" in api.ask("GET", f"{PIPELINES}/Pipelines", 410)
        assert api.ask("POST", f"{STORES}/blobs/listSecrets")["key"] == "a2V5"


def test_a_principal_is_shown_without_its_secret(api):
    found = api.ask("GET", f"{STORES}/lake")["properties"]["credentials"]
    names = ("tenantId", "authorityUrl", "resourceUrl")
    assert found == {"credentialsType": "ServicePrincipal", "clientId": "i", **dict.fromkeys(names)}
