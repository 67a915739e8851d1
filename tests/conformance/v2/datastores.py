"""Datastores: without and with their secrets."""

from __future__ import annotations

import pytest
from azure.core.exceptions import ResourceNotFoundError

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
