from __future__ import annotations

import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)
from cryptography.x509 import load_pem_x509_certificate
from support.services.authority import settings

from aml_provider.client.auth import credentials
from aml_provider.client.auth.credentials import build_async_credential, build_credential, get_async_token, get_token
from aml_provider.client.errors import InvalidArgument
from aml_provider.client.settings import AUTH_METHODS, CLOUDS

BUILDERS = pytest.mark.parametrize("build", [build_credential, build_async_credential], ids=["sync", "aio"])
SCOPE = "https://management.azure.com/.default"
# cryptography calls that an internal error, which is no ValueError.
TOO_SHORT_FOR_X448 = b"""-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VxBCIEIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g
-----END PRIVATE KEY-----
"""
FULL = {
    "client_secret": {"tenant_id": "contoso.com", "client_id": "app", "secret": "s3cret"},
    "client_certificate": {"tenant_id": "contoso.com", "client_id": "app", "certificate_path": "cert.pem"},
    "workload_identity": {"tenant_id": "contoso.com", "client_id": "app"},
    "static_token": {"secret": "token"},
}


def test_importing_it_loads_nothing_of_azure():
    code = (
        "import sys, aml_provider.client.auth.credentials\n"
        "print(sorted(n for n in sys.modules if n.split('.')[0] in {'azure', 'msal', 'requests', 'aiohttp'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_auth_method_has_a_row():
    assert set(credentials._METHODS) == set(AUTH_METHODS)


def test_the_authorities_are_those_of_azure_identity():
    from azure.identity import AzureAuthorityHosts

    assert {name: cloud.authority.removeprefix("https://") for name, cloud in CLOUDS.items()} == {
        "public": AzureAuthorityHosts.AZURE_PUBLIC_CLOUD,
        "usgov": AzureAuthorityHosts.AZURE_GOVERNMENT,
        "china": AzureAuthorityHosts.AZURE_CHINA,
    }


@BUILDERS
@pytest.mark.parametrize(
    ("method", "missing", "shown"),
    [
        ("client_secret", "tenant_id", "tenant_id"),
        ("client_secret", "client_id", "login"),
        ("client_secret", "secret", "password"),
        ("client_certificate", "tenant_id", "tenant_id"),
        ("client_certificate", "client_id", "login"),
        ("client_certificate", "certificate_path", "certificate_path"),
        ("workload_identity", "tenant_id", "tenant_id"),
        ("workload_identity", "client_id", "login"),
        ("static_token", "secret", "password"),
    ],
)
def test_a_missing_field_is_named_as_the_connection_names_it(build, method, missing, shown, monkeypatch):
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", "token")
    fields = {name: value for name, value in FULL[method].items() if name != missing}
    with pytest.raises(InvalidArgument, match=rf"^{shown}: is empty.*auth_method {method} needs it") as caught:
        build(settings(method, **fields))
    assert caught.value.argument == shown


@BUILDERS
def test_workload_identity_says_which_variables_may_stand_in(build, monkeypatch):
    with pytest.raises(InvalidArgument, match="AZURE_FEDERATED_TOKEN_FILE, which the webhook sets in pods labelled"):
        build(settings("workload_identity"))
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", "token")
    with pytest.raises(InvalidArgument, match="tenant_id: is empty, and so is AZURE_TENANT_ID"):
        build(settings("workload_identity"))


@BUILDERS
@pytest.mark.parametrize("tenant", ["https://contoso.com", "a b", "../x"])
def test_an_invalid_tenant_is_refused(build, tenant):
    with pytest.raises(InvalidArgument, match=r"^tenant_id: is "):
        build(settings("client_secret", **{**FULL["client_secret"], "tenant_id": tenant}))


@pytest.mark.skipif(
    tuple(int(part) for part in metadata.version("azure-identity").split(".")[:2]) < (1, 23),
    reason="azure-identity reads AZURE_TOKEN_CREDENTIALS since 1.23",
)
@BUILDERS
def test_an_environment_that_azure_identity_refuses_names_the_auth_method(build, monkeypatch):
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "nonsense")
    with pytest.raises(InvalidArgument, match=r"^auth_method: default cannot be used: .*AZURE_TOKEN_CREDENTIALS"):
        build(settings("default"))


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """One file of each kind, good and bad."""
    folder = tmp_path_factory.mktemp("certificates")
    issued = trustme.CA(key_type=trustme.KeyType.RSA).issue_cert("app.example", key_type=trustme.KeyType.RSA)
    elliptic = trustme.CA().issue_cert("app.example")
    key = load_pem_private_key(issued.private_key_pem.bytes(), None)
    certificate = issued.cert_chain_pems[0].bytes()
    locked = BestAvailableEncryption(b"right")
    files = {
        "open.pem": issued.private_key_and_cert_chain_pem.bytes(),
        "locked.pem": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked) + certificate,
        "locked.p12": pkcs12.serialize_key_and_certificates(
            b"app", key, load_pem_x509_certificate(certificate), None, locked
        ),
        "keyless.pem": certificate,
        "elliptic.pem": elliptic.private_key_and_cert_chain_pem.bytes(),
        "garbage.p12": b"garbage",
        "damaged.pem": TOO_SHORT_FOR_X448 + certificate,
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


@BUILDERS
@pytest.mark.parametrize(
    ("name", "password", "argument"),
    [
        ("absent.pem", None, "certificate_path"),
        (".", None, "certificate_path"),
        ("keyless.pem", None, "certificate_path"),
        ("elliptic.pem", None, "certificate_path"),
        ("garbage.p12", None, "certificate_path"),
        ("damaged.pem", None, "certificate_path"),
        ("open.pem", "hunter2", "certificate_password"),
        ("locked.pem", None, "certificate_password"),
        ("locked.pem", "hunter2", "certificate_password"),
        ("locked.p12", None, "certificate_password"),
        ("locked.p12", "hunter2", "certificate_password"),
    ],
)
def test_a_certificate_that_cannot_be_used(build, certificates, name, password, argument):
    path = str(certificates / name)
    fields = {**FULL["client_certificate"], "certificate_path": path, "certificate_password": password}
    with pytest.raises(InvalidArgument) as caught:
        build(settings("client_certificate", **fields))
    assert caught.value.argument == argument
    assert path in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.fixture(scope="module", params=["PKCS8", "TraditionalOpenSSL"])
def lucky(request, tmp_path_factory):
    """A locked PEM file and a wrong password for it, which decrypts its key to bytes with a valid padding."""
    issued = trustme.CA(key_type=trustme.KeyType.RSA).issue_cert("app.example", key_type=trustme.KeyType.RSA)
    key = load_pem_private_key(issued.private_key_pem.bytes(), None)
    locked = key.private_bytes(Encoding.PEM, getattr(PrivateFormat, request.param), BestAvailableEncryption(b"right"))
    path = tmp_path_factory.mktemp("lucky") / "locked.pem"
    path.write_bytes(locked + issued.cert_chain_pems[0].bytes())
    # One in some 256 is such a password: that none of so many is one will not happen (e to the power of -78).
    for number in range(20_000):
        try:
            load_pem_private_key(locked, b"hunter%d" % number)
        except ValueError as error:
            if "password" not in str(error).lower():
                return str(path), f"hunter{number}"
    raise AssertionError


@BUILDERS
@pytest.mark.parametrize("held_as", ["path", "content"])
def test_a_wrong_password_is_named_although_its_padding_is_right_by_chance(build, lucky, held_as):
    path, password = lucky
    where = {"certificate_path": path} if held_as == "path" else {"certificate": Path(path).read_bytes()}
    fields = {"tenant_id": "contoso.com", "client_id": "app", **where, "certificate_password": password}
    with pytest.raises(InvalidArgument, match=r"^certificate_password: does not fit .*damaged") as caught:
        build(settings("client_certificate", **fields))
    assert password not in str(caught.value)


@BUILDERS
def test_a_locked_key_without_a_certificate_is_not_blamed_on_its_password(build, certificates, tmp_path):
    key_alone = (certificates / "locked.pem").read_bytes().partition(b"-----BEGIN CERTIFICATE")[0]
    (tmp_path / "key.pem").write_bytes(key_alone)
    fields = {
        **FULL["client_certificate"],
        "certificate_path": str(tmp_path / "key.pem"),
        "certificate_password": "right",
    }
    with pytest.raises(InvalidArgument, match=r"^certificate_path: .*key\.pem is not a PEM"):
        build(settings("client_certificate", **fields))


async def test_a_static_token_is_used_as_it_is():
    with_token = settings("static_token", secret="token")
    assert get_token(build_credential(with_token), with_token, SCOPE) == "token"
    async with build_async_credential(with_token) as credential:
        assert await get_async_token(credential, with_token, SCOPE) == "token"
        assert (await credential.get_token(SCOPE)).expires_on > time.time() + 10**9


@BUILDERS
def test_sign_in_takes_the_same_way_as_all_other_requests(build, monkeypatch, tmp_path):
    """Left alone, requests and aiohttp read the environment each in its own way."""
    taken = {}

    class Credential:
        def __init__(self, **options):
            taken.update(options)

    monkeypatch.setattr("azure.identity.ClientSecretCredential", Credential)
    monkeypatch.setattr("azure.identity.aio.ClientSecretCredential", Credential)
    bundle = tmp_path / "ca.pem"
    bundle.touch()
    application = settings("client_secret", **FULL["client_secret"])
    monkeypatch.setenv("ALL_PROXY", "proxy.corp:3128")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    build(application)
    assert taken["proxies"] == {"https://login.microsoftonline.com": "http://proxy.corp:3128"}
    assert taken["connection_verify"] == str(bundle)
    assert taken["use_env_settings"] is False
    taken.clear()
    monkeypatch.setenv("NO_PROXY", "microsoftonline.com,::1,fd07:b51a:cc66:f0::/64")
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    build(application)
    assert taken["proxies"] == {}
    # aiohttp reads this one itself.
    assert taken.get("connection_verify") == (str(bundle) if build is build_credential else None)


@BUILDERS
@pytest.mark.parametrize("in_a_pod", [True, False])
def test_a_managed_identity_takes_that_way_only_in_a_pod_of_workload_identity(build, in_a_pod, monkeypatch, tmp_path):
    taken = {}

    class Credential:
        def __init__(self, **options):
            taken.update(options)

    monkeypatch.setattr("azure.identity.ManagedIdentityCredential", Credential)
    monkeypatch.setattr("azure.identity.aio.ManagedIdentityCredential", Credential)
    monkeypatch.setenv("ALL_PROXY", "proxy.corp:3128")
    if in_a_pod:
        monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(tmp_path / "token"))
    build(settings("managed_identity"))
    proxies = {"https://login.microsoftonline.com": "http://proxy.corp:3128"}
    assert taken.get("proxies", {}) == (proxies if in_a_pod else {})
    assert taken["use_env_settings"] is False


@BUILDERS
@pytest.mark.parametrize("method", ["client_secret", "default"])
@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ALL_PROXY", "socks5://user:s3cret@proxy.corp:1080"),
        ("https_proxy", "http://user:s3cret@"),
        ("SSL_CERT_FILE", "/missing/s.pem"),
        ("REQUESTS_CA_BUNDLE", "/missing/s.pem"),
    ],
)
def test_a_variable_that_cannot_be_used_is_named(build, method, variable, value, monkeypatch):
    monkeypatch.setenv(variable, value)
    with pytest.raises(InvalidArgument, match=f"^{variable}: the environment variable ") as caught:
        build(settings(method, **FULL.get(method, {})))
    assert "s3cret" not in str(caught.value)
