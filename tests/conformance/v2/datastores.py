"""Datastores: reading without and with their secrets, registering, deleting."""

from __future__ import annotations

import pytest
from azure.ai.ml.entities import (
    AccountKeyConfiguration,
    AzureBlobDatastore,
    AzureDataLakeGen1Datastore,
    AzureDataLakeGen2Datastore,
    AzureFileDatastore,
    CertificateConfiguration,
    SasTokenConfiguration,
    ServicePrincipalConfiguration,
)
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from helpers import FOLDER, inner_code, submit
from identity import SCOPE

examines = pytest.mark.examines

KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@examines("DatastoreOperations.get")
def test_a_blob_datastore_comes_without_its_key(ml):
    found = ml.datastores.get("workspaceblobstore")
    assert (type(found).__name__, found.name, found.tags) == (
        "AzureBlobDatastore",
        "workspaceblobstore",
        {"team": "red"},
    )
    assert (found.account_name, found.container_name) == ("devstoreaccount1", "conformance")
    assert (found.protocol, found.endpoint) == ("https", "core.windows.net")
    assert found.credentials.account_key is None


@examines("DatastoreOperations.get")
@pytest.mark.parametrize(
    ("name", "kind", "secret"),
    [
        ("workspaceblobstore", "AzureBlobDatastore", {"account_key": KEY}),
        ("workspacefilestore", "AzureFileDatastore", {"account_key": "a2V5"}),
        ("signed", "AzureBlobDatastore", {"sas_token": "sv=2021-12-02&sig=c2ln"}),
        (
            "lake",
            "AzureDataLakeGen2Datastore",
            {
                "client_id": "33333333-0000-4000-8000-000000000001",
                "tenant_id": "33333333-0000-4000-8000-000000000002",
                "client_secret": "s-1",
            },
        ),
        ("public", "AzureBlobDatastore", {}),
    ],
)
def test_every_kind_of_secret(ml, name, kind, secret):
    found = ml.datastores.get(name, include_secrets=True)
    assert type(found).__name__ == kind
    assert {key: getattr(found.credentials, key) for key in secret} == secret


@examines("DatastoreOperations.get")
@pytest.mark.parametrize("name", ["nosuchstore", "database"])
def test_get_of_a_missing_datastore(ml, name):
    with pytest.raises(ResourceNotFoundError, match=name):
        ml.datastores.get(name)


@examines("DatastoreOperations.list")
@pytest.mark.parametrize("secrets", [False, True])
def test_datastores_are_listed(ml, secrets):
    found = {item.name: item.credentials for item in ml.datastores.list(include_secrets=secrets)}
    assert list(found) == ["workspaceblobstore", "workspacefilestore", "signed", "public", "lake"]
    assert found["workspaceblobstore"].account_key == (KEY if secrets else None)
    assert found["signed"].sas_token == ("sv=2021-12-02&sig=c2ln" if secrets else None)


@examines("DatastoreOperations.list")
def test_a_list_has_pages(serve):
    emulator, ml = serve("--quirk", "page_size=2")
    assert len(list(ml.datastores.list())) == 5
    assert len(emulator.requests("GET", "/datastores")) == 3


@examines("DatastoreOperations.get_default")
@pytest.mark.parametrize("secrets", [False, True])
def test_the_default_datastore(ml, secrets):
    found = ml.datastores.get_default(include_secrets=secrets)
    assert (found.name, found.credentials.account_key) == ("workspaceblobstore", KEY if secrets else None)


PRINCIPAL = {
    "tenant_id": "33333333-0000-4000-8000-000000000002",
    "client_id": "33333333-0000-4000-8000-000000000001",
    "authority_url": "https://login.microsoftonline.com",
    "resource_url": "https://storage.azure.com/",
}
CREDENTIALS = {
    "account_key": AccountKeyConfiguration(account_key="bmV3"),
    "sas_token": SasTokenConfiguration(sas_token="sv=2021-12-02&sig=bmV3"),
    "client_secret": ServicePrincipalConfiguration(client_secret="planted", **PRINCIPAL),
    "certificate": CertificateConfiguration(certificate="planted", thumbprint="AB12", **PRINCIPAL),
}
V1 = f"/datastore/v1.0{SCOPE}/datastores"


def store(kind="blob", name="added", **fields):
    given = {"name": name, "account_name": "account", **fields}
    if kind == "blob":
        return AzureBlobDatastore(container_name="inbox", **given)
    return AzureFileDatastore(file_share_name="inbox", **given)


def in_v1(emulator, name="added"):
    """The section of a datastore in the service of v1."""
    reply = emulator.call("GET", f"{V1}/{name}", headers={"Authorization": "Bearer t"})
    reply.raise_for_status()
    return reply.json()["azureStorageSection"]


@examines("DatastoreOperations.create_or_update", "DatastoreOperations.get")
@pytest.mark.parametrize("secret", CREDENTIALS)
@pytest.mark.parametrize("kind", ["blob", "file"])
def test_a_datastore_with_every_kind_of_secret(ml, kind, secret):
    given = store(kind, credentials=CREDENTIALS[secret], description="d", tags={"a": "b"})
    for found in (ml.datastores.create_or_update(given), ml.datastores.get("added")):
        assert (type(found), found.name, found.description, found.tags) == (type(given), "added", "d", {"a": "b"})
        assert (found.account_name, found.protocol, found.endpoint) == ("account", "https", "core.windows.net")
        assert (type(found.credentials), getattr(found.credentials, secret)) == (type(given.credentials), None)
    assert ml.datastores.get("added", include_secrets=True).credentials == given.credentials


@examines("DatastoreOperations.create_or_update", "DatastoreOperations.list")
def test_one_of_a_lake_and_one_without_credentials(ml):
    lake = AzureDataLakeGen2Datastore(
        name="water", account_name="account", filesystem="fs", credentials=CREDENTIALS["client_secret"]
    )
    assert ml.datastores.create_or_update(lake).filesystem == "fs"
    made = ml.datastores.create_or_update(store(name="everyone"))
    assert type(made.credentials).__name__ == "NoneCredentialConfiguration"
    assert {"water", "everyone"} < {item.name for item in ml.datastores.list()}


@examines("DatastoreOperations.create_or_update", "DatastoreOperations.get_default")
def test_an_update_replaces_everything_and_the_default_stays(ml):
    ml.datastores.create_or_update(store(credentials=CREDENTIALS["account_key"], description="d", tags={"a": "b"}))
    found = ml.datastores.create_or_update(store(credentials=CREDENTIALS["sas_token"], tags={"c": "d"}))
    assert (found.description, found.tags) == (None, {"c": "d"})
    assert ml.datastores.get("added", include_secrets=True).credentials == CREDENTIALS["sas_token"]
    ml.datastores.create_or_update(store(name="workspaceblobstore", credentials=CREDENTIALS["account_key"]))
    assert ml.datastores.get_default().account_name == "account"


@examines("DatastoreOperations.create_or_update")
def test_datastores_that_are_refused(ml):
    gen1 = AzureDataLakeGen1Datastore(name="old", store_name="s", credentials=CREDENTIALS["client_secret"])
    for given in (store("file", "workspaceblobstore"), store(name="a-b"), gen1):
        with pytest.raises(HttpResponseError) as raised:
            ml.datastores.create_or_update(given)
        assert (raised.value.status_code, inner_code(raised.value)) == (400, "BadArgument")
    # One that was read has no secret.
    with pytest.raises(HttpResponseError, match="key is required"):
        ml.datastores.create_or_update(ml.datastores.get("workspaceblobstore"))
    assert ml.datastores.get("workspaceblobstore", include_secrets=True).credentials.account_key == KEY


@examines("DatastoreOperations.create_or_update", "DatastoreOperations.delete", "DatastoreOperations.get")
def test_one_state_with_the_service_of_v1(ml, emulator):
    ml.datastores.create_or_update(store(credentials=CREDENTIALS["account_key"]))
    section = in_v1(emulator)
    assert (section["containerName"], section["accountKey"]) == ("inbox", "bmV3")
    body = {
        "name": "added",
        "dataStoreType": "AzureBlob",
        "azureStorageSection": {"accountName": "account", "containerName": "other", "sasToken": "sig=x"},
    }
    emulator.call("PUT", f"{V1}/added", json=body, headers={"Authorization": "Bearer t"}).raise_for_status()
    found = ml.datastores.get("added", include_secrets=True)
    assert (found.container_name, found.credentials.sas_token) == ("other", "sig=x")
    ml.datastores.delete("added")
    assert emulator.call("GET", f"{V1}/added", headers={"Authorization": "Bearer t"}).status_code == 404


@examines("DatastoreOperations.create_or_update")
def test_no_secret_is_in_the_log_of_requests(ml, emulator):
    for credentials in CREDENTIALS.values():
        ml.datastores.create_or_update(store(credentials=credentials))
    logged = str(emulator.requests("PUT", "/datastores/"))
    assert logged.count("credentialsType") == len(CREDENTIALS)
    assert [secret for secret in ("bmV3", "planted") if secret in logged] == []


@examines("DatastoreOperations.delete", "DatastoreOperations.list")
def test_a_datastore_is_deleted_but_not_the_default_one(ml):
    submit(ml)
    ml.datastores.delete("signed")
    assert "signed" not in {item.name for item in ml.datastores.list()}
    for name in ("signed", "nosuchstore", "database"):
        ml.datastores.delete(name)
    with pytest.raises(HttpResponseError, match="Set another default first") as raised:
        ml.datastores.delete("workspaceblobstore")
    assert (raised.value.status_code, inner_code(raised.value)) == (400, "IsDefault")
    assert ml.jobs.get("score-1").inputs["input_datapath"]._data.path == FOLDER
