"""An Airflow connection, however it was defined, becomes the same settings; what cannot be used is named."""

from __future__ import annotations

import asyncio
import json
from typing import ClassVar
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aml_provider.client.errors import InvalidArgument, RunCanceled, RunFailed
from aml_provider.client.settings import CLOUDS, WorkspaceSettings
from aml_provider.compat import AirflowFailException, Connection
from aml_provider.connection import airflow_errors, async_extra_of, extra_of, read_settings, settings_of
from aml_provider.hooks.azure_ml import AzureMLHook
from aml_provider.hooks.blob_location import WasbRights

WORKSPACE = {"subscription_id": "sub-1", "resource_group": "rg", "workspace_name": "ws"}
SCOPE = "/subscriptions/sub-1/resourceGroups/rg/providers/Microsoft.MachineLearningServices/workspaces/ws"
OF_ANOTHER_SERVICE = SCOPE.replace("MachineLearningServices", "Databricks")
FULL = {
    **WORKSPACE,
    "region": "westeurope",
    "endpoint": "https://own.api.ml.azure.us",
    "cloud": "usgov",
    "auth_method": "client_certificate",
    "tenant_id": "contoso.com",
    "certificate_path": "/etc/cert.pem",
    "certificate_password": "CERT-SECRET",
    "blob_endpoint": "https://account.blob.core.usgovcloudapi.net",
    "allow_http": False,
}
EXPECTED = WorkspaceSettings(**{**FULL, "cloud": CLOUDS["usgov"]}, client_id="client-1", secret="SECRET")


def read(extra=None, *, login=None, password=None):
    return read_settings(login=login, password=password, extra={**WORKSPACE, **(extra or {})})


def refused(extra, **more):
    with pytest.raises(InvalidArgument) as caught:
        read(extra, **more)
    return caught.value


class TestDefinitions:
    """One connection, in each way that Airflow takes it."""

    def define(self, monkeypatch, value):
        monkeypatch.setenv("AIRFLOW_CONN_AML", value)
        hook = AzureMLHook("aml")
        settings = hook.settings()
        assert asyncio.run(hook.async_settings()) == settings
        return settings

    def test_json(self, monkeypatch):
        connection = {"conn_type": "azureml", "login": "client-1", "password": "SECRET", "extra": FULL}
        assert self.define(monkeypatch, json.dumps(connection)) == EXPECTED

    def test_json_with_its_extra_as_text(self, monkeypatch):
        connection = {"conn_type": "azureml", "login": "client-1", "password": "SECRET", "extra": json.dumps(FULL)}
        assert self.define(monkeypatch, json.dumps(connection)) == EXPECTED

    def test_a_uri(self, monkeypatch):
        assert self.define(monkeypatch, f"azureml://client-1:SECRET@/?{urlencode(FULL)}") == EXPECTED

    def test_a_uri_with_its_extra_whole(self, monkeypatch):
        extra = quote(json.dumps(FULL), safe="")
        assert self.define(monkeypatch, f"azureml://client-1:SECRET@/?__extra__={extra}") == EXPECTED

    def test_a_uri_without_a_login(self, monkeypatch):
        settings = self.define(monkeypatch, f"azureml://?{urlencode(WORKSPACE)}")
        assert (settings.client_id, settings.secret, settings.auth_method) == (None, None, "default")

    def test_a_secret_with_the_letters_that_uris_reserve(self, monkeypatch):
        secret = "p@ss/w:rd?#%&+"
        uri = f"azureml://client-1:{quote(secret, safe='')}@/?{urlencode(WORKSPACE)}"
        assert self.define(monkeypatch, uri).secret == secret

    def test_the_fields_of_an_older_form(self, monkeypatch):
        old = {f"extra__azureml__{name}": value for name, value in FULL.items()}
        connection = {"conn_type": "azureml", "login": "client-1", "password": "SECRET", "extra": old}
        assert self.define(monkeypatch, json.dumps(connection)) == EXPECTED

    def test_a_uri_that_carries_a_pasted_config(self, monkeypatch):
        uri = f"azureml://?{urlencode({'config_json': json.dumps(WORKSPACE)})}"
        assert self.define(monkeypatch, uri).workspace_name == "ws"

    def test_what_is_wrong_names_connection_and_field_and_costs_no_retry(self, monkeypatch):
        monkeypatch.setenv("AIRFLOW_CONN_AML", "azureml://?subscription_id=s&resource_group=r")
        with pytest.raises(AirflowFailException, match="connection 'aml', workspace_name: is empty"):
            AzureMLHook("aml").settings()
        with pytest.raises(AirflowFailException, match="connection 'aml', workspace_name: is empty"):
            asyncio.run(AzureMLHook("aml").async_settings())


class TestScope:
    """Azure's old config.json as the whole extra, wherever the other forms of a connection are accepted."""

    EXTRA: ClassVar = {"Scope": SCOPE, "region": "westeurope"}
    AS_JSON: ClassVar = {"conn_type": "azureml", "login": "client-1", "password": "SECRET"}

    @pytest.mark.parametrize(
        "value",
        [
            json.dumps({**AS_JSON, "extra": EXTRA}),
            json.dumps({**AS_JSON, "extra": json.dumps(EXTRA)}),
            json.dumps({**AS_JSON, "extra": {f"extra__azureml__{name}": value for name, value in EXTRA.items()}}),
            f"azureml://client-1:SECRET@/?{urlencode(EXTRA)}",
            f"azureml://client-1:SECRET@/?__extra__={quote(json.dumps(EXTRA), safe='')}",
        ],
        ids=["json", "extra as text", "Airflow 2's names", "uri", "uri with its extra whole"],
    )
    def test_names_the_workspace(self, monkeypatch, caplog, value):
        monkeypatch.setenv("AIRFLOW_CONN_AML", value)
        settings = AzureMLHook("aml").settings()
        assert asyncio.run(AzureMLHook("aml").async_settings()) == settings
        assert settings == WorkspaceSettings(**WORKSPACE, region="westeurope", client_id="client-1", secret="SECRET")
        assert "ignored" not in caplog.text

    @pytest.mark.parametrize("blank", ["", " ", None])
    def test_a_blank_one_does_not_count(self, blank):
        assert read({"Scope": blank}).workspace_name == "ws"

    def test_takes_precedence_over_config_json(self):
        extra = {"Scope": SCOPE, "config_json": {**WORKSPACE, "workspace_name": "other"}}
        assert read_settings(login=None, password=None, extra=extra).workspace_name == "ws"

    @pytest.mark.parametrize("name", WORKSPACE)
    def test_fields_may_say_the_same_but_not_contradict_it(self, name):
        assert read({"Scope": SCOPE, name: f" {WORKSPACE[name].upper()} "}).resource_group.lower() == "rg"
        error = refused({"Scope": SCOPE, name: "other"})
        assert error.argument == "Scope"
        assert error.problem == f"names the {name} {WORKSPACE[name]!r}, but the field {name} is 'other'"

    @pytest.mark.parametrize(
        "scope", ["/subscriptions/s", 5, ["x"], SCOPE.replace("workspaces", "registries"), OF_ANOTHER_SERVICE]
    )
    def test_another_resource_is_refused(self, scope):
        assert refused({"Scope": scope}).argument == "Scope"

    def test_is_written_with_a_capital_letter(self):
        assert "did you mean 'Scope'" in refused({"scope": SCOPE}).problem


class TestConfigJson:
    CONFIG: ClassVar = {**WORKSPACE, "location": "ignored"}

    @pytest.mark.parametrize(
        "form",
        [
            json.dumps,
            dict,
            lambda config: f"\n {json.dumps(config)} \n",
            lambda config: f"\ufeff{json.dumps(config)}",
            lambda config: f"\n\ufeff\n{json.dumps(config)}",
        ],
        ids=["text", "object", "blanks", "byte order mark", "byte order mark and blanks"],
    )
    def test_names_the_workspace(self, form):
        settings = read_settings(login=None, password=None, extra={"config_json": form(self.CONFIG)})
        assert (settings.subscription_id, settings.resource_group, settings.workspace_name) == ("sub-1", "rg", "ws")

    @pytest.mark.parametrize(
        "scope", [SCOPE, SCOPE.strip("/"), f"{SCOPE}/", SCOPE.lower(), f"{SCOPE}/projects/p", f" {SCOPE} "]
    )
    def test_in_its_old_form_too(self, scope):
        config = {"Scope": scope, "subscription_id": "other"}
        settings = read_settings(login=None, password=None, extra={"config_json": json.dumps(config)})
        assert settings.scope_path == (
            "/subscriptions/sub-1/resourceGroups/rg/providers/Microsoft.MachineLearningServices/workspaces/ws"
        )

    def test_an_empty_scope_does_not_count(self):
        config = {**WORKSPACE, "Scope": ""}
        assert read_settings(login=None, password=None, extra={"config_json": config}).workspace_name == "ws"

    @pytest.mark.parametrize("given", ["other", " other "])
    def test_a_field_of_its_own_wins(self, given):
        assert read({"config_json": self.CONFIG, "workspace_name": given}).workspace_name == "other"

    @pytest.mark.parametrize("blank", ["", "  ", None])
    def test_a_blank_field_does_not(self, blank):
        extra = {"config_json": self.CONFIG, "workspace_name": blank}
        assert read_settings(login=None, password=None, extra=extra).workspace_name == "ws"

    @pytest.mark.parametrize("blank", ["", " \n", None])
    def test_may_be_blank(self, blank):
        assert read({"config_json": blank}).workspace_name == "ws"

    @pytest.mark.parametrize(
        "config",
        [
            "{",
            "text",
            "[]",
            "5",
            '"text"',
            [],
            5,
            True,
            {"Scope": "/subscriptions/s"},
            {"Scope": "/".join("abcdefghi")},
            {"Scope": OF_ANOTHER_SERVICE},
            "\ufeff",
        ],
    )
    def test_an_invalid_config_is_refused_by_name(self, config):
        assert refused({"config_json": config}).argument == "config_json"

    def test_a_value_of_the_wrong_kind_is_refused_by_name(self):
        with pytest.raises(InvalidArgument, match=r"^subscription_id: "):
            read_settings(login=None, password=None, extra={"config_json": {**WORKSPACE, "subscription_id": 5}})


@pytest.mark.parametrize("name", sorted(set(FULL) - {"allow_http"}))
@pytest.mark.parametrize("value", [5, True, ["x"], {"a": 1}])
def test_a_field_of_the_wrong_kind_is_refused_by_name(name, value):
    assert refused({name: value}).argument == name


@pytest.mark.parametrize("name", sorted(set(FULL) - set(WORKSPACE) - {"allow_http", "cloud", "auth_method"}))
@pytest.mark.parametrize("blank", ["", "   ", None])
def test_a_blank_field_counts_as_missing(name, blank):
    assert getattr(read({name: blank}), name) is None


@pytest.mark.parametrize("blank", ["", " ", None])
def test_blank_choices_are_the_default_ones(blank):
    settings = read({"cloud": blank, "auth_method": blank}, login=blank, password=blank)
    assert (settings.cloud.name, settings.auth_method) == ("public", "default")
    assert (settings.client_id, settings.secret) == (None, None)


def test_values_are_trimmed():
    settings = read({"region": " westeurope\n"}, login=" me ", password="secret\n")
    assert (settings.region, settings.client_id, settings.secret) == ("westeurope", "me", "secret")


@pytest.mark.parametrize(
    ("extra", "argument"),
    [
        ({"cloud": "mars"}, "cloud"),
        ({"cloud": "Public"}, "cloud"),
        ({"auth_method": "magic"}, "auth_method"),
        ({"endpoint": "own.example"}, "endpoint"),
        ({"endpoint": "http://own.example"}, "endpoint"),
        ({"endpoint": "https://own.example?sig=SECRET"}, "endpoint"),
        ({"blob_endpoint": "https://user:SECRET@own.example"}, "blob_endpoint"),
        ({"allow_http": True}, "allow_http"),
        ({"allow_http": "ture"}, "allow_http"),
        ({"allow_http": 5}, "allow_http"),
        ({"subscription_id": " "}, "subscription_id"),
    ],
)
def test_what_cannot_be_used_is_named_and_no_secret_with_it(extra, argument):
    error = refused(extra, password="SECRET")
    assert error.argument == argument
    assert "SECRET" not in str(error) + repr(error)


def test_what_cannot_be_used_comes_with_what_can():
    assert "public, usgov, china" in str(refused({"cloud": "mars"}))
    assert "static_token" in str(refused({"auth_method": "magic"}))


@pytest.mark.parametrize(
    ("value", "allowed"),
    [
        (True, True),
        ("true", True),
        ("True", True),
        (" 1 ", True),
        ("yes", True),
        (1, True),
        (False, False),
        ("false", False),
        ("", False),
        (None, False),
        (0, False),
        ("None", False),
    ],
)
def test_allow_http_in_the_forms_that_definitions_have(value, allowed):
    assert read({"allow_http": value, "auth_method": "static_token"}, password="t").allow_http is allowed


class TestOlderForm:
    def test_the_plain_name_wins(self):
        assert read({"extra__azureml__region": "old", "region": "new"}).region == "new"
        assert read({"region": "new", "extra__azureml__region": "old"}).region == "new"

    @pytest.mark.parametrize("blank", ["", " ", None])
    def test_unless_it_is_blank(self, blank):
        assert read({"extra__azureml__region": "old", "region": blank}).region == "old"
        assert read({"region": blank, "extra__azureml__region": "old"}).region == "old"
        assert read({"region": "new", "extra__azureml__region": blank}).region == "new"

    def test_another_types_fields_are_not_ours(self):
        assert read({"extra__wasb__region": "other"}).region is None


@pytest.mark.parametrize("blank", ["", " ", None])
def test_a_blank_field_of_a_wasb_connection_does_not_hide_the_older_form(blank):
    connection = Connection(
        conn_id="w", conn_type="wasb", extra=json.dumps({"sas_token": blank, "extra__wasb__sas_token": "sig=x"})
    )
    assert WasbRights.of(connection).extra["sas_token"] == "sig=x"


def test_unknown_fields_are_left_alone():
    assert read({"sas_token": "SECRET", "anything": [1]}).region is None


@pytest.mark.parametrize("extra", [[], ["a"], "text", 5, None])
def test_an_extra_that_is_not_an_object_is_reported(extra):
    with pytest.raises(InvalidArgument, match=r"^extra: is not a JSON object"):
        read_settings(login=None, password=None, extra=extra)


@given(
    st.dictionaries(
        st.sampled_from([*FULL, "config_json"]),
        st.one_of(st.none(), st.booleans(), st.integers(), st.text(), st.just({}), st.just([])),
    )
)
def test_whatever_a_connection_holds_becomes_settings_or_names_a_field(extra):
    try:
        settings = read_settings(login="l", password="p", extra=extra)
    except InvalidArgument as error:
        assert error.argument in {*FULL, "config_json", "password"}  # noqa: PT017 - most are refused
    else:
        assert settings.scope_path.startswith("/subscriptions/")


def test_an_error_names_the_connection():
    connection = Connection(conn_id="aml", conn_type="azureml", password="SECRET")
    with pytest.raises(InvalidArgument) as caught:
        settings_of(connection)
    assert str(caught.value).startswith("connection 'aml', subscription_id: is empty")
    assert "SECRET" not in str(caught.value) + repr(caught.value)


def nested_too_deeply(conn_type, **fields):
    """A connection as a database holds it: Airflow 2 refuses to make such a one."""
    connection = Connection(conn_id="aml", conn_type=conn_type, **fields)
    setattr(connection, "_extra" if hasattr(connection, "_extra") else "extra", "[" * 50_000)
    return connection


def test_an_extra_that_is_nested_too_deeply_is_reported_as_that():
    told = "connection 'aml', extra: is not JSON: it is nested too deeply"
    connection = nested_too_deeply("azureml")
    with pytest.raises(InvalidArgument, match=told):
        settings_of(connection)
    assert extra_of(connection) == asyncio.run(async_extra_of(connection)) == {}
    with pytest.raises(InvalidArgument, match=told):
        WasbRights.of(nested_too_deeply("wasb"))


def test_where_a_password_suffices_a_damaged_extra_does_not_count():
    assert WasbRights.of(nested_too_deeply("wasb", password="key")).extra == {}


class TestAirflowErrors:
    def test_what_a_retry_cannot_fix_fails_immediately_with_its_message(self):
        cause = RunCanceled("Somebody cancelled it.", run_id="r", link="https://studio/r")
        with (
            pytest.raises(AirflowFailException, match=r"Somebody cancelled it\. See https://studio/r") as caught,
            airflow_errors(),
        ):
            raise cause
        assert isinstance(caught.value, RunCanceled)
        assert (caught.value.run_id, caught.value.link) == (cause.run_id, cause.link)
        assert caught.value.__suppress_context__, "the log shows one traceback"

    def test_what_a_retry_may_fix_stays_unchanged(self):
        cause = RunFailed("It failed.", run_id="r")
        with pytest.raises(RunFailed) as caught, airflow_errors():
            raise cause
        assert caught.value is cause

    @pytest.mark.parametrize("error", [ValueError("x"), KeyError("x"), KeyboardInterrupt()])
    def test_what_is_not_ours_stays_what_it_is(self, error):
        with pytest.raises(type(error)), airflow_errors():
            raise error
