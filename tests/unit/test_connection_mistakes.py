"""A connection with mistakes is reported with what is wrong, before anything is sent."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest
from support.airflow.unreadable_extra import UNREADABLE, names

from aml_provider import connection
from aml_provider.client.errors import InvalidArgument
from aml_provider.compat import AirflowFailException, AirflowNotFoundException
from aml_provider.connection import read_settings
from aml_provider.get_provider_info import get_provider_info
from aml_provider.hooks.azure_ml import AzureMLHook

# More levels than Python's JSON reader takes.
DEEP = "[" * 50_000 + "]" * 50_000
WORKSPACE = {"subscription_id": "s", "resource_group": "g", "workspace_name": "w", "auth_method": "static_token"}
QUERY = "&".join(f"{name}={value}" for name, value in WORKSPACE.items())


def errors_of(monkeypatch, value, kind=AirflowNotFoundException):
    """What the hook says, sync, async and in its test; the same each time."""
    monkeypatch.setenv("AIRFLOW_CONN_AML", value)
    hook = AzureMLHook("aml")
    with pytest.raises(kind) as caught:
        hook.settings()
    with pytest.raises(kind) as twin:
        asyncio.run(hook.async_settings())
    assert str(twin.value) == str(caught.value)
    ok, message = hook.test_connection()
    assert not ok
    assert str(caught.value) in message
    return str(caught.value)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (f"azureml://id:s3cret/x@/?{QUERY}", "reserved characters; write / ? # [ ] : and @ in it as %2F"),
        (f"azureml://id:s3cret#x@/?{QUERY}", "cannot be read as a URI"),
        (f"azureml://id:s3cret?x@/?{QUERY}", "cannot be read as a URI"),
        (f"azureml://id:s3cret[x@/?{QUERY}", "cannot be read as a URI"),
        (f"azureml://id:s3cret@host:port/?{QUERY}", "cannot be read as a URI"),
        (f"azureml://id:s3cret@/?{QUERY}&endpoint=http://127.0.0.1:8700", "contains :// more than once"),
        ("", "AIRFLOW_CONN_AML is set, but empty"),
        ('{"conn_type": "azureml", "password": "s3cret"', "is not JSON: "),
        ("{'conn_type': 'azureml', 'password': 's3cret'}", "is not JSON: Expecting property name enclosed in double"),
        (json.dumps({"conn_type": "azureml", "region": "x", "password": "s3cret"}), "has 'region', which Airflow does"),
        (json.dumps({"conn_type": "azureml", "port": "s3cret"}), "port has to be a number"),
        (json.dumps({"conn_type": "azureml", "password": 123456}), "port has to be a number, all others text"),
        (
            json.dumps({"type": "azureml", "password": "s3cret"}),
            "has 'type', which Airflow does not know; it",
        ),
        (f'{{"conn_type": "azureml", "password": "s3cret", "extra": {DEEP}}}', "is not JSON: it is nested too deeply"),
        (
            json.dumps({"conn_type": "azureml", "password": "s3cret", "extra": DEEP}),
            "its extra is not JSON: it is nested too deeply",
        ),
    ],
)
def test_a_variable_that_airflow_ignores_is_reported(monkeypatch, value, told):
    message = errors_of(monkeypatch, value)
    assert "isn't defined: the environment variable AIRFLOW_CONN_AML " in message
    assert told in message
    assert "s3cret" not in message


def test_a_variable_in_lower_case_is_reported(monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_aml", "azureml://")
    with pytest.raises(AirflowNotFoundException, match="AIRFLOW_CONN_aml is set, but Airflow reads AIRFLOW_CONN_AML"):
        AzureMLHook("aml").settings()


def test_a_connection_that_nobody_defined_stays_that():
    with pytest.raises(AirflowNotFoundException) as caught:
        AzureMLHook("aml").settings()
    assert "variable" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (json.dumps({"conn_type": "http", "extra": WORKSPACE}), "connection 'aml', conn_type: is 'http'; this needs"),
        (f"http://id:s3cret@127.0.0.1:8700/?{QUERY}", "conn_type: is 'http'"),
        (json.dumps({"conn_type": "AzureML", "extra": WORKSPACE}), "conn_type: is 'AzureML'"),
        ("s3cret", "conn_type: is empty; the environment variable AIRFLOW_CONN_AML has to begin with azureml://"),
        (f"azure_ml://:s3cret@/?{QUERY}", "conn_type: is empty; the environment variable AIRFLOW_CONN_AML has to"),
        (f"'azureml://:s3cret@/?{QUERY}'", "conn_type: is empty"),
        ("conn_type: azureml\npassword: s3cret", "conn_type: is empty"),
        (json.dumps([{"conn_type": "azureml", "password": "s3cret", "extra": WORKSPACE}]), "conn_type: is empty"),
        (json.dumps({"password": "s3cret"}), "subscription_id: is empty.*It has no conn_type either"),
    ],
)
def test_a_connection_of_another_type_is_named(monkeypatch, value, told):
    monkeypatch.setenv("AIRFLOW_CONN_AML", value)
    with pytest.raises(AirflowFailException, match=told) as caught:
        AzureMLHook("aml").settings()
    assert "s3cret" not in str(caught.value)


# Airflow 2.11 takes such an extra, and says that Airflow 3 will not.
@pytest.mark.filterwarnings("ignore:Encountered :DeprecationWarning")
@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"extra": "{'subscription_id': 's3cret'}"}, "extra: is not JSON: Expecting property name"),
        ({"extra": "region=s3cret"}, "extra: is not JSON: "),
        ({"extra": [WORKSPACE]}, "extra: is not a JSON object"),
        (
            {"extra": {"extra": WORKSPACE}},
            "extra: is not a field of this connection; what is in it goes into the connection",
        ),
        # Without a word, the token would go to Azure.
        ({"extra": WORKSPACE, "host": "http://s3cret:1"}, "host: is not used here; an address of the workspace goes"),
        (f"azureml://:s3cret@127.0.0.1:8700/?{QUERY}", "host: is not used here; an address of the workspace goes"),
        ("azureml://:s3cret@/?__extra__=%7Bbad", "extra: is not JSON: "),
        ({"extra": {**WORKSPACE, "config_json": DEEP}}, "config_json: is not JSON: it is nested too deeply"),
    ],
)
def test_a_value_in_the_wrong_field_is_reported(monkeypatch, fields, told):
    value = fields if isinstance(fields, str) else json.dumps({"conn_type": "azureml", "password": "s3cret", **fields})
    monkeypatch.setenv("AIRFLOW_CONN_AML", value)
    hook = AzureMLHook("aml")
    with pytest.raises(UNREADABLE) as caught:
        hook.settings()
    with pytest.raises(UNREADABLE) as twin:
        asyncio.run(hook.async_settings())
    assert str(twin.value) == str(caught.value)
    assert names(str(caught.value), "aml", told)
    assert "s3cret" not in str(caught.value)


def test_a_host_next_to_an_endpoint_does_no_harm(monkeypatch):
    extra = {**WORKSPACE, "endpoint": "http://127.0.0.1:8700"}
    monkeypatch.setenv("AIRFLOW_CONN_AML", json.dumps({"conn_type": "azureml", "host": "ws", "extra": extra}))
    assert AzureMLHook("aml").settings().endpoint == "http://127.0.0.1:8700"


def test_a_connection_without_a_type_that_says_all_is_read(monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_AML", json.dumps({"password": "t", "extra": WORKSPACE}))
    assert AzureMLHook("aml").settings().workspace_name == "w"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("endpiont", "did you mean 'endpoint'?"),
        ("auth_metod", "did you mean 'auth_method'?"),
        ("tenantId", "did you mean 'tenant_id'?"),
        ("subscriptionId", "did you mean 'subscription_id'?"),
        ("resourceGroup", "did you mean 'resource_group'?"),
        ("workspaceName", "did you mean 'workspace_name'?"),
        ("workspace", "did you mean 'workspace_name'?"),
        ("authMethod", "did you mean 'auth_method'?"),
        ("blob-endpoint", "did you mean 'blob_endpoint'?"),
        ("Region", "did you mean 'region'?"),
        ("allowHttp", "did you mean 'allow_http'?"),
        ("certificatePath", "did you mean 'certificate_path'?"),
        ("extra__azureml__endpiont", "did you mean 'endpoint'?"),
        ("location", "did you mean 'region'?"),
        ("client_id", "the client id goes into the connection's login"),
        ("clientId", "the client id goes into the connection's login"),
        ("clientid", "the client id goes into the connection's login"),
        ("client-secret", "the client secret goes into the connection's password"),
        ("client_secret", "the client secret goes into the connection's password"),
        ("token", "the token goes into the connection's password"),
    ],
)
def test_a_misspelt_field_is_named(name, told):
    with pytest.raises(InvalidArgument) as caught:
        read_settings(login=None, password=None, extra={**WORKSPACE, name: "s3cret"})
    assert caught.value.text == f"{name.removeprefix('extra__azureml__')}: is not a field of this connection; {told}"


def edits(name):
    """All names that are one slip of the keyboard away."""
    for place in range(len(name) + 1):
        before, after = name[:place], name[place:]
        yield from (before + letter + after for letter in "aeiouxs_1")
        yield from (before + letter + after[1:] for letter in "aeioux_-" if after)
        yield before + after[1:]
        yield before + after[1:2] + after[:1] + after[2:]


@pytest.mark.parametrize("field", get_provider_info()["connection-types"][0]["conn-fields"])
def test_one_slip_in_any_field_is_understood(field):
    for name in set(edits(field)) - {field}:
        with pytest.raises(InvalidArgument, match=f"did you mean '{field}'") as caught:
            read_settings(login=None, password=None, extra={**WORKSPACE, name: "s3cret"})
        assert caught.value.argument == name


@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_misspelt_field_that_is_empty_does_no_harm(value):
    read_settings(login=None, password=None, extra={**WORKSPACE, "endpiont": value})


def test_other_fields_are_ignored_with_a_warning(monkeypatch, caplog):
    connection._warn_of.cache_clear()
    extra = {**WORKSPACE, "owner": "team", "extra__wasb__sas_token": "sig"}
    monkeypatch.setenv("AIRFLOW_CONN_AML", json.dumps({"conn_type": "azureml", "extra": extra}))
    hook = AzureMLHook("aml")
    with caplog.at_level(logging.WARNING, connection.log.name):
        hook.settings()
        asyncio.run(hook.async_settings())
    said = [record.getMessage() for record in caplog.records if record.name == connection.log.name]
    assert said == ["Connection 'aml' has extra fields that are ignored: owner."]
