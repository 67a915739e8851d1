"""Datastores on Azure Resource Manager: those of v1, with their secrets apart; registering and removing them."""

from __future__ import annotations

import pytest
from support.services.workspace_api import DATASTORES, PIPELINES, SCOPE, job_body, serving

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


PRINCIPAL = {"clientId": "i", "tenantId": "t", "authorityUrl": "https://login", "resourceUrl": "https://storage"}
CREDENTIALS = {
    "AccountKey": ({}, {"key": "planted"}),
    "Sas": ({}, {"sasToken": "sv=1&sig=planted"}),
    "ServicePrincipal": (PRINCIPAL, {"clientSecret": "planted"}),
    "Certificate": ({**PRINCIPAL, "thumbprint": "AB"}, {"certificate": "planted"}),
}


def body(kind="None", more=None, secrets=None, **properties):
    credentials = {"credentialsType": kind, **(more or {})}
    if secrets is not None:
        credentials["secrets"] = {"secretsType": kind, **secrets}
    given = {"datastoreType": "AzureBlob", "accountName": "b", "containerName": "new", "credentials": credentials}
    return {"properties": {**given, **properties}}


@pytest.mark.parametrize("kind", CREDENTIALS)
def test_registering_with_each_kind_of_credentials(api, kind):
    more, secrets = CREDENTIALS[kind]
    given = body(kind, more, secrets, description="d", tags={"a": "b"}, properties={"k": "v"}, endpoint="x.test")
    made = api.ask("PUT", f"{STORES}/Added", 201, json=given)
    assert made == api.ask("GET", f"{STORES}/ADDED")
    found = made["properties"]
    assert (made["name"], found["credentials"]) == ("added", {"credentialsType": kind, **more})
    assert (found["description"], found["tags"], found["properties"]) == ("d", {"a": "b"}, {"k": "v"})
    assert (found["endpoint"], found["protocol"], found["isDefault"]) == ("x.test", "https", False)
    assert api.ask("POST", f"{STORES}/added/listSecrets") == {"secretsType": kind, **secrets}
    assert "planted" not in api.get(STORES).text
    assert "planted" not in str(api.emulator.requests()) + repr(api.emulator.state.datastores)


def test_each_type_of_storage(api):
    for kind, container in (("AzureFile", "fileShareName"), ("AzureDataLakeGen2", "filesystem")):
        given = body(datastoreType=kind, containerName=None, **{container: "there"})
        assert api.ask("PUT", f"{STORES}/{kind}", 201, json=given)["properties"][container] == "there"
    assert api.listed("/datastores")[-2:] == ["azurefile", "azuredatalakegen2"]


def test_replacing_keeps_the_type_and_the_default(api):
    given = body("AccountKey", {}, {"key": "bmV3"}, datastoreType="AzureFile", containerName=None, fileShareName="x")
    replaced = api.ask("PUT", f"{STORES}/files", json=given)["properties"]
    assert (replaced["isDefault"], replaced["credentials"]) == (True, {"credentialsType": "AccountKey"})
    assert "cannot become" in api.ask("PUT", f"{STORES}/files", 400, json=body())
    assert "cannot become" in api.ask("PUT", f"{STORES}/sql", 400, json=body())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "properties is required"),
        (body(datastoreType="AzureDataLakeGen1"), "'AzureDataLakeGen1' is not supported"),
        (body(datastoreType=None), "'' is not supported"),
        (body(accountName=None), "accountName is required"),
        (body(containerName=""), "containerName is required"),
        (body(credentials=None), "credentials is required"),
        (body(credentials={}), "credentialsType is required"),
        (body("Kerberos"), "'Kerberos' is not a credentialsType"),
        # What a GET returned.
        (body("AccountKey"), "key is required"),
        (body("Sas", {}, {"secretsType": "AccountKey", "key": "k"}), "secretsType of Sas credentials must be Sas"),
        (body("ServicePrincipal", {"clientId": "i"}, {"clientSecret": "s"}), "tenantId is required"),
        (body("Certificate", PRINCIPAL, {"certificate": "c"}), "thumbprint is required"),
    ],
)
def test_wrong_bodies_are_refused(api, given, message):
    assert message in api.ask("PUT", f"{STORES}/added", 400, json=given)
    assert api.listed("/datastores") == ["blobs", "files", "lake", "open"]


def test_wrong_names_are_refused(api):
    assert "datastore name 'a-b' is not" in api.ask("PUT", f"{STORES}/a-b", 400, json=body())


def test_removing(api):
    assert [api.delete(f"{STORES}/{name}").status_code for name in ("BLOBS", "blobs", "sql")] == [200, 204, 204]
    assert "is the default" in api.ask("DELETE", f"{STORES}/files", 400)
    assert api.listed("/datastores") == ["files", "lake", "open"]
    # It is still there for v1, which has this type.
    assert api.ask("GET", f"{DATASTORES}/datastores/sql")["name"] == "sql"


def test_v1_has_what_was_registered_here(api):
    for kind, (more, secrets) in CREDENTIALS.items():
        api.ask("PUT", f"{STORES}/{kind}", 201, json=body(kind, more, secrets, description="d"))
    found = {kind: api.ask("GET", f"{DATASTORES}/datastores/{kind.lower()}") for kind in CREDENTIALS}
    sections = {kind: item["azureStorageSection"] for kind, item in found.items()}
    assert sections["AccountKey"]["accountKey"] == "planted"
    assert sections["Sas"]["sasToken"] == "sv=1&sig=planted"
    principal = {"clientId": "i", "tenantId": "t", "authorityUrl": "https://login", "resourceUri": "https://storage"}
    assert sections["ServicePrincipal"]["clientCredentials"] == {
        **principal,
        "clientSecret": "planted",
        "isCertAuth": False,
    }
    assert sections["Certificate"]["clientCredentials"]["certificate"] == "planted"
    # An update there keeps what only Azure Resource Manager has.
    api.ask("PUT", f"{DATASTORES}/datastores/sas", json=found["Sas"])
    assert api.ask("GET", f"{STORES}/sas")["properties"]["description"] == "d"


def test_a_schedule_survives_its_datastore_and_says_why_it_starts_nothing(api_of_jobs):
    api = api_of_jobs
    stored = {"datastoreType": "AzureBlob", "accountName": "a", "containerName": "c"}
    credentials = {"credentials": {"credentialsType": "None"}}
    api.ask("PUT", f"{STORES}/other", 201, json={"properties": {**stored, **credentials}})
    inputs = {"input": {"jobInputType": "uri_folder", "uri": "azureml://datastores/other/paths/in/"}}
    definition = job_body(inputs=inputs)["properties"]
    api.put_schedule(action={"actionType": "CreateJob", "jobDefinition": definition})
    assert api.delete(f"{STORES}/other").status_code == 200
    api.emulator.clock.advance(86400)
    (shown,) = api.get("/_emulator/schedules").json()["job_schedules"]
    assert "other" in shown["last_error"]


@pytest.fixture
def api_of_jobs():
    with serving() as running:
        yield running
