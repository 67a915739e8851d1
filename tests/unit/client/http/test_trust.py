"""Who gets a token: a table of addresses, audiences and clouds, with the tricks that URLs allow."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.drivers.driving import workspace

from aml_provider.client.errors import InvalidArgument
from aml_provider.client.http.messages import Request
from aml_provider.client.http.transfer import check_trust
from aml_provider.client.settings import CLOUDS, STORAGE_SCOPE, read_trusted

# A workspace's token, by cloud.
SERVICES = [
    ("public", "https://westeurope.api.azureml.ms/pipelines/v1.0/x", True),
    ("public", "https://WestEurope.API.AzureML.ms/x", True),
    ("public", "HTTPS://westeurope.api.azureml.ms/x", True),
    ("public", "https://westeurope.api.azureml.ms:443/x", True),
    ("public", "https://id.workspace.westeurope.api.azureml.ms/x", True),
    ("public", "https://westeurope.experiments.azureml.net/x", True),
    ("public", "https://westeurope.aether.ms/x", True),
    ("public", "https://management.azure.com/x", True),
    ("public", "https://westeurope.api.ml.azure.us/x", False),
    ("public", "https://management.usgovcloudapi.net/x", False),
    ("usgov", "https://usgovvirginia.api.ml.azure.us/x", True),
    ("usgov", "https://management.usgovcloudapi.net/x", True),
    ("usgov", "https://westeurope.api.azureml.ms/x", False),
    ("usgov", "https://management.azure.com/x", False),
    ("china", "https://chinaeast2.api.ml.azure.cn/x", True),
    ("china", "https://management.chinacloudapi.cn/x", True),
    ("china", "https://chinaeast2.api.ml.azure.us/x", False),
]
TRICKS = [
    "",
    "/x",
    "westeurope.api.azureml.ms",
    "//westeurope.api.azureml.ms/x",
    "http://westeurope.api.azureml.ms/x",
    "http://westeurope.api.azureml.ms:443/x",
    "ftp://westeurope.api.azureml.ms/x",
    "file:///westeurope.api.azureml.ms",
    "https://evil.com/.azureml.ms",
    "https://evil.com/westeurope.api.azureml.ms",
    "https://evil.com?.azureml.ms",
    "https://evil.com#.azureml.ms",
    "https://evil.com\\.azureml.ms",
    "https://evil.com\\@westeurope.api.azureml.ms",
    "https://evil.com%2f.azureml.ms",
    "https://evil.com%00.azureml.ms",
    "https://evil.com\t.azureml.ms",
    "https://evil.com\n.azureml.ms",
    "https://evil.com .azureml.ms",
    " https://evil.com",
    "https://evil.com。azureml.ms",
    "https://evilazureml.ms",
    "https://azureml.ms",
    "https://api.azureml.ms.evil.com/x",
    "https://westeurope.api.azureml.ms.",
    "https://westeurope.api.azureml.ms@evil.com/x",
    "https://westeurope.api.azureml.ms:pw@evil.com/x",
    "https://user@westeurope.api.azureml.ms/x",
    "https://user:pw@westeurope.api.azureml.ms/x",
    "https://@westeurope.api.azureml.ms/x",
    "https://westeurope.api.azureml.ms:port/x",
    "https://westeurope.api.azureml.ms:99999/x",
    "https://[::1].azureml.ms/x",
    "https://[westeurope.api.azureml.ms]/x",
    "https://xmanagement.azure.com/x",
    "https://x.management.azure.com/x",
    "https://management.azure.com.evil.com/x",
    "https://westeurope.api.azureml.ms\x00.evil.com/x",
    "https:westeurope.api.azureml.ms/x",
    "https:///westeurope.api.azureml.ms/x",
]


@pytest.mark.parametrize(("cloud", "url", "trusted"), SERVICES)
def test_the_clouds_own_services_get_a_token_for_the_workspace(cloud, url, trusted):
    settings = workspace(cloud=CLOUDS[cloud])
    assert settings.trusts(url, settings.token_scope) is trusted
    assert not settings.trusts(url, STORAGE_SCOPE)


@pytest.mark.parametrize("url", TRICKS)
@pytest.mark.parametrize("endpoint", [None, "https://own.example", "http://127.0.0.1:8700"])
def test_no_trick_gets_a_token(url, endpoint):
    settings = workspace(endpoint=endpoint)
    for scope in (settings.token_scope, STORAGE_SCOPE):
        assert not settings.trusts(url, scope)
        with pytest.raises(InvalidArgument, match="no token is sent"):
            check_trust(settings, Request("x", "GET", url, scope=scope))


@pytest.mark.parametrize(
    ("cloud", "url", "trusted"),
    [
        ("public", "https://account.blob.core.windows.net/c", True),
        ("public", "https://ACCOUNT.blob.core.windows.net/c", True),
        ("public", "https://account.z12.blob.core.windows.net/c", True),
        # Accounts with a DNS zone (github.com/hashicorp/terraform-provider-azurerm/issues/17513); the zone has one
        # digit or two.
        ("public", "https://account.z5.blob.storage.azure.net/c", True),
        ("public", "https://account-secondary.z12.blob.storage.azure.net/c", True),
        ("public", "https://account.z12.privatelink.blob.storage.azure.net/c", True),
        ("public", "https://account.z12.queue.storage.azure.net/c", True),
        ("public", "https://account.z12.web.storage.azure.net/c", False),
        ("public", "https://blob.storage.azure.net/c", False),
        ("public", "https://account.z12.blob.storage.azure.net.evil.com/c", False),
        ("public", "http://account.z12.blob.storage.azure.net/c", False),
        ("usgov", "https://account.z12.blob.storage.azure.net/c", False),
        ("china", "https://account.z12.blob.storage.azure.net/c", False),
        ("public", "https://blob.core.windows.net/c", False),
        ("public", "https://account.queue.core.windows.net/c", True),
        ("public", "https://account.table.core.windows.net/c", False),
        ("public", "https://queue.core.windows.net/c", False),
        ("usgov", "https://account.queue.core.windows.net/c", False),
        ("public", "https://account.blob.core.windows.net.evil.com/c", False),
        ("public", "https://evil.com/.blob.core.windows.net", False),
        ("public", "http://account.blob.core.windows.net/c", False),
        ("public", "https://account.blob.core.chinacloudapi.cn/c", False),
        ("china", "https://account.blob.core.chinacloudapi.cn/c", True),
        ("usgov", "https://account.blob.core.usgovcloudapi.net/c", True),
        ("usgov", "https://account.blob.core.windows.net/c", False),
    ],
)
def test_the_clouds_blob_and_queue_hosts_get_a_token_for_storage(cloud, url, trusted):
    settings = workspace(cloud=CLOUDS[cloud])
    assert settings.trusts(url, STORAGE_SCOPE) is trusted
    assert not settings.trusts(url, settings.token_scope)


OWN = [
    ("https://own.example", "https://own.example/x", True),
    ("https://own.example", "https://OWN.example:443/x", True),
    ("https://Own.Example:443/base", "https://own.example/x", True),
    ("https://own.example", "https://own.example:8443/x", False),
    ("https://own.example:8443", "https://own.example:8443/x", True),
    ("https://own.example:8443", "https://own.example/x", False),
    ("https://own.example", "http://own.example/x", False),
    ("https://own.example", "https://x.own.example/x", False),
    ("https://own.example", "https://own.example.evil.com/x", False),
    ("https://own.example", "https://user@own.example/x", False),
    ("http://127.0.0.1:8700", "http://127.0.0.1:8700/x", True),
    ("http://127.0.0.1:8700", "http://127.0.0.1:8701/x", False),
    ("http://127.0.0.1:8700", "http://localhost:8700/x", False),
    ("http://127.0.0.1:8700", "https://127.0.0.1:8700/x", False),
    ("http://[::1]:8700", "http://[::1]:8700/x", True),
]


@pytest.mark.parametrize(("own", "url", "trusted"), OWN)
def test_the_connections_own_addresses_get_their_own_token_and_not_each_others(own, url, trusted):
    service = workspace(endpoint=own)
    assert service.trusts(url, service.token_scope) is trusted
    assert not service.trusts(url, STORAGE_SCOPE)
    storage = workspace(blob_endpoint=own)
    assert storage.trusts(url, STORAGE_SCOPE) is trusted
    assert not storage.trusts(url, storage.token_scope)


def test_with_allow_http_the_own_host_gets_the_token_over_http_and_nobody_else():
    settings = workspace(endpoint="http://emulator:8700", allow_http=True)
    assert settings.trusts("http://emulator:8700/x", settings.token_scope)
    for url in ("http://other:8700/x", "http://westeurope.api.azureml.ms/x", "http://management.azure.com/x"):
        assert not settings.trusts(url, settings.token_scope)


def test_allow_http_does_not_take_the_encryption_from_an_endpoint_that_has_it():
    settings = workspace(endpoint="https://own.example", allow_http=True)
    assert not settings.trusts("http://own.example/x", settings.token_scope)
    assert not settings.trusts("http://own.example:443/x", settings.token_scope)


HOSTS = st.sampled_from(
    [
        "evil.com",
        "x.api.azureml.ms",
        "management.azure.com",
        "a.blob.core.windows.net",
        "a.queue.core.windows.net",
        "a.z1.blob.storage.azure.net",
        "[::1]",
    ]
)
MARKS = st.sampled_from(
    ["/", "\\", "@", ":", "#", "?", ".", "%2f", " ", "\t", "\n", "%40", "//", "443", "。", ";", "&"]
)


@given(
    st.sampled_from(["https://", "http://", "https:", "//", "https:/\\"]),
    st.lists(st.one_of(HOSTS, MARKS), max_size=6).map("".join),
)
def test_what_is_trusted_is_where_httpx_would_connect(start, rest):
    """The judge reads a URL with one parser and the driver with another: they must see the same host."""
    url = start + rest
    settings = workspace()
    for scope, suffixes in (
        (settings.token_scope, (".azureml.ms", ".azureml.net", ".aether.ms")),
        (
            STORAGE_SCOPE,
            tuple(
                f".{service}.{domain}"
                for service in ("blob", "queue")
                for domain in ("core.windows.net", "storage.azure.net")
            ),
        ),
    ):
        if settings.trusts(url, scope):
            target = httpx.URL(url)
            assert target.scheme == "https"
            assert target.userinfo == b""
            allowed = target.host.endswith(suffixes)
            assert allowed or (scope == settings.token_scope and target.host == "management.azure.com")


# What whoever may edit connections could write, to be sent the workers' identity.
STRANGERS = [
    "https://evil.example",
    "https://evil.example:443",
    "https://azureml.ms.evil.example",
    "https://westeurope.api.azureml.ms.evil.example",
    "https://westeurope.api.azureml.ms.",
    "https://westeurope-api.azureml-ms.example",
    "https://xn--azurem-8ya.ms",
    "https://AZUREML.MS",
    "https://10.0.0.1",
    "https://169.254.169.254",
    "http://127.0.0.1:8700",
    "http://localhost:8700",
    "http://[::1]:8700",
    "https://scoring.westeurope.inference.azureml.ms",
    "https://box-8888.westeurope.instances.azureml.ms",
]
IDENTITIES = ["default", "managed_identity", "workload_identity", "azure_cli", "client_secret", "client_certificate"]


@pytest.mark.parametrize("url", STRANGERS)
@pytest.mark.parametrize("name", ["endpoint", "blob_endpoint"])
@pytest.mark.parametrize("method", IDENTITIES)
def test_an_identity_is_for_no_strangers(method, name, url):
    with pytest.raises(InvalidArgument, match=r"\[azureml\] trusted_endpoints") as caught:
        workspace(auth_method=method, secret=None, **{name: url})
    assert caught.value.argument == name


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("endpoint", "https://account.blob.core.windows.net"),
        ("blob_endpoint", "https://westeurope.api.azureml.ms"),
        ("endpoint", "https://usgovvirginia.api.ml.azure.us"),
        ("blob_endpoint", "https://account.blob.core.chinacloudapi.cn"),
    ],
)
def test_a_host_of_the_cloud_is_trusted_for_what_it_is_and_no_other_clouds_is(name, url):
    with pytest.raises(InvalidArgument, match="not a host of the cloud 'public'"):
        workspace(auth_method="default", secret=None, **{name: url})


@pytest.mark.parametrize("name", ["endpoint", "blob_endpoint"])
@pytest.mark.parametrize("method", IDENTITIES)
@pytest.mark.parametrize(
    ("listed", "url"),
    [
        ("aml.example", "https://aml.example"),
        ("AML.example", "https://aml.EXAMPLE:8443/base"),
        ("other.example, aml.example:8443", "https://aml.example:8443"),
        (".example\n.test", "https://a.b.example"),
        ("127.0.0.1", "http://127.0.0.1:8700"),
        ("[::1]:8700", "http://[::1]:8700"),
        ("aml.example:443", "https://aml.example"),
    ],
)
def test_what_the_operator_lists_is_trusted(method, name, listed, url):
    settings = workspace(auth_method=method, secret=None, trusted_endpoints=read_trusted(listed), **{name: url})
    assert getattr(settings, name) == url


@pytest.mark.parametrize("name", ["endpoint", "blob_endpoint"])
@pytest.mark.parametrize(
    ("listed", "url"),
    [
        ("aml.example", "https://x.aml.example"),
        ("aml.example", "https://aml.example.evil.test"),
        ("aml.example", "https://aml.example."),
        ("aml.example:8443", "https://aml.example"),
        ("aml.example:443", "https://aml.example:8443"),
        (".aml.example", "https://aml.example"),
        (".aml.example", "https://evilaml.example"),
        ("", "https://aml.example"),
    ],
)
def test_what_only_looks_like_a_listed_host_is_not_trusted(name, listed, url):
    with pytest.raises(InvalidArgument, match="trusted_endpoints"):
        workspace(auth_method="default", secret=None, trusted_endpoints=read_trusted(listed), **{name: url})


@pytest.mark.parametrize(
    "entry",
    [
        "https://aml.example",
        "*.example",
        "aml.example/x",
        "a@b",
        ".",
        "ä.example",
        "h:port",
        ".example:8443",
        "..example",
        "a..b",
        "a;b",
        "-",
        "x" * 64,
    ],
)
def test_an_entry_that_is_no_host_is_refused(entry):
    with pytest.raises(InvalidArgument, match="trusted_endpoints") as caught:
        read_trusted(f"good.example, {entry}")
    assert entry in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "url", "allowed"),
    [
        ({}, "https://account.blob.core.windows.net/c/log.txt?sig=x", True),
        ({}, "https://westeurope.api.azureml.ms/log", True),
        ({}, "https://intranet.example/log", False),
        ({"trusted_endpoints": (".example",)}, "https://evil.com%2f.example/log", False),
        ({"trusted_endpoints": (".example",)}, "https://evil.com;x.example/log", False),
        ({"trusted_endpoints": (".example",)}, "https://..example/log", False),
        ({}, "https://169.254.169.254/metadata", False),
        ({}, "http://169.254.169.254/metadata", False),
        ({}, "http://127.0.0.1:6379/", False),
        ({}, "file:///etc/passwd", False),
        ({"trusted_endpoints": (".example",)}, "https://intranet.example/log", True),
        ({"endpoint": "https://own.example"}, "https://own.example/log", True),
        ({"endpoint": "https://own.example"}, "https://own.example:8443/log", False),
        ({"endpoint": "https://own.example"}, "http://127.0.0.1/log", False),
        ({"endpoint": "http://127.0.0.1:8700"}, "http://127.0.0.1:10000/log", True),
        ({"endpoint": "http://127.0.0.1:8700"}, "https://intranet.example/log", False),
    ],
)
def test_a_link_in_a_reply_leads_to_known_hosts_only(settings, url, allowed):
    request = Request("read a log", "GET", url, is_link=True)
    if allowed:
        check_trust(workspace(**settings), request)
    else:
        with pytest.raises(InvalidArgument, match="is not followed"):
            check_trust(workspace(**settings), request)
