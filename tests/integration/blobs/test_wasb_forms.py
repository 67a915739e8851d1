"""Connections of type ``wasb``: each form that Airflow's own hook accepts works; the rest is refused with a reason."""

from __future__ import annotations

import asyncio
import itertools
import json
from datetime import UTC, datetime, timedelta

import pytest
from azure.storage.blob import generate_container_sas
from support.airflow.unreadable_extra import UNREADABLE, names
from support.samples.wasb_forms import FORMS

from aml_provider.blobs.folder_state import FolderState
from aml_provider.blobs.listing import poll_folder
from aml_provider.blobs.rules import Rules
from aml_provider.blobs.wasb import Rights, account_of, rights_of
from aml_provider.compat import AirflowFailException
from aml_provider.hooks.blob_location import BlobLocation, WasbRights

ACCOUNT_KEY = "a2V5"


@pytest.fixture
def container(azurite):
    with azurite.container() as made:
        made.upload_blob("in/a.csv", b"x")
        yield made


@pytest.fixture
def sas(azurite, container):
    """A SAS whose signature has a plus sign, which must be encoded exactly once."""
    for seconds in itertools.count():
        token = generate_container_sas(
            azurite.account_name,
            container.container_name,
            account_key=azurite.account_key,
            permission="l",
            expiry=datetime(2099, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds),
        )
        if "%2B" in token:
            return token
    raise AssertionError


def listed(container, monkeypatch, fields):
    monkeypatch.setenv("AIRFLOW_CONN_STORAGE", json.dumps({"conn_type": "wasb", **fields}))
    with BlobLocation(None, container.url, "in", "storage", "azureml_default").open() as (client, location):
        state = FolderState(location.folder, Rules.of(on_first_poll="report"), None)
        detection = client.run(poll_folder(state, location.access))
        return [change["name"] for change in detection.changes], location.access.kind


@pytest.mark.parametrize("name", FORMS)
def test_each_form_of_a_wasb_connection_lists_the_container(
    name, container, sas, azurite, monkeypatch, azureml_default
):
    form = FORMS[name]
    fields = form.fields(azurite.account_key, sas, azurite.blob_endpoint)
    if form.ours in {"key", "SAS"}:
        kind = "an account key" if form.ours == "key" else "a SAS"
        assert listed(container, monkeypatch, fields) == (["a.csv"], kind)
        return
    assert not form.wasb, "what Airflow's own hook takes is taken"
    with pytest.raises(AirflowFailException, match=form.ours) as caught:
        listed(container, monkeypatch, fields)
    assert azurite.account_key[:20] not in str(caught.value)


@pytest.mark.parametrize("value", ["true", "True"])
def test_azurite_at_its_usual_place(value):
    found = rights_of("", "", "", {"connection_string": f"UseDevelopmentStorage={value};"})
    assert found.account == "devstoreaccount1"
    assert found.key.startswith("Eby8vdM02xNOcqFl")


@pytest.mark.parametrize(
    ("url", "account"),
    [
        ("https://acct.blob.core.windows.net/c", "acct"),
        ("https://ACCT.Blob.Core.Windows.Net/c", "acct"),
        ("https://acct-secondary.blob.core.windows.net/c", "acct"),
        ("https://acct-dualstack.blob.core.windows.net/c", "acct"),
        ("https://acct-secondary-ipv6.blob.core.windows.net/c", "acct"),
        ("https://acct.privatelink.blob.core.windows.net/c", "acct"),
        ("https://acct.z01.blob.storage.azure.net/c", "acct"),
        ("https://acct.blob.core.usgovcloudapi.net:443/c", "acct"),
        ("acct.blob.core.windows.net", "acct"),
        ("https://files.corp.net/c", ""),
        ("https://[broken/c", ""),
        ("", ""),
    ],
)
def test_the_account_in_an_address(url, account):
    assert account_of(url) == account


@pytest.mark.parametrize(
    "url", ["https://acct-secondary.blob.core.windows.net/c", "https://ACCT.blob.core.windows.net/c"]
)
def test_a_key_signs_for_the_accounts_primary_name(url):
    """The signed text names the account in lower case, without the suffix of its secondary host."""
    right = WasbRights("w", "ACCT", ACCOUNT_KEY, {})
    plain = WasbRights("w", "", ACCOUNT_KEY, {})
    names = {access.access(url).account_name for access in (right, plain)}
    assert names == {"acct"}


def test_a_login_in_capitals_is_the_same_account():
    assert rights_of("ACCT", ACCOUNT_KEY, "", {}) == Rights(key=ACCOUNT_KEY, account="acct")
    string = {"connection_string": f"AccountName=ACCT;AccountKey={ACCOUNT_KEY};EndpointSuffix=core.windows.net"}
    assert rights_of("", "", "", string) == Rights(key=ACCOUNT_KEY, account="acct")


def test_a_connection_that_cannot_be_read_is_an_error_that_says_so(container, monkeypatch, azureml_default):
    monkeypatch.setenv("AIRFLOW_CONN_STORAGE", '{"conn_type": "wasb", "password": "s3cret"')
    with (
        pytest.raises(Exception, match="AIRFLOW_CONN_STORAGE is set, but is not JSON") as caught,
        BlobLocation(None, container.url, "in", "storage", "azureml_default").open(),
    ):
        pass
    assert "s3cret" not in str(caught.value)


SAS_OF_NOBODY = "sv=2022-11-02&sr=c&sp=l&se=2099-01-01&sig=s3cret"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"conn_type": "azureml", "password": ACCOUNT_KEY}, "conn_type is 'azureml'; leave wasb_conn_id out"),
        ({"extra": SAS_OF_NOBODY}, "extra: is not JSON: "),
        ({"password": ACCOUNT_KEY, "extra": [{"sas_token": SAS_OF_NOBODY}]}, "extra is not a JSON object"),
        (
            {"password": f"DefaultEndpointsProtocol=https;AccountName=acct;AccountKey={ACCOUNT_KEY}"},
            "password is a connection string, which goes into the extra field 'connection_string'",
        ),
        ({"extra": {"tenant_id": "t"}}, "has a tenant_id, but no login; an application's id and secret are its login"),
        ({"login": "id", "extra": {"tenant_id": "t"}}, "has a tenant_id, but no password"),
    ],
)
@pytest.mark.filterwarnings("ignore:Encountered :DeprecationWarning")
def test_a_value_in_the_wrong_field_is_an_error_that_says_so(fields, message, container, monkeypatch, azureml_default):
    monkeypatch.setenv("AIRFLOW_CONN_STORAGE", json.dumps({"conn_type": "wasb", **fields}))
    location = BlobLocation(None, container.url, "in", "storage", "azureml_default")

    async def opened():
        async with location.async_open():
            pass

    with pytest.raises(UNREADABLE) as caught, location.open():
        pass
    with pytest.raises(UNREADABLE) as twin:
        asyncio.run(opened())
    for error in (caught.value, twin.value):
        assert names(str(error).replace("'storage' has", "'storage', has"), "storage", message)
        assert ACCOUNT_KEY not in str(error)
        assert "s3cret" not in str(error)
