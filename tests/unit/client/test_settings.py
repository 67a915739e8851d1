"""Settings: what they refuse, where they lead, and that they do not tell secrets."""

from __future__ import annotations

import pytest
from support.drivers.driving import workspace

from aml_provider.client.errors import InvalidArgument
from aml_provider.client.settings import AUTH_METHODS, CLOUDS
from aml_provider.get_provider_info import get_provider_info


def refused(**changes):
    with pytest.raises(InvalidArgument) as caught:
        workspace(**changes)
    return caught.value


@pytest.mark.parametrize("name", ["subscription_id", "resource_group", "workspace_name"])
def test_the_workspace_must_be_named(name):
    error = refused(**{name: ""})
    assert error.argument == name
    assert "config.json" in str(error)


def test_an_auth_method_must_be_known():
    error = refused(auth_method="magic")
    assert error.argument == "auth_method"
    assert all(method in str(error) for method in AUTH_METHODS)


@pytest.mark.parametrize("region", ["West Europe", "evil.com/", "evil.com#", "a.b", "x@y", "ü"])
def test_a_region_is_a_short_name_and_no_way_to_another_host(region):
    error = refused(region=region)
    assert error.argument == "region"
    assert "westeurope" in str(error)


@pytest.mark.parametrize("name", ["endpoint", "blob_endpoint"])
@pytest.mark.parametrize(
    "url",
    [
        "host",
        "host:8700",
        "ftp://host",
        "https://",
        "https:///path",
        "https:host",
        "https://ho st",
        "https://host:port",
        "https://[::1",
        "https://host\\x",
        "https://ho\nst",
        "file:///etc/passwd",
    ],
)
def test_an_address_must_be_one(name, url):
    error = refused(**{name: url})
    assert error.argument == name
    assert "https://host" in str(error)


@pytest.mark.parametrize("name", ["endpoint", "blob_endpoint"])
@pytest.mark.parametrize(
    "url",
    [
        "https://host?sig=SECRET",
        "https://host/container?sv=1&sig=SECRET",
        "https://host?",
        "https://host#SECRET",
        "https://host#",
        "https://SECRET@host",
        "https://user:SECRET@host",
        "https://:SECRET@host",
        "https://@host",
        "user:SECRET@host",
        "host?sig=SECRET",
    ],
)
def test_an_address_with_a_login_or_a_query_is_refused_and_not_repeated(name, url):
    error = refused(**{name: url})
    assert error.argument == name
    assert "SECRET" not in str(error)
    assert "SECRET" not in repr(error)


@pytest.mark.parametrize("name", ["endpoint", "blob_endpoint"])
class TestPlainHttp:
    @pytest.mark.parametrize("url", ["http://127.0.0.1:8700", "http://localhost:8700", "http://[::1]:8700"])
    def test_is_for_loopback(self, name, url):
        assert getattr(workspace(**{name: url}), name) == url

    @pytest.mark.parametrize(
        "url", ["http://emulator:8700", "http://10.0.0.1", "http://127.0.0.1.evil.com", "http://localhost.evil.com"]
    )
    def test_is_for_nobody_else(self, name, url):
        error = refused(**{name: url})
        assert error.argument == name
        assert "https" in str(error)

    def test_is_for_a_static_token_that_may(self, name):
        workspace(**{name: "http://emulator:8700", "allow_http": True})

    @pytest.mark.parametrize("method", sorted(set(AUTH_METHODS) - {"static_token"}))
    def test_is_never_for_a_real_identity(self, name, method):
        error = refused(**{name: "http://emulator:8700", "allow_http": True, "auth_method": method})
        assert error.argument == "allow_http"
        assert "static_token" in str(error)


@pytest.mark.parametrize("token", ["two words", "Bearer x", "a\nb", "tökén", "a\x00b", "a\tb"])
def test_a_static_token_must_be_able_to_travel_in_a_header(token):
    error = refused(secret=token)
    assert error.argument == "password"
    assert token not in str(error)


def test_other_secrets_may_be_anything():
    assert workspace(auth_method="client_secret", secret="any thing ü").secret == "any thing ü"


def test_no_secret_is_shown():
    settings = workspace(
        secret="SECRET", certificate_password="SECRET", certificate_path="/etc/cert.pem", blob_endpoint="https://b"
    )
    assert "SECRET" not in repr(settings)
    assert "SECRET" not in str(settings)


def test_without_region_and_endpoint_only_discovery_knows_the_address():
    settings = workspace(region=None)
    assert settings.api_url is None
    assert settings.management_url == "https://management.azure.com"


@pytest.mark.parametrize("cloud", list(CLOUDS))
def test_a_region_leads_to_its_clouds_host_which_the_cloud_trusts(cloud):
    settings = workspace(cloud=CLOUDS[cloud], region="north1")
    assert settings.api_url == f"https://north1.{CLOUDS[cloud].api_suffix}"
    assert settings.trusts(settings.api_url, settings.token_scope)
    assert settings.trusts(settings.management_url, settings.token_scope)
    assert settings.token_scope == f"{CLOUDS[cloud].management}/.default"


def test_an_endpoint_inside_the_cloud_has_the_clouds_management_and_studio():
    settings = workspace(endpoint="https://id.workspace.north.api.azureml.ms/")
    assert settings.api_url == "https://id.workspace.north.api.azureml.ms"
    assert settings.management_url == "https://management.azure.com"
    assert settings.run_url("r").startswith("https://ml.azure.com/runs/r?")


def test_an_endpoint_of_its_own_has_its_own_management_and_studio():
    settings = workspace(endpoint="http://127.0.0.1:8700/")
    assert settings.management_url == "http://127.0.0.1:8700"
    assert settings.run_url("r").startswith("http://127.0.0.1:8700/runs/r?")


def test_names_are_encoded_in_paths_and_links():
    settings = workspace(resource_group="my group", workspace_name="a/b?c")
    assert settings.scope_path.endswith(
        "/resourceGroups/my%20group/providers/Microsoft.MachineLearningServices/workspaces/a%2Fb%3Fc"
    )
    assert "wsid=/subscriptions/11111111-2222-3333-4444-555555555555/resourcegroups/my%20group/" in settings.run_url(
        "r"
    )


def test_a_run_link_is_the_one_of_the_sdk():
    assert workspace(tenant_id="72f988bf-0000-0000-0000-000000000000").run_url("r-1") == (
        "https://ml.azure.com/runs/r-1?wsid=/subscriptions/11111111-2222-3333-4444-555555555555/resourcegroups/rg-demo"
        "/workspaces/ws-demo&tid=72f988bf-0000-0000-0000-000000000000"
    )


def test_the_form_offers_exactly_what_settings_take():
    fields = get_provider_info()["connection-types"][0]["conn-fields"]
    assert tuple(fields["auth_method"]["schema"]["enum"]) == AUTH_METHODS
    assert fields["cloud"]["schema"]["enum"] == list(CLOUDS)
